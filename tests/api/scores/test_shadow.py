"""The challenger scores the same requests in the background and never delays or fails a response."""

from __future__ import annotations

import json
import logging
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
from api.scores.shadow import (
    ShadowScore,
    ShadowScorer,
    insert_shadow_scores,
    iterate_shadow_scores,
)
from api.services import Services
from api.settings import Settings
from features.store.vectors import VectorStore
from scoring import Bundle, assess, pack
from scoring.bundle import BundleParts
from scoring.model import Calibration
from tests.api.conftest import NEWCOMER, SELLERS, Opener, fill, other_catalogue, register


@pytest.fixture(scope="module")
def rival_files(bundle: Bundle) -> dict[str, bytes]:
    """The champion's bundle with another calibration."""
    policy = replace(bundle.policy, calibration=Calibration(0.7, -0.4))
    return pack(BundleParts(bundle.model.text, bundle.sheet, policy, bundle.reasons, bundle.reference))


@pytest.fixture(scope="module")
def rival(rival_files: dict[str, bytes]) -> Bundle:
    return Bundle.from_files(rival_files)


@pytest.fixture(scope="module")
def challenged(registry: str, rival_files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> str:
    """A registry whose first version is champion and whose second is challenger."""
    import mlflow

    folder = tmp_path_factory.mktemp("challenged")
    shutil.copy(registry.removeprefix("sqlite:///"), folder / "mlflow.db")
    uri = f"sqlite:///{folder}/mlflow.db"
    version = register(uri, rival_files, folder / "rival")
    client = mlflow.MlflowClient(uri, uri)
    client.set_registered_model_alias("sellerscore", "champion", "1")
    client.set_registered_model_alias("sellerscore", "challenger", version)
    return uri


@pytest.fixture
def shadowed(settings: Settings, challenged: str) -> Settings:
    return settings.model_copy(update={"mlflow_uri": challenged})


def ask(client: object, seller_id: str) -> dict[str, object]:
    answer = client.post("/v1/scores", json={"seller_id": seller_id, "purpose": "credit_application"})
    assert answer.status_code == 201, answer.text
    return answer.json()


def shadow_scores(settings: Settings, bundle: Bundle) -> list[ShadowScore]:
    engine, _ = open_ledger(settings)
    with transaction(engine) as connection:
        stored = [item for item in iterate_shadow_scores(connection) if item.model == bundle.digest]
    engine.dispose()
    return stored


def test_the_challenger_scores_the_same_vectors(shadowed: Settings, open_client: Opener, rival: Bundle) -> None:
    with open_client(shadowed) as client:
        responses = {seller: ask(client, seller) for seller in (*SELLERS[:5], NEWCOMER)}
    vectors = VectorStore(shadowed.vectors_path)
    stored = shadow_scores(shadowed, rival)
    assert [item.score_id for item in stored] == [response["id"] for response in responses.values()]
    for item, (seller, response) in zip(stored, responses.items(), strict=True):
        expected = assess(rival, [to_vector(vectors.latest(seller))])[0]
        numbers = (item.outcome, item.score, item.band, item.probability_of_default)
        assert numbers == (expected.outcome, expected.score, expected.band, expected.probability_of_default)
        assert expected.score is None or item.score != response["assessment"]["score"]


def test_a_bank_sees_nothing_of_the_challenger(
    shadowed: Settings, open_client: Opener, bundle: Bundle, rival: Bundle
) -> None:
    with open_client(shadowed) as client:
        answer = client.post("/v1/scores", json={"seller_id": SELLERS[0], "purpose": "credit_application"})
        read = client.get(answer.headers["Location"])
        everything = answer.text + read.text + client.get("/health/ready").text + client.get("/openapi.json").text
    assert answer.json()["assessment"]["versions"]["bundle"] == bundle.digest
    assert rival.digest not in everything
    assert "challenger" not in everything
    assert "shadow" not in everything


def test_many_requests_are_all_kept_when_the_service_ends(
    shadowed: Settings, open_client: Opener, rival: Bundle
) -> None:
    with open_client(shadowed) as client:
        made = [ask(client, SELLERS[number % 60])["id"] for number in range(250)]
    assert [item.score_id for item in shadow_scores(shadowed, rival)] == made


def test_without_a_challenger_nothing_is_kept(settings: Settings, open_client: Opener) -> None:
    with open_client(settings) as client:
        ask(client, SELLERS[0])
        assert client.app.state.services.shadow is None
        with transaction(client.app.state.services.engine) as connection:
            assert connection.execute(text("SELECT count(*) FROM shadow_scores")).scalar_one() == 0


def test_a_challenger_that_is_the_champion_does_not_score_twice(
    registry: str, settings: Settings, open_client: Opener, tmp_path: Path
) -> None:
    uri = _with_challenger(registry, tmp_path, "1")
    with open_client(settings.model_copy(update={"mlflow_uri": uri})) as client:
        assert client.app.state.services.shadow is None


def _with_challenger(registry: str, folder: Path, version: str) -> str:
    import mlflow

    shutil.copy(registry.removeprefix("sqlite:///"), folder / "mlflow.db")
    uri = f"sqlite:///{folder}/mlflow.db"
    mlflow.MlflowClient(uri, uri).set_registered_model_alias("sellerscore", "challenger", version)
    return uri


@pytest.fixture
def blocked(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A challenger that does not answer until it is let."""
    let = threading.Event()

    def waiting(*given: object) -> object:
        let.wait(30)
        return assess(*given)

    monkeypatch.setattr("api.scores.shadow.assess", waiting)
    yield let
    let.set()


def test_a_challenger_that_hangs_holds_up_no_answer(
    shadowed: Settings, open_client: Opener, rival: Bundle, blocked: threading.Event
) -> None:
    with open_client(shadowed) as client:
        made = [ask(client, seller)["id"] for seller in SELLERS[:20]]
        services: Services = client.app.state.services
        with transaction(services.engine) as connection:
            assert list(iterate_shadow_scores(connection)) == []
        blocked.set()
    assert [item.score_id for item in shadow_scores(shadowed, rival)] == made


def test_a_queue_that_is_full_leaves_requests_out_and_answers_on(
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
            ask(client, seller)
        blocked.set()
    assert 3 <= len(shadow_scores(shadowed, rival)) < 20
    assert "skips one" in caplog.text


def test_vectors_of_another_catalogue_are_left_out_and_named_to_nobody(
    settings: Settings,
    open_client: Opener,
    *,
    bundle: Bundle,
    registry: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The champion follows the vectors of a new catalogue; the challenger was trained with the old one."""
    newer = replace(bundle.sheet, catalogue=other_catalogue().catalogue)
    files = pack(BundleParts(bundle.model.text, newer, bundle.policy, bundle.reasons, bundle.reference))
    uri = _with_challenger(registry, tmp_path, "1")
    register(uri, files, tmp_path / "newer")
    fill(settings.home, other_catalogue())
    with open_client(settings.model_copy(update={"mlflow_uri": uri})) as client:
        ask(client, SELLERS[0])
    assert shadow_scores(settings, bundle) == []
    assert "the challenger skips 1 requests that it cannot score: VectorError" in caplog.text
    assert SELLERS[0] not in caplog.text


def test_a_database_that_refuses_costs_shadow_scores_only(
    shadowed: Settings, rival: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    engine = open_database(shadowed.database_url)
    shadow = ShadowScorer(ServedModel(rival, "sellerscore", "2"), engine)
    vector = to_vector(VectorStore(shadowed.vectors_path).latest(SELLERS[0]))
    shadow.offer("a score that was never stored", vector)
    shadow.close()
    assert "1 shadow scores could not be stored" in caplog.text
    engine.dispose()
    assert shadow_scores(shadowed, rival) == []


@pytest.mark.databases
def test_shadow_scores_wait_for_their_turn_behind_those_who_write(
    stored_in: Settings, open_client: Opener, *, challenged: str, rival: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a writer that SQLite keeps waiting for longer than this gives up; one that queues for its turn does not
    monkeypatch.setattr("api.kit.database._BUSY_SECONDS", 0.2)
    settings = stored_in.model_copy(update={"mlflow_uri": challenged})
    with open_client(settings) as client:
        made, services = ask(client, SELLERS[0])["id"], client.app.state.services
        with transaction(services.engine, writes=True):
            time.sleep(1.5)
    assert [item.score_id for item in shadow_scores(settings, rival)] == [made]


def test_a_restart_keeps_its_challenger_when_the_registry_is_away(shadowed: Settings, rival: Bundle) -> None:
    away = shadowed.model_copy(update={"mlflow_uri": f"sqlite:///{shadowed.home}/gone/mlflow.db"})
    assert load_challenger(away) is None
    first = load_challenger(shadowed)
    assert first is not None
    assert (first.bundle.digest, first.version) == (rival.digest, "2")
    again = load_challenger(away)
    assert again is not None
    assert again.bundle.digest == rival.digest


def test_a_challenger_that_was_withdrawn_is_forgotten(shadowed: Settings, settings: Settings) -> None:
    assert load_challenger(shadowed) is not None
    assert json.loads((shadowed.home / "challenger.json").read_text())["version"] == "2"
    assert load_challenger(settings) is None
    assert not (shadowed.home / "challenger.json").exists()


def test_a_broken_challenger_is_a_line_in_the_log_and_no_reason_not_to_serve(
    shadowed: Settings, open_client: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    (shadowed.home / "challenger.json").write_text("{")
    with open_client(shadowed) as client:
        ask(client, SELLERS[0])
        assert client.app.state.services.shadow is None
    assert "the challenger cannot be used" in caplog.text


def test_shadow_scores_of_a_score_are_one_a_challenger(shadowed: Settings, open_client: Opener, rival: Bundle) -> None:
    with open_client(shadowed) as client:
        score_id = str(ask(client, SELLERS[0])["id"])
    engine, _ = open_ledger(shadowed)
    other = ShadowScore(score_id, "sha256:" + "1" * 64, "stale_data", None, None, None)
    with transaction(engine) as connection:
        insert_shadow_scores(connection, [other])
        assert other in list(iterate_shadow_scores(connection))
    assert len(shadow_scores(shadowed, rival)) == 1
    engine.dispose()
