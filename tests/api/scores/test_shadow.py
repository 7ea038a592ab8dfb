"""Shadow scores: the challenger scores the same requests in the background and never delays or fails a response."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from api.kit.database import open_database, transaction
from api.ledger.store import open_ledger
from api.models.bundle_store import ServedModel
from api.models.registry import load_challenger
from api.scores.inputs import to_vector
from api.scores.shadow import ShadowScore, ShadowScorer, insert_shadow_scores, iterate_shadow_scores
from api.settings import Settings
from features.store.vectors import VectorStore
from scoring import Bundle, Vector, assess
from scoring.model import Calibration
from tests.api.conftest import NEWCOMER, SELLERS, Opener, fill, other_catalogue, register
from tests.api.scores.conftest import Bank, files_of, with_policy


@pytest.fixture(scope="module")
def rival(bundle: Bundle) -> Bundle:
    """The champion's bundle with another calibration."""
    return with_policy(bundle, calibration=Calibration(0.7, -0.4))


def _copy_registry(registry: str, folder: Path, challenger: str, files: dict[str, bytes] | None = None) -> str:
    """Copy a registry, register files as a second version, and set the alias of the challenger."""
    import mlflow

    shutil.copy(registry.removeprefix("sqlite:///"), folder / "mlflow.db")
    uri = f"sqlite:///{folder}/mlflow.db"
    client = mlflow.MlflowClient(uri, uri)
    if files is not None:
        register(uri, files, folder / "second")
        client.set_registered_model_alias("sellerscore", "champion", "1")
    client.set_registered_model_alias("sellerscore", "challenger", challenger)
    return uri


