"""What changes while the service runs: another champion without a lost request, other keys without a restart."""

from __future__ import annotations

import json
import logging
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from api.auth.signing_keys import KeyRing
from api.errors import SignatureError
from api.kit.background import DegradedConditions, RepeatingTask
from api.kit.database import transaction
from api.ledger.receipts import verify_receipt
from api.ledger.verification import verify
from api.models.registry import load_champion
from api.operations.model_reloader import ModelReloader
from api.scores import shadow as shadows
from api.scores.ledger_entries import ScoreIndexCheck
from api.settings import Settings
from scoring import Bundle, BundleParts, pack
from scoring.model import Calibration
from tests.api.conftest import SELLERS, Opener, fill, other_catalogue, register, snapshot_of, token_for
from tests.api.test_killed import serving
from tests.counts import SWAPS

if TYPE_CHECKING:
    from starlette.testclient import TestClient


@dataclass(frozen=True)
class Registry:
    """A registry whose champion is version 1, with more versions that may become it."""

    uri: str
    versions: dict[str, str]

    def point(self, alias: str, version: str | None) -> None:
        import mlflow

        client = mlflow.MlflowClient(self.uri, self.uri)
        if version is None:
            client.delete_registered_model_alias("sellerscore", alias)
        else:
            client.set_registered_model_alias("sellerscore", alias, version)


def packed(bundle: Bundle, **changed: Any) -> dict[str, bytes]:
    sheet = replace(bundle.sheet, catalogue=changed.get("catalogue", bundle.sheet.catalogue))
    policy = replace(bundle.policy, calibration=Calibration(0.7, -0.4))
    return pack(BundleParts(bundle.model.text, sheet, policy, bundle.reasons, bundle.reference))


