"""The model reloader: another champion without a lost request, and new keys without a restart."""

from __future__ import annotations

import json
import logging
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from api.auth.scopes import ClientKind
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
from scoring.canonical import canonical_json
from scoring.model import Calibration
from tests.api.conftest import SELLERS, Opener, bank_of, fill, other_catalogue, register, snapshot_of, token_for
from tests.api.started import demo_credentials, register_of
from tests.api.test_killed import serving, wait_until
from tests.api.test_workers import TWO, ready
from tests.counts import SWAPS

if TYPE_CHECKING:
    from starlette.testclient import TestClient


@dataclass(frozen=True)
class Registry:
    """A registry whose champion is version 1, and the numbers of further versions by name."""

    uri: str
    versions: dict[str, str]

    def point(self, alias: str, name: str | None) -> None:
        """Set an alias to a version by name or number; None removes it."""
        import mlflow

        client = mlflow.MlflowClient(self.uri, self.uri)
        if name is None:
            client.delete_registered_model_alias("sellerscore", alias)
        else:
            client.set_registered_model_alias("sellerscore", alias, self.versions.get(name, name))

    @property
    def file(self) -> Path:
        return Path(self.uri.removeprefix("sqlite:///"))


def pack_variant(bundle: Bundle, catalogue: str | None = None) -> dict[str, bytes]:
    sheet = replace(bundle.sheet, catalogue=catalogue or bundle.sheet.catalogue)
    policy = replace(bundle.policy, calibration=Calibration(0.7, -0.4))
    return pack(BundleParts(bundle.model.text, sheet, policy, bundle.reasons, bundle.reference))


