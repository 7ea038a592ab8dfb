"""A stored score is made again from what is stored; what was changed is named, and what is missing is said."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select, text

import api.models.bundle_store
from api.kit.database import transaction
from api.ledger import chain
from api.ledger.encryption import encrypt
from api.ledger.store import read_content
from api.models.bundle_store import save_bundle
from api.scores import repository
from api.scores.repository import scores
from api.services import Services
from api.settings import Settings
from scoring import Bundle, BundleParts, pack
from scoring.canonical import canonical_json
from scoring.model import Calibration
from tests.api.conftest import NAMES, NEWCOMER, SELLERS, Opener

if TYPE_CHECKING:
    from starlette.testclient import TestClient


@pytest.fixture
def client(stored_in: Settings, open_client: Opener) -> Iterator[TestClient]:
    with open_client(stored_in) as opened:
        yield opened


def ask(client: TestClient, seller_id: str) -> dict[str, Any]:
    answer = client.post("/v1/scores", json={"seller_id": seller_id, "purpose": "credit_application"})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def again(client: TestClient, score: dict[str, Any]) -> Any:
    return client.post(f"/v1/scores/{score['id']}/replay")


def change(services: Services, score_id: str, by: Callable[[dict[str, Any]], object]) -> None:
    """Change what the ledger keeps as one could who has every key: encrypted anew, the commitment as it was."""
    with transaction(services.engine, writes=True) as connection:
        bank_id = connection.execute(select(scores.c.chain).where(scores.c.id == score_id)).scalar_one()
        kept = repository.select_score(connection, bank_id, score_id)
        key = services.ledger.unwrapped(kept.key)
        content = json.loads(read_content(kept.row, key))
        by(content)
        sealed = encrypt(key, chain.salted(canonical_json(content)), kept.row.header.bound)
        connection.execute(
            text("UPDATE ledger SET sealed = :sealed WHERE chain = :chain AND position = :position"),
            {"sealed": sealed, "chain": kept.index.chain, "position": kept.index.position},
        )


@pytest.mark.databases
def test_every_score_replays_to_the_same_bytes(client: TestClient) -> None:
    for seller_id in (*SELLERS, NEWCOMER):
        answer = again(client, ask(client, seller_id))
        assert (answer.status_code, answer.json()) == (200, {"matches": True, "differences": []})
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.databases
def test_a_changed_input_is_named_and_the_score_is_not_shown(client: TestClient) -> None:
    score = ask(client, SELLERS[3])
    was = score["assessment"]["explanation"]["contributions"][2]["value"]
    change(client.app.state.services, score["id"], lambda content: content["inputs"]["values"].__setitem__(2, 0.987))
    answer = again(client, score).json()
    assert answer["matches"] is False
    assert {"path": "/explanation/contributions/2/value", "stored": was, "now": 0.987} in answer["differences"]
    shown = client.get(f"/v1/scores/{score['id']}")
    assert (shown.status_code, shown.json()["type"]) == (500, "/problems/ledger-damaged")


def test_an_input_that_changes_the_outcome_is_named(client: TestClient) -> None:
    score = ask(client, SELLERS[3])
    change(client.app.state.services, score["id"], lambda content: content["inputs"]["values"].__setitem__(0, 5.0))
    differences = {each["path"]: each for each in again(client, score).json()["differences"]}
    assert differences["/outcome"]["stored"] == "scored"
    assert differences["/outcome"]["now"] == "insufficient_history"
    assert {"/score", "/band", "/probability_of_default", "/explanation", "/shortfalls"} < set(differences)


def test_a_changed_answer_is_named(client: TestClient) -> None:
    score = ask(client, SELLERS[4])
    change(
        client.app.state.services,
        score["id"],
        lambda content: content["envelope"]["assessment"].update(score=899),
    )
    (difference,) = again(client, score).json()["differences"]
    assert difference == {"path": "/score", "stored": 899, "now": score["assessment"]["score"]}


def test_a_score_of_a_former_model_is_replayed_by_that_model(client: TestClient, bundle: Bundle) -> None:
    services: Services = client.app.state.services
    policy = replace(bundle.policy, calibration=Calibration(0.7, -0.4))
    files = pack(BundleParts(bundle.model.text, bundle.sheet, policy, bundle.reasons, bundle.reference))
    other = Bundle.from_files(files)
    save_bundle(services.settings, other.digest, files)
    former = replace(services, champion=replace(services.champion, bundle=other))
    client.app.state.services = former
    score = ask(client, SELLERS[0])
    client.app.state.services = services
    assert score["assessment"]["versions"]["bundle"] == other.digest != bundle.digest
    assert again(client, score).json()["matches"] is True
    api.models.bundle_store._load_cached.cache_clear()
    shutil.rmtree(services.settings.home / "bundles" / other.digest.removeprefix("sha256:"))
    missing = again(client, score)
    assert (missing.status_code, missing.json()["type"]) == (409, "/problems/bundle-not-kept")
    save_bundle(services.settings, other.digest, {**files, "manifest.json": b"{}"})
    damaged = again(client, score)
    assert (damaged.status_code, damaged.json()["type"]) == (409, "/problems/bundle-not-kept")


@pytest.mark.parametrize(
    "values", [[1.0], [*([0.5] * (len(NAMES) - 1)), "x"], None, "text", [[0.5]] * len(NAMES), [True] * len(NAMES)]
)
def test_inputs_that_no_model_takes_are_a_problem_and_no_fault(client: TestClient, values: Any) -> None:
    score = ask(client, SELLERS[3])
    change(client.app.state.services, score["id"], lambda content: content["inputs"].update(values=values))
    answer = again(client, score)
    assert answer.status_code in {200, 409, 500}
    assert answer.json().get("type") != "/problems/internal-error"
    assert answer.json().get("matches") is not True


def test_what_is_not_there_cannot_be_replayed(client: TestClient) -> None:
    unknown = again(client, {"id": "0b8f3f0e-2f0c-4e0b-9d3c-8a2b6a1f7c55"})
    assert (unknown.status_code, unknown.json()["type"]) == (404, "/problems/unknown-score")
    assert again(client, {"id": "none"}).status_code == 422