@pytest.fixture(scope="module")
def challenged(registry: str, rival: Bundle, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A registry whose first version is champion and whose second is challenger."""
    return _copy_registry(registry, tmp_path_factory.mktemp("challenged"), "2", files_of(rival))


@pytest.fixture
def shadowed(settings: Settings, challenged: str) -> Settings:
    return settings.model_copy(update={"mlflow_uri": challenged})


def latest_vector(settings: Settings, seller_id: str) -> Vector:
    stored = VectorStore(settings.vectors_path).latest(seller_id)
    assert stored is not None
    return to_vector(stored)


def shadow_scores(settings: Settings, bundle: Bundle) -> list[ShadowScore]:
    engine, _ = open_ledger(settings)
    with transaction(engine) as connection:
        stored = [shadow for shadow in iterate_shadow_scores(connection) if shadow.model == bundle.digest]
    engine.dispose()
    return stored


def test_the_challenger_scores_the_same_vectors(shadowed: Settings, open_client: Opener, rival: Bundle) -> None:
    sellers = (*SELLERS[:5], NEWCOMER)
    with open_client(shadowed) as client:
        scores = [Bank(client).score(seller) for seller in sellers]
    stored = shadow_scores(shadowed, rival)
    for shadow, seller, score in zip(stored, sellers, scores, strict=True):
        expected = assess(rival, [latest_vector(shadowed, seller)])[0]
        numbers = (expected.outcome, expected.score, expected.band, expected.probability_of_default)
        assert shadow == ShadowScore(score["id"], rival.digest, *numbers)
        assert expected.score is None or shadow.score != score["assessment"]["score"]


def test_a_bank_sees_nothing_of_the_challenger(
    shadowed: Settings, open_client: Opener, bundle: Bundle, rival: Bundle
) -> None:
    with open_client(shadowed) as client:
        issued = Bank(client).post_score()
        paths = (issued.headers["Location"], "/health/ready", "/openapi.json")
        everything = issued.text + "".join(client.get(path).text for path in paths)
    assert issued.json()["assessment"]["versions"]["bundle"] == bundle.digest
    assert not [word for word in (rival.digest, "challenger", "shadow") if word in everything]


def test_all_shadow_scores_are_stored_before_the_service_stops(
    shadowed: Settings, open_client: Opener, rival: Bundle
) -> None:
    with open_client(shadowed) as client:
        issued = [Bank(client).score(SELLERS[number % 60])["id"] for number in range(250)]
    assert [shadow.score_id for shadow in shadow_scores(shadowed, rival)] == issued


def test_without_a_challenger_no_shadow_score_is_stored(
    registry: str, settings: Settings, open_client: Opener, tmp_path: Path
) -> None:
    # the champion itself as challenger would score twice
    uri = _copy_registry(registry, tmp_path, "1")
    for case in (settings, settings.model_copy(update={"mlflow_uri": uri})):
        with open_client(case) as client:
            bank = Bank(client)
            bank.score()
            assert bank.services.shadow is None
            with transaction(bank.services.engine) as connection:
                assert connection.execute(text("SELECT count(*) FROM shadow_scores")).scalar_one() == 0


@pytest.fixture
def blocked(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Block the challenger until the event is set."""
    released = threading.Event()

    def wait(*arguments: object) -> object:
        released.wait(30)
        return assess(*arguments)

    monkeypatch.setattr("api.scores.shadow.assess", wait)
    yield released
    released.set()


def test_a_blocked_challenger_delays_no_response(
    shadowed: Settings, open_client: Opener, rival: Bundle, blocked: threading.Event
) -> None:
    with open_client(shadowed) as client:
        bank = Bank(client)
        issued = [bank.score(seller)["id"] for seller in SELLERS[:20]]
        with transaction(bank.services.engine) as connection:
            assert list(iterate_shadow_scores(connection)) == []
        blocked.set()
    assert [shadow.score_id for shadow in shadow_scores(shadowed, rival)] == issued


def test_with_a_full_queue_the_challenger_skips_requests(
    shadowed: Settings,
    open_client: Opener,
    *,
    rival: Bundle,
    blocked: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("api.scores.shadow._QUEUE_SIZE", 3)
    monkeypatch.setattr("api.scores.shadow._GATHER_SECONDS", 0.0)
    with open_client(shadowed) as client:
        for seller in SELLERS[:20]:
            Bank(client).score(seller)
        blocked.set()
    assert 3 <= len(shadow_scores(shadowed, rival)) < 20
    assert "skips one" in caplog.text


def test_vectors_of_another_catalogue_are_skipped_and_the_log_names_no_seller(
    settings: Settings,
    open_client: Opener,
    *,
    bundle: Bundle,
    registry: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The champion has the catalogue of the vectors; the challenger was trained with the former one."""
    newer = replace(bundle, sheet=replace(bundle.sheet, catalogue=other_catalogue().catalogue))
    uri = _copy_registry(registry, tmp_path, "1")
    register(uri, files_of(newer), tmp_path / "newer")
    fill(settings.home, other_catalogue())
    with open_client(settings.model_copy(update={"mlflow_uri": uri})) as client:
        Bank(client).score()
    assert shadow_scores(settings, bundle) == []
    assert "the challenger skips 1 requests that it cannot score: VectorError" in caplog.text
    assert SELLERS[0] not in caplog.text


def test_a_rejected_write_loses_only_shadow_scores(
    shadowed: Settings, rival: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    engine = open_database(shadowed.database_url)
    scorer = ShadowScorer(ServedModel(rival, "sellerscore", "2"), engine)
    scorer.offer("a score that was never stored", latest_vector(shadowed, SELLERS[0]))
    scorer.close()
    assert "1 shadow scores could not be stored" in caplog.text
    engine.dispose()
    assert shadow_scores(shadowed, rival) == []


@pytest.mark.databases
def test_shadow_scores_wait_for_their_turn_to_write(
    stored_in: Settings, open_client: Opener, *, challenged: str, rival: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    # without a turn, the writer would give up after this time
    monkeypatch.setattr("api.kit.database._BUSY_SECONDS", 0.2)
    settings = stored_in.model_copy(update={"mlflow_uri": challenged})
    with open_client(settings) as client:
        bank = Bank(client)
        issued = bank.score()["id"]
        with transaction(bank.services.engine, writes=True):
            time.sleep(1.5)
    assert [shadow.score_id for shadow in shadow_scores(settings, rival)] == [issued]


def test_a_restart_without_the_registry_keeps_the_challenger_until_it_is_withdrawn(
    shadowed: Settings, settings: Settings, rival: Bundle
) -> None:
    unavailable = shadowed.model_copy(update={"mlflow_uri": f"sqlite:///{shadowed.home}/gone/mlflow.db"})
    assert load_challenger(unavailable) is None
    for case in (shadowed, unavailable):
        challenger = load_challenger(case)
        assert challenger is not None
        assert (challenger.bundle.digest, challenger.version) == (rival.digest, "2")
    assert json.loads((shadowed.home / "challenger.json").read_text())["version"] == "2"
    assert load_challenger(settings) is None
    assert not (shadowed.home / "challenger.json").exists()


def test_a_damaged_challenger_is_logged_and_the_service_starts(
    shadowed: Settings, open_client: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    (shadowed.home / "challenger.json").write_text("{")
    with open_client(shadowed) as client:
        Bank(client).score()
        assert Bank(client).services.shadow is None
    assert "the challenger cannot be used" in caplog.text


def test_each_challenger_has_its_own_shadow_score_of_a_score(
    shadowed: Settings, open_client: Opener, rival: Bundle
) -> None:
    with open_client(shadowed) as client:
        score_id = Bank(client).score()["id"]
    other = ShadowScore(score_id, "sha256:" + "1" * 64, "stale_data", None, None, None)
    engine, _ = open_ledger(shadowed)
    with transaction(engine) as connection:
        insert_shadow_scores(connection, [other])
        assert other in list(iterate_shadow_scores(connection))
    engine.dispose()
    assert len(shadow_scores(shadowed, rival)) == 1
