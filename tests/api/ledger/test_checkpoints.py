"""Checkpoints that are posted: by command and while serving; a receiver that is away stops no score."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

import api.ledger.checkpoints
from api.auth.signing_keys import KeyRing
from api.cli.main import app
from api.errors import InputError, OutputError, SettingsError
from api.ledger.checkpoints import CheckpointSender, post, read_checkpoint
from api.settings import Settings, load_settings
from tests.api.conftest import SELLERS, Opener, bank_of
from tests.api.receiver import Receiver, receiving

if TYPE_CHECKING:
    from starlette.testclient import TestClient

ROWS = 3
"""Of the chain: a seller's consents for both purposes, and a score."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as opened:
        yield opened


@pytest.fixture
def run(stored_in: Settings, open_client: Opener, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setenv("SELLERSCORE_HOME", str(stored_in.home))
    monkeypatch.setenv("SELLERSCORE_DATABASE_URL", stored_in.database_url)
    monkeypatch.setattr(api.ledger.checkpoints, "_FIRST_PAUSE", 0.01)
    with open_client(stored_in, consenting=SELLERS[:1]) as client:
        ask(client)
    return lambda *given: CliRunner().invoke(app, ["ledger", "checkpoint", *given], catch_exceptions=False)


def ask(client: TestClient) -> None:
    assert client.post("/v1/scores", json={"seller_id": SELLERS[0], "purpose": "credit_application"}).status_code == 201


def until(holds: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_the_command_posts_what_it_would_write(
    run: Callable[..., Any], receiver: Receiver, stored_in: Settings
) -> None:
    receiver.statuses = [503, 500]
    done = run("--to", receiver.address)
    assert done.exit_code == 0
    assert "accepted by 127.0.0.1" in done.stdout
    assert "hunter2" not in done.stdout
    assert len(receiver.posted) == 3, "tried again after two failures"
    tips = read_checkpoint(receiver.posted[-1][1], KeyRing.open(stored_in.receipt_keys_path).jwks)
    assert [tip.position for tip in tips.values()] == [ROWS]


@pytest.mark.parametrize("statuses", [[500] * 9, [302] * 9, [404] * 9])
def test_what_is_not_taken_is_one_sentence_without_the_address(
    run: Callable[..., Any], receiver: Receiver, statuses: list[int]
) -> None:
    receiver.statuses = statuses
    with pytest.raises(OutputError, match=r"127\.0\.0\.1 did not accept the checkpoint \(status") as caught:
        run("--to", receiver.address)
    assert "hunter2" not in str(caught.value)
    assert {path.split("?")[0] for path, _ in receiver.posted} == {"/checkpoints"}, "no redirect is followed"
    assert len(receiver.posted) == 4


def sender_of(client: TestClient, address: str) -> CheckpointSender:
    services = client.app.state.services
    return CheckpointSender(
        services.engine,
        address,
        minutes=services.settings.checkpoint_minutes,
        keys=lambda: client.app.state.services.receipts,
        degraded=services.degraded,
        sent=services.sent_checkpoints,
    )


@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "ftp://127.0.0.1/x", "127.0.0.1", "", "http://", "https://[x"]
)
def test_only_the_web_is_posted_to(address: str) -> None:
    with pytest.raises(InputError, match="https:// or http://"):
        post(address, b"{}")


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(InputError, match="user or password before the host") as caught:
        post("https://notary:hunter2@127.0.0.1:9/x", b"{}")
    assert "hunter2" not in str(caught.value)


def test_nobody_there_is_one_sentence() -> None:
    with pytest.raises(OutputError, match="Connection refused"):
        post("http://127.0.0.1:9/x", b"{}")


def test_the_command_wants_one_place(run: Callable[..., Any], receiver: Receiver) -> None:
    for given in ((), ("--out", "x.json", "--to", receiver.address)):
        with pytest.raises(InputError, match="--out or --to"):
            run(*given)


def test_a_setting_that_is_no_web_address_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"SELLERSCORE_CHECKPOINT_URL.*https://") as caught:
        load_settings(checkpoint_url="ftp://hunter2@notary")
    assert "hunter2" not in str(caught.value)


def test_while_serving_checkpoints_are_sent_with_the_keys_of_then(
    stored_in: Settings, open_client: Opener, receiver: Receiver
) -> None:
    with open_client(stored_in.model_copy(update={"checkpoint_url": receiver.address}), SELLERS[:1]) as client:
        until(lambda: client.app.state.services.sent_checkpoints.latest)
        ask(client)
        KeyRing.rotate(stored_in.receipt_keys_path, datetime.now(UTC))
        client.app.state.reloader.wake()
        until(lambda: len(client.app.state.services.receipts.keys) == 2)
        assert sender_of(client, receiver.address).send() == 3600.0
        services = client.app.state.services
        assert services.sent_checkpoints.latest.rows == ROWS
        chain = bank_of(client)
    newest = {"keys": services.receipts.jwks["keys"][:1]}
    assert read_checkpoint(receiver.posted[-1][1], newest)[chain].position == ROWS
    assert len(receiver.posted) >= 2, "at the start, and now"


def test_a_receiver_that_is_away_is_told_once_and_scores_go_on(
    stored_in: Settings, open_client: Opener, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with open_client(stored_in) as client:
        sender = sender_of(client, receiver.address)
        receiver.statuses = [500] * 12
        pauses = [sender.send() for _ in range(12)]
        assert pauses == sorted(pauses)
        assert (pauses[0], pauses[-1]) == (2.0, 3600.0)
        assert client.get("/health/ready").json()["degraded"] == [
            "checkpoints: none was accepted since the service started."
        ]
        ask(client)
        assert caplog.text.count("none was accepted") == 1
        assert "hunter2" not in caplog.text
        assert sender.send() == 3600.0
        assert client.get("/health/ready").json()["degraded"] == []