@pytest.fixture(scope="module")
def prepared(registry: str, bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Registry:
    folder = tmp_path_factory.mktemp("registry-of-more")
    shutil.copy(registry.removeprefix("sqlite:///"), folder / "mlflow.db")
    uri, rival = f"sqlite:///{folder}/mlflow.db", pack_variant(bundle)
    variants = {
        "rival": rival,
        "broken": {**rival, "model.txt": rival["model.txt"] + b"\n"},
        "misfit": pack_variant(bundle, other_catalogue().catalogue),
    }
    prepared = Registry(uri, {name: register(uri, files, folder / name) for name, files in variants.items()})
    prepared.point("champion", "1")
    return prepared


@pytest.fixture
def registered(prepared: Registry, tmp_path: Path) -> Registry:
    """A registry that a test may change."""
    shutil.copy(prepared.file, tmp_path / "mlflow.db")
    return Registry(f"sqlite:///{tmp_path}/mlflow.db", prepared.versions)


@pytest.fixture
def client(settings: Settings, registered: Registry, open_client: Opener) -> Iterator[TestClient]:
    with open_client(settings.model_copy(update={"mlflow_uri": registered.uri})) as opened:
        yield opened


@pytest.fixture
def reload(client: TestClient) -> Callable[[], float]:
    return ModelReloader(client.app.state).reload


def score(client: httpx.Client, seller_id: str = SELLERS[0]) -> dict[str, Any]:
    response = client.post("/v1/scores", json={"seller_id": seller_id, "purpose": "credit_application"})
    assert response.status_code == 201, response.text
    return dict(response.json())


def bundle_of(issued: dict[str, Any]) -> str:
    return str(issued["assessment"]["versions"]["bundle"])


def degraded(client: TestClient) -> list[str]:
    return list(client.get("/health/ready").json()["degraded"])


@dataclass
class Load:
    """Callers that score until they are stopped, and all of their responses."""

    address: str
    token: str
    statuses: list[int] = field(default_factory=list)
    scores: dict[str, str] = field(default_factory=dict)
    stopped: threading.Event = field(default_factory=threading.Event)

    def call(self) -> None:
        headers = {"Authorization": f"Bearer {self.token}"}
        sellers = cycle(SELLERS)
        with httpx.Client(base_url=self.address, headers=headers, timeout=30) as client:
            while not self.stopped.is_set():
                body = {"seller_id": next(sellers), "purpose": "credit_application"}
                response = client.post("/v1/scores", json=body)
                self.statuses.append(response.status_code)
                if response.status_code == 201:
                    self.scores[response.json()["id"]] = bundle_of(response.json())

    def wait_for(self, is_expected: Callable[[str], bool], number: int = 20) -> None:
        """Wait until expected bundles have issued a number of scores from now on."""
        until, before = time.monotonic() + 60, len(self.scores)
        while sum(map(is_expected, list(self.scores.values())[before:])) < number:
            assert time.monotonic() < until, self.statuses[-5:]
            time.sleep(0.02)


@pytest.mark.repeated
def test_no_request_is_lost_while_the_champion_changes_and_all_scores_replay(
    today: date, stored_in: Settings, registered: Registry, open_client: Opener, *, bundle: Bundle, tmp_path: Path
) -> None:
    fill(stored_in.home, snapshot_of(today))
    settings = stored_in.model_copy(update={"mlflow_uri": registered.uri})
    load_champion(settings)
    variables = {
        "MLFLOW_TRACKING_URI": registered.uri,
        "SELLERSCORE_REFRESH_SECONDS": "86400",
        "SELLERSCORE_RATE_LIMIT_CALLS": "1000000",
    }
    with open_client(settings):  # creates the bank and its consents
        pass
    with serving(settings, tmp_path / "log", **variables) as (process, address), ThreadPoolExecutor(4) as pool:
        with httpx.Client(base_url=address, timeout=30) as caller:
            load = Load(address, token_for(caller, settings))
        callers = [pool.submit(load.call) for _ in range(4)]
        try:
            load.wait_for(lambda digest: digest == bundle.digest)
            for version, is_other in islice(cycle([("rival", True), ("1", False)]), SWAPS):
                registered.point("champion", version)
                process.send_signal(signal.SIGHUP)
                load.wait_for(lambda digest, is_other=is_other: (digest != bundle.digest) is is_other)
        finally:
            load.stopped.set()
        for caller in callers:
            caller.result(60)
    assert set(load.statuses) == {201}, (tmp_path / "log").read_text()
    assert len(set(load.scores.values())) == 2
    with open_client(settings) as client:
        services = client.app.state.services
        assert services.champion.version == (registered.versions["rival"] if SWAPS % 2 else "1")
        for score_id in load.scores:
            assert client.post(f"/v1/scores/{score_id}/replay").json() == {"matches": True, "differences": []}
        assert (
            verify(
                services.engine, services.ledger, services.receipts.jwks, [ScoreIndexCheck(services.receipts.jwks)]
            ).faults
            == ()
        )


def test_all_workers_reload_the_model_on_sighup(
    today: date, settings: Settings, registered: Registry, open_client: Opener, tmp_path: Path
) -> None:
    fill(settings.home, snapshot_of(today))
    settings = settings.model_copy(update={"mlflow_uri": registered.uri})
    load_champion(settings)
    with open_client(settings):
        pass
    log = tmp_path / "log"
    variables = {"MLFLOW_TRACKING_URI": registered.uri, "SELLERSCORE_REFRESH_SECONDS": "86400", **TWO}
    with serving(settings, log, **variables) as (process, _):
        wait_until(lambda: ready(log) == 2, log)
        registered.point("champion", "rival")
        process.send_signal(signal.SIGHUP)
        expected = f"model version {registered.versions['rival']} replaces version"
        wait_until(lambda: log.read_text().count(expected) == 2, log)


def test_a_request_keeps_the_model_that_it_started_with(
    client: TestClient,
    registered: Registry,
    reload: Callable[[], float],
    bundle: Bundle,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from api.scores import inputs

    registered.point("champion", "rival")
    assess = inputs.assess

    def reload_and_assess(*arguments: Any) -> Any:
        reload()
        return assess(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(inputs, "assess", reload_and_assess)
        during = score(client)
    after = score(client)
    assert (bundle_of(during), bundle_of(after) == bundle.digest) == (bundle.digest, False)
    for issued in (during, after):
        assert client.post(f"/v1/scores/{issued['id']}/replay").json()["matches"] is True


@pytest.mark.parametrize(("name", "reason"), [("broken", "model.txt"), ("misfit", "VectorError")])
def test_a_champion_that_cannot_be_used_is_reported_once_and_the_former_stays_active(
    client: TestClient,
    registered: Registry,
    reload: Callable[[], float],
    *,
    bundle: Bundle,
    caplog: pytest.LogCaptureFixture,
    name: str,
    reason: str,
) -> None:
    caplog.set_level(logging.INFO, "api")
    registered.point("champion", name)
    for _ in range(3):
        reload()
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert reason in warning
    assert degraded(client) == ["model: the champion of the registry cannot be used; version 1 stays active."]
    assert bundle_of(score(client)) == bundle.digest
    assert json.loads((client.app.state.services.settings.home / "champion.json").read_text())["version"] == "1"
    assert SELLERS[0] not in caplog.text
    registered.point("champion", "rival")
    reload()
    assert degraded(client) == []
    assert bundle_of(score(client)) != bundle.digest
    assert "model: recovered" in caplog.text


def test_a_rejected_champion_becomes_active_once_its_vectors_are_computed(
    client: TestClient, registered: Registry, reload: Callable[[], float], bundle: Bundle
) -> None:
    registered.point("champion", "misfit")
    reload()
    assert bundle_of(score(client)) == bundle.digest
    fill(client.app.state.services.settings.home, other_catalogue())
    assert client.get("/health/ready").status_code == 503
    reload()
    assert client.get("/health/ready").status_code == 200
    assert bundle_of(score(client)) != bundle.digest


def test_a_lost_registry_is_reported_once_and_the_model_stays_active(
    client: TestClient,
    registered: Registry,
    reload: Callable[[], float],
    *,
    bundle: Bundle,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    settings, elsewhere = client.app.state.services.settings, registered.file.with_suffix(".away")
    registered.file.rename(elsewhere)
    for _ in range(3):
        assert reload() == settings.refresh_seconds
    assert caplog.text.count("does not respond; version 1 stays active") == 1
    assert degraded(client) == ["registry: the model registry does not respond; version 1 stays active."]
    assert bundle_of(score(client)) == bundle.digest
    elsewhere.rename(registered.file)
    registered.point("champion", "rival")
    reload()
    assert degraded(client) == []
    assert bundle_of(score(client)) != bundle.digest
    registered.file.unlink()
    # a restart without the registry serves the last model
    assert load_champion(settings).version == registered.versions["rival"]


def test_a_challenger_is_added_changed_and_removed_without_a_restart(
    client: TestClient, registered: Registry, reload: Callable[[], float], monkeypatch: pytest.MonkeyPatch
) -> None:
    services = client.app.state.services
    assert services.shadow is None
    registered.point("challenger", "rival")
    reload()
    first = client.app.state.services.shadow
    assert first is not None
    issued = score(client)
    reload()
    assert client.app.state.services.shadow is first
    registered.point("champion", "rival")
    reload()
    assert client.app.state.services.shadow is None, "a promoted challenger would score every request twice"
    with monkeypatch.context() as patched:
        # a loaded version is not downloaded again
        patched.setattr("api.models.registry._download", None)
        reload()
    with transaction(services.engine) as connection:
        (shadow,) = shadows.iterate_shadow_scores(connection)
    assert (shadow.score_id, shadow.model) == (issued["id"], first.challenger.bundle.digest)
    registered.point("challenger", None)
    registered.point("champion", "1")
    reload()
    assert client.app.state.services.shadow is None
    assert not (services.settings.home / "challenger.json").exists()


def test_a_broken_challenger_is_only_logged(
    client: TestClient, registered: Registry, reload: Callable[[], float], caplog: pytest.LogCaptureFixture
) -> None:
    registered.point("challenger", "broken")
    reload()
    reload()
    assert degraded(client) == []
    assert caplog.text.count("challenger: it cannot be used.") == 1


def test_new_keys_are_loaded_and_receipts_of_former_keys_verify(
    client: TestClient, reload: Callable[[], float]
) -> None:
    settings = client.app.state.services.settings
    old = score(client)
    KeyRing.rotate(settings.receipt_keys_path, datetime.now(UTC), timedelta(hours=1))
    reload()
    between, published = score(client), client.get("/.well-known/jwks.json").json()
    assert len(published["keys"]) == 2, "a key is published before it signs"
    assert verify_receipt(json.dumps(between).encode(), {"keys": published["keys"][:1]})
    for folder in (settings.receipt_keys_path, settings.token_keys_path):
        KeyRing.rotate(folder, datetime.now(UTC))
    reload()
    new, keys = score(client), client.get("/.well-known/jwks.json").json()
    assert len(keys["keys"]) == 3
    for issued in (old, between, new):
        assert verify_receipt(json.dumps(issued).encode(), keys)
    with pytest.raises(SignatureError):
        verify_receipt(json.dumps(new).encode(), published)
    # tokens of the former key are valid until its file is deleted
    (settings.token_keys_path / "0.jwk").unlink()
    reload()
    path = f"/v1/scores/{old['id']}"
    assert client.get(path).status_code == 401
    client.headers["Authorization"] = f"Bearer {token_for(client, settings)}"
    assert client.get(path).status_code == 200


def test_clients_of_a_stolen_receipt_key_need_a_new_credential(client: TestClient, reload: Callable[[], float]) -> None:
    services = client.app.state.services
    folder, bank_id = services.settings.receipt_keys_path, bank_of(client)
    KeyRing.rotate(folder, datetime.now(UTC))
    reload()
    score(client)
    (folder / "0.jwk").unlink()
    reload()
    path, form = "/v1/scores", {"grant_type": "client_credentials"}
    assert client.get(path).status_code == 401
    rotated = register_of(client.app.state.services).rotate(
        ClientKind.BANK, bank_id, credential=services.auth.secrets.new(), overlap=timedelta(1), now=datetime.now(UTC)
    )
    assert client.post("/oauth/token", data=form, auth=demo_credentials(services.settings)).status_code == 401
    assert client.post("/oauth/token", data=form, auth=(bank_id, rotated.secret)).status_code == 200
    assert client.get(path).status_code == 200


def test_keys_that_cannot_be_read_are_reported_and_the_former_stay_active(
    client: TestClient, reload: Callable[[], float], caplog: pytest.LogCaptureFixture
) -> None:
    folder: Path = client.app.state.services.settings.receipt_keys_path
    elsewhere = folder.rename(folder.with_name("elsewhere"))
    reload()
    reload()
    assert degraded(client) == ["keys: the signing keys cannot be read; the former keys stay active."]
    assert not list(folder.glob("*")), "no key is created in a folder that was lost"
    assert str(folder) in caplog.text
    score(client)
    elsewhere.rename(folder)
    reload()
    assert degraded(client) == []


def test_a_token_key_cannot_sign_a_receipt(client: TestClient) -> None:
    issued, services = score(client), client.app.state.services
    del issued["receipt"]
    forged = {**issued, "receipt": services.auth.tokens.ring.sign(canonical_json(issued), "receipt+jws")}
    with pytest.raises(SignatureError, match="not among the trusted keys"):
        verify_receipt(canonical_json(forged), client.get("/.well-known/jwks.json").json())


@pytest.mark.slow
def test_a_task_that_hangs_does_not_delay_the_shutdown() -> None:
    released = threading.Event()
    task = RepeatingTask("hangs", lambda: float(released.wait(30)))
    started = time.monotonic()
    task.close()
    assert time.monotonic() - started < 20
    released.set()


def test_a_failed_task_is_logged_and_repeated(caplog: pytest.LogCaptureFixture) -> None:
    done, errors = threading.Event(), iter((ZeroDivisionError, None))

    def work() -> float:
        error = next(errors)
        if error is not None:
            raise error
        done.set()
        return 60.0

    task = RepeatingTask("fails", work)
    until = time.monotonic() + 30
    while "fails failed" not in caplog.text and time.monotonic() < until:
        time.sleep(0.01)
    task.wake()
    assert done.wait(30)
    task.close()


def test_conditions_are_logged_when_they_start_change_and_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    conditions = DegradedConditions()
    conditions.report("b", None)
    for cause in ("first", "first", "second"):
        conditions.report("b", "is broken.", cause)
    conditions.report("a", "is away.")
    assert conditions.all == ["a: is away.", "b: is broken."]
    conditions.report("b", None)
    assert conditions.all == ["a: is away."]
    messages = [record.getMessage() for record in caplog.records]
    assert messages == ["b: is broken. first", "b: is broken. second", "a: is away.", "b: recovered"]
