"""Posted checkpoints, by command and while serving: an unavailable receiver stops no score."""

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
from tests.api.scores.conftest import Bank

if TYPE_CHECKING:
    from starlette.testclient import TestClient

ROWS = 3
"""Rows of the chain: a seller's consents for both purposes, and a score."""


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
        Bank(client).score()
    return lambda *given: CliRunner().invoke(app, ["ledger", "checkpoint", *given], catch_exceptions=False)


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_the_command_retries_and_posts_a_signed_checkpoint(
    run: Callable[..., Any], receiver: Receiver, stored_in: Settings
) -> None:
    receiver.statuses = [503, 500]
    done = run("--to", receiver.address)
    assert done.exit_code == 0
    assert "accepted by 127.0.0.1" in done.stdout
    assert "hunter2" not in done.stdout
    assert len(receiver.posted) == 3
    tips = read_checkpoint(receiver.posted[-1][1], KeyRing.open(stored_in.receipt_keys_path).jwks)
    assert [tip.position for tip in tips.values()] == [ROWS, 1], "the chains of the bank and of clients"


def test_a_rejected_checkpoint_is_one_sentence_without_the_address(run: Callable[..., Any], receiver: Receiver) -> None:
    receiver.statuses = [500, 302, 404, 302]
    with pytest.raises(OutputError, match=r"127\.0\.0\.1 did not accept the checkpoint \(status 302") as caught:
        run("--to", receiver.address)
    assert "hunter2" not in str(caught.value)
    assert [path.split("?")[0] for path, _ in receiver.posted] == ["/checkpoints"] * 4, "no redirect is followed"
    for arguments in ((), ("--out", "x.json", "--to", receiver.address)):
        with pytest.raises(InputError, match="--out or --to"):
            run(*arguments)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        *((address, "https:// or http://") for address in ("file:///etc/passwd", "ftp://127.0.0.1/x", "127.0.0.1")),
        *((address, "https:// or http://") for address in ("", "http://", "https://[x")),
        ("https://notary:hunter2@127.0.0.1:9/x", "user or password before the host"),
    ],
)
def test_an_address_that_is_not_allowed_is_rejected(address: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        post(address, b"{}")
    assert "hunter2" not in str(caught.value)


def test_a_closed_port_is_one_sentence() -> None:
    with pytest.raises(OutputError, match="Connection refused"):
        post("http://127.0.0.1:9/x", b"{}")


def test_a_setting_with_another_scheme_is_rejected() -> None:
    with pytest.raises(SettingsError, match=r"SELLERSCORE_CHECKPOINT_URL.*https://") as caught:
        load_settings(checkpoint_url="ftp://hunter2@notary")
    assert "hunter2" not in str(caught.value)


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


def test_the_service_sends_checkpoints_signed_with_its_current_key(
    stored_in: Settings, open_client: Opener, receiver: Receiver
) -> None:
    with open_client(stored_in.model_copy(update={"checkpoint_url": receiver.address}), SELLERS[:1]) as client:
        wait_for(lambda: client.app.state.services.sent_checkpoints.latest)
        Bank(client).score()
        KeyRing.rotate(stored_in.receipt_keys_path, datetime.now(UTC))
        client.app.state.reloader.wake()
        wait_for(lambda: len(client.app.state.services.receipts.keys) == 2)
        assert sender_of(client, receiver.address).send() == 3600.0
        services, chain = client.app.state.services, bank_of(client)
        assert services.sent_checkpoints.latest.rows == ROWS + 1
    newest = {"keys": services.receipts.jwks["keys"][:1]}
    assert read_checkpoint(receiver.posted[-1][1], newest)[chain].position == ROWS
    assert len(receiver.posted) >= 2, "at the start, and now"


def test_an_unavailable_receiver_is_reported_once_and_scores_continue(
    stored_in: Settings, open_client: Opener, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with open_client(stored_in) as client:
        sender = sender_of(client, receiver.address)
        receiver.statuses = [500] * 12
        pauses = [sender.send() for _ in range(12)]
        assert pauses == sorted(pauses)
        assert (pauses[0], pauses[-1]) == (2.0, 3600.0)
        degraded = ["checkpoints: none was accepted since the service started."]
        assert client.get("/health/ready").json()["degraded"] == degraded
        Bank(client).score()
        assert caplog.text.count("none was accepted") == 1
        assert "hunter2" not in caplog.text
        assert sender.send() == 3600.0
        assert client.get("/health/ready").json()["degraded"] == []