@pytest.fixture(scope="module")
def prepared(registry: str, bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Registry:
    folder = tmp_path_factory.mktemp("registry-of-more")
    shutil.copy(registry.removeprefix("sqlite:///"), folder / "mlflow.db")
    uri, rival = f"sqlite:///{folder}/mlflow.db", packed(bundle)
    made = {
        "rival": rival,
        "broken": {**rival, "model.txt": rival["model.txt"] + b"\n"},
        "misfit": packed(bundle, catalogue=other_catalogue().catalogue),
    }
    found = Registry(uri, {name: register(uri, files, folder / name) for name, files in made.items()})
    found.point("champion", "1")
    return found


@pytest.fixture
def registered(prepared: Registry, tmp_path: Path) -> Registry:
    """One that a test may change."""
    shutil.copy(prepared.uri.removeprefix("sqlite:///"), tmp_path / "mlflow.db")
    return Registry(f"sqlite:///{tmp_path}/mlflow.db", prepared.versions)


@pytest.fixture
def client(settings: Settings, registered: Registry, open_client: Opener) -> Iterator[TestClient]:
    with open_client(settings.model_copy(update={"mlflow_uri": registered.uri})) as opened:
        yield opened


@pytest.fixture
def look(client: TestClient) -> Callable[[], float]:
    return ModelReloader(client.app.state).reload


def ask(client: httpx.Client, seller_id: str = SELLERS[0]) -> dict[str, Any]:
    answer = client.post("/v1/scores", json={"seller_id": seller_id, "purpose": "credit_application"})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def bundle_of(score: dict[str, Any]) -> str:
    return str(score["assessment"]["versions"]["bundle"])


def told(client: TestClient) -> list[str]:
    return list(client.get("/health/ready").json()["degraded"])


@dataclass
class Load:
    """Callers who ask until they are told to end, and all that they were answered."""

    address: str
    token: str
    statuses: list[int] = field(default_factory=list)
    scores: dict[str, str] = field(default_factory=dict)
    ended: threading.Event = field(default_factory=threading.Event)

    def call(self) -> None:
        headers = {"Authorization": f"Bearer {self.token}"}
        with httpx.Client(base_url=self.address, headers=headers, timeout=30) as client:
            for number in range(1_000_000):
                if self.ended.is_set():
                    return
                body = {"seller_id": SELLERS[number % len(SELLERS)], "purpose": "credit_application"}
                answer = client.post("/v1/scores", json=body)
                self.statuses.append(answer.status_code)
                if answer.status_code == 201:
                    self.scores[answer.json()["id"]] = bundle_of(answer.json())

    def until_scored(self, by: Callable[[str], bool], times: int = 20) -> None:
        """Wait until bundles of a kind have given so many scores from now on."""
        until, before = time.monotonic() + 60, len(self.scores)
        while sum(map(by, list(self.scores.values())[before:])) < times:
            assert time.monotonic() < until, self.statuses[-5:]
            time.sleep(0.02)


@pytest.mark.repeated
def test_no_request_is_lost_while_the_champion_changes_and_all_replay(
    today: date, stored_in: Settings, registered: Registry, open_client: Opener, *, bundle: Bundle, tmp_path: Path
) -> None:
    fill(stored_in.home, snapshot_of(today))
    settings = stored_in.model_copy(update={"mlflow_uri": registered.uri})
    load_champion(settings)
    more = {
        "MLFLOW_TRACKING_URI": registered.uri,
        "SELLERSCORE_REFRESH_SECONDS": "86400",
        "SELLERSCORE_RATE_LIMIT_CALLS": "1000000",
    }
    with open_client(settings):  # makes the bank, and the consents that it asks under
        pass
    with serving(settings, tmp_path / "log", **more) as (process, address):
        with httpx.Client(base_url=address, timeout=30) as caller:
            load = Load(address, token_for(caller, settings))
        callers = [threading.Thread(target=load.call) for _ in range(4)]
        for each in callers:
            each.start()
        load.until_scored(lambda digest: digest == bundle.digest)
        for version, others in islice(cycle([("rival", True), ("1", False)]), SWAPS):
            registered.point("champion", registered.versions.get(version, version))
            process.send_signal(signal.SIGHUP)
            load.until_scored(lambda digest, others=others: (digest != bundle.digest) is others)
        load.ended.set()
        for each in callers:
            each.join(60)
    assert set(load.statuses) == {201}, (tmp_path / "log").read_text()
    assert len(set(load.scores.values())) == 2
    with open_client(settings) as client:
        kept = client.app.state.services
        assert kept.champion.version == (registered.versions["rival"] if SWAPS % 2 else "1")
        for score_id in load.scores:
            assert client.post(f"/v1/scores/{score_id}/replay").json() == {"matches": True, "differences": []}
        assert verify(kept.engine, kept.ledger, [ScoreIndexCheck(kept.receipts.jwks)]).faults == ()


def test_a_request_ends_with_the_model_that_it_began_with(
    client: TestClient, registered: Registry, look: Callable[[], float], bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    from api.scores import inputs

    registered.point("champion", registered.versions["rival"])
    assess = inputs.assess

    def changed_meanwhile(*given: Any) -> Any:
        look()
        return assess(*given)

    with monkeypatch.context() as patched:
        patched.setattr(inputs, "assess", changed_meanwhile)
        during = ask(client)
    after = ask(client)
    assert (bundle_of(during), bundle_of(after) == bundle.digest) == (bundle.digest, False)
    for score in (during, after):
        assert client.post(f"/v1/scores/{score['id']}/replay").json()["matches"] is True


@pytest.mark.parametrize(("name", "why"), [("broken", "model.txt"), ("misfit", "VectorError")])
def test_a_champion_that_cannot_serve_is_refused_and_told_once_and_the_old_one_goes_on(
    client: TestClient,
    registered: Registry,
    look: Callable[[], float],
    *,
    bundle: Bundle,
    caplog: pytest.LogCaptureFixture,
    name: str,
    why: str,
) -> None:
    caplog.set_level(logging.INFO, "api")
    registered.point("champion", registered.versions[name])
    for _ in range(3):
        look()
    refusals = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert len(refusals) == 1
    assert why in refusals[0]
    assert told(client) == ["model: the champion of the registry cannot be used; version 1 stays active."]
    assert bundle_of(ask(client)) == bundle.digest
    assert json.loads((client.app.state.services.settings.home / "champion.json").read_text())["version"] == "1"
    assert SELLERS[0] not in caplog.text
    registered.point("champion", registered.versions["rival"])
    look()
    assert told(client) == []
    assert bundle_of(ask(client)) != bundle.digest
    assert "model: recovered" in caplog.text


def test_a_champion_that_was_refused_serves_once_the_vectors_are_made_for_it(
    client: TestClient, registered: Registry, look: Callable[[], float], bundle: Bundle
) -> None:
    registered.point("champion", registered.versions["misfit"])
    look()
    assert bundle_of(ask(client)) == bundle.digest
    fill(client.app.state.services.settings.home, other_catalogue())
    assert client.get("/health/ready").status_code == 503
    look()
    assert client.get("/health/ready").status_code == 200
    assert bundle_of(ask(client)) != bundle.digest


def test_a_registry_that_goes_away_is_one_line_and_the_model_serves_on(
    client: TestClient,
    registered: Registry,
    look: Callable[[], float],
    *,
    bundle: Bundle,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    file = Path(registered.uri.removeprefix("sqlite:///"))
    file.rename(file.with_suffix(".away"))
    for _ in range(3):
        assert look() == client.app.state.services.settings.refresh_seconds
    assert caplog.text.count("does not respond; version 1 stays active") == 1
    assert told(client) == ["registry: the model registry does not respond; version 1 stays active."]
    assert bundle_of(ask(client)) == bundle.digest
    file.with_suffix(".away").rename(file)
    registered.point("champion", registered.versions["rival"])
    look()
    assert told(client) == []
    assert bundle_of(ask(client)) != bundle.digest
    file.unlink()
    # a restart without the registry serves what served last
    assert load_champion(client.app.state.services.settings).version == registered.versions["rival"]


def test_a_challenger_comes_changes_and_goes_without_a_restart(
    client: TestClient, registered: Registry, look: Callable[[], float], monkeypatch: pytest.MonkeyPatch
) -> None:
    services = client.app.state.services
    assert services.shadow is None
    registered.point("challenger", registered.versions["rival"])
    look()
    first = client.app.state.services.shadow
    assert first is not None
    score = ask(client)
    look()
    assert client.app.state.services.shadow is first
    registered.point("champion", registered.versions["rival"])
    look()
    assert client.app.state.services.shadow is None, "one that was promoted would score everything twice"
    with monkeypatch.context() as patched:
        # what is known already is not fetched again and again
        patched.setattr("api.models.registry._download", None)
        look()
    with transaction(services.engine) as connection:
        (item,) = shadows.iterate_shadow_scores(connection)
    assert (item.score_id, item.model) == (score["id"], first.challenger.bundle.digest)
    registered.point("challenger", None)
    registered.point("champion", "1")
    look()
    assert client.app.state.services.shadow is None
    assert not (services.settings.home / "challenger.json").exists()


def test_a_challenger_that_is_broken_is_told_to_nobody(
    client: TestClient, registered: Registry, look: Callable[[], float], caplog: pytest.LogCaptureFixture
) -> None:
    registered.point("challenger", registered.versions["broken"])
    look()
    look()
    assert told(client) == []
    assert caplog.text.count("challenger: it cannot be used.") == 1


def test_new_keys_are_taken_up_and_old_ones_verify_on(client: TestClient, look: Callable[[], float]) -> None:
    settings = client.app.state.services.settings
    old, old_token = ask(client), client.headers["Authorization"]
    KeyRing.rotate(settings.receipt_keys_path, datetime.now(UTC), timedelta(hours=1))
    look()
    between, published = ask(client), client.get("/.well-known/jwks.json").json()
    assert len(published["keys"]) == 2, "a key is published before it signs"
    assert verify_receipt(json.dumps(between).encode(), {"keys": published["keys"][:1]})
    for folder in (settings.receipt_keys_path, settings.token_keys_path):
        KeyRing.rotate(folder, datetime.now(UTC))
    look()
    new, keys = ask(client), client.get("/.well-known/jwks.json").json()
    assert len(keys["keys"]) == 3
    for score in (old, between, new):
        assert verify_receipt(json.dumps(score).encode(), keys)
    with pytest.raises(SignatureError):
        verify_receipt(json.dumps(new).encode(), published)
    client.headers["Authorization"] = f"Bearer {token_for(client, settings)}"
    assert client.headers["Authorization"] != old_token
    ask(client)


def test_a_key_of_tokens_that_is_taken_away_lets_nobody_in_any_more(
    client: TestClient, look: Callable[[], float]
) -> None:
    settings = client.app.state.services.settings
    KeyRing.rotate(settings.token_keys_path, datetime.now(UTC))
    look()
    assert client.get(f"/v1/scores/{ask(client)['id']}").status_code == 200
    (settings.token_keys_path / "0.jwk").unlink()
    look()
    assert client.get("/v1/scores/0b8f3f0e-2f0c-4e0b-9d3c-8a2b6a1f7c55").status_code == 401


def test_keys_that_cannot_be_read_again_are_told_and_those_before_serve_on(
    client: TestClient, look: Callable[[], float], caplog: pytest.LogCaptureFixture
) -> None:
    folder: Path = client.app.state.services.settings.receipt_keys_path
    folder.rename(folder.with_name("elsewhere"))
    look()
    look()
    assert told(client) == ["keys: the signing keys cannot be read; the former keys stay active."]
    assert not list(folder.glob("*")), "no key is made in a folder that was lost"
    assert str(folder) in caplog.text
    ask(client)
    folder.with_name("elsewhere").rename(folder)
    look()
    assert told(client) == []


def test_a_token_key_signs_no_receipt_that_anybody_takes(client: TestClient) -> None:
    score, services = ask(client), client.app.state.services
    del score["receipt"]
    from scoring.canonical import canonical_json

    forged = {**score, "receipt": services.auth.tokens.ring.sign(canonical_json(score), "receipt+jws")}
    with pytest.raises(SignatureError, match="of an unknown key"):
        verify_receipt(canonical_json(forged), client.get("/.well-known/jwks.json").json())


@pytest.mark.slow
def test_a_look_that_hangs_holds_up_no_end() -> None:
    let = threading.Event()
    repeating = RepeatingTask("hangs", lambda: float(let.wait(30)))
    began = time.monotonic()
    repeating.close()
    assert time.monotonic() - began < 20
    let.set()


def test_work_that_fails_is_logged_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    done = threading.Event()
    tries = iter((ZeroDivisionError, None))

    def work() -> float:
        error = next(tries)
        if error is not None:
            raise error
        done.set()
        return 60.0

    repeating = RepeatingTask("fails", work)
    until = time.monotonic() + 30
    while "fails failed" not in caplog.text and time.monotonic() < until:
        time.sleep(0.01)
    repeating.wake()
    assert done.wait(30)
    repeating.close()


def test_troubles_are_logged_when_they_begin_change_and_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    troubles = DegradedConditions()
    troubles.report("b", None)
    for why in ("first", "first", "second"):
        troubles.report("b", "is broken.", why)
    troubles.report("a", "is away.")
    assert troubles.all == ["a: is away.", "b: is broken."]
    troubles.report("b", None)
    assert troubles.all == ["a: is away."]
    assert [each.getMessage() for each in caplog.records] == [
        "b: is broken. first",
        "b: is broken. second",
        "a: is away.",
        "b: recovered",
    ]
