"""The challenger: scores the same requests behind the champion, is kept beside it, and is never in anybody's way."""

from __future__ import annotations

import json
import logging
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from api.database import open_database, transaction
from api.ledger.opening import open_ledger
from api.model_store import Served, load_challenger
from api.services import Services
from api.settings import Settings
from api.shadow import repository
from api.shadow.repository import Numbers, Pair, ShadowScore
from api.shadow.service import Shadow
from api.vectors import to_vector
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


def pairs(settings: Settings, bundle: Bundle, since: datetime | None = None) -> list[Pair]:
    engine, ledger = open_ledger(settings)
    with transaction(engine) as connection:
        found = list(repository.beside(connection, ledger, bundle.digest, since))
    engine.dispose()
    return found


def test_the_challenger_scores_the_same_vectors_and_is_read_back_beside_the_champion(
    shadowed: Settings, open_client: Opener, bundle: Bundle, rival: Bundle
) -> None:
    with open_client(shadowed) as client:
        answers = {seller: ask(client, seller) for seller in (*SELLERS[:5], NEWCOMER)}
    vectors = VectorStore(shadowed.vectors_path)
    found = pairs(shadowed, rival)
    assert [pair.score_id for pair in found] == [answer["id"] for answer in answers.values()]
    for pair in found:
        expected = assess(rival, [to_vector(vectors.latest(pair.seller_id))])[0]
        assert pair.challenger == Numbers(
            str(expected.outcome), expected.score, expected.band, expected.probability_of_default
        )
        answered = answers[pair.seller_id]["assessment"]
        assert vars(pair.champion) == {name: answered[name] for name in vars(pair.champion)}
        assert pair.champion_bundle == bundle.digest
    assert sum(pair.champion.score != pair.challenger.score for pair in found) == 5


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


def test_pairs_are_those_of_one_challenger_since_a_moment(
    shadowed: Settings, open_client: Opener, bundle: Bundle, rival: Bundle
) -> None:
    with open_client(shadowed) as client:
        ask(client, SELLERS[0])
    assert pairs(shadowed, bundle) == []
    assert len(pairs(shadowed, rival, datetime.now(UTC) - timedelta(hours=1))) == 1
    assert pairs(shadowed, rival, datetime.now(UTC) + timedelta(hours=1)) == []


def test_many_requests_are_all_kept_when_the_service_ends(
    shadowed: Settings, open_client: Opener, rival: Bundle
) -> None:
    with open_client(shadowed) as client:
        made = [ask(client, SELLERS[number % 60])["id"] for number in range(250)]
    assert [pair.score_id for pair in pairs(shadowed, rival)] == made


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

    monkeypatch.setattr("api.shadow.service.assess", waiting)
    yield let
    let.set()


def test_a_challenger_that_hangs_holds_up_no_answer(
    shadowed: Settings, open_client: Opener, rival: Bundle, blocked: threading.Event
) -> None:
    with open_client(shadowed) as client:
        made = [ask(client, seller)["id"] for seller in SELLERS[:20]]
        services: Services = client.app.state.services
        with transaction(services.engine) as connection:
            assert list(repository.beside(connection, services.ledger, rival.digest)) == []
        blocked.set()
    assert [pair.score_id for pair in pairs(shadowed, rival)] == made


def test_a_queue_that_is_full_leaves_requests_out_and_answers_on(
    shadowed: Settings,
    open_client: Opener,
    *,
    rival: Bundle,
    blocked: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("api.shadow.service._WAITING", 3)
    monkeypatch.setattr("api.shadow.service._GATHER_SECONDS", 0.0)
    with open_client(shadowed) as client:
        for seller in SELLERS[:20]:
            ask(client, seller)
        blocked.set()
    assert 3 <= len(pairs(shadowed, rival)) < 20
    assert "leaves one out" in caplog.text


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
    assert pairs(settings, bundle) == []
    assert "the challenger leaves out 1 requests that it cannot score: VectorError" in caplog.text
    assert SELLERS[0] not in caplog.text


def test_a_database_that_refuses_costs_shadow_scores_only(
    shadowed: Settings, rival: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    engine = open_database(shadowed.database_url)
    shadow = Shadow(Served(rival, "sellerscore", "2"), engine)
    vector = to_vector(VectorStore(shadowed.vectors_path).latest(SELLERS[0]))
    shadow.offer("a score that was never stored", vector)
    shadow.close()
    assert "1 shadow scores could not be stored" in caplog.text
    engine.dispose()
    assert pairs(shadowed, rival) == []


@pytest.mark.databases
def test_shadow_scores_wait_for_their_turn_behind_those_who_write(
    stored_in: Settings, open_client: Opener, *, challenged: str, rival: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a writer that SQLite keeps waiting for longer than this gives up; one that queues for its turn does not
    monkeypatch.setattr("api.durability._BUSY_SECONDS", 0.2)
    settings = stored_in.model_copy(update={"mlflow_uri": challenged})
    with open_client(settings) as client:
        made, services = ask(client, SELLERS[0])["id"], client.app.state.services
        with transaction(services.engine, writes=True):
            time.sleep(1.5)
    assert [pair.score_id for pair in pairs(settings, rival)] == [made]


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
    assert "the challenger, if there is one, cannot be used" in caplog.text


def test_shadow_scores_of_a_score_are_one_a_challenger(shadowed: Settings, open_client: Opener, rival: Bundle) -> None:
    with open_client(shadowed) as client:
        score_id = str(ask(client, SELLERS[0])["id"])
    engine, ledger = open_ledger(shadowed)
    other = ShadowScore(score_id, "sha256:" + "1" * 64, Numbers("stale_data", None, None, None))
    with transaction(engine) as connection:
        repository.add(connection, [other])
        (pair,) = repository.beside(connection, ledger, other.bundle)
    assert pair.challenger == other.numbers
    assert len(pairs(shadowed, rival)) == 1
    engine.dispose()
