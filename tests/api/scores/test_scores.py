"""A score over HTTP: what is answered is what is stored, and it adds up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from api.kit.database import transaction
from api.ledger.chain import verify
from api.ledger.store import rows_of
from api.operations.health import readiness
from api.scores.inputs import CorrectedVector, to_vector
from api.scores.repository import find_score
from api.scores.schemas import Score
from api.settings import Settings
from features.store.vectors import VectorStore
from scoring import Bundle, assess, serialize_assessment
from tests.api.conftest import AS_OF, NEWCOMER, NOW, SELLERS, Opener, bank_of

if TYPE_CHECKING:
    from starlette.testclient import TestClient


@pytest.fixture
def client(stored_in: Settings, open_client: Opener) -> Iterator[TestClient]:
    """A caller with the token, of a service on a database of each kind."""
    with open_client(stored_in) as opened:
        yield opened


def _score(client: TestClient, seller_id: str = SELLERS[0], purpose: str = "credit_application") -> dict[str, object]:
    response = client.post("/v1/scores", json={"seller_id": seller_id, "purpose": purpose})
    assert response.status_code == 201, response.text
    answer: dict[str, object] = response.json()
    return answer


def test_a_score_is_read_back_byte_for_byte_where_location_says(client: TestClient) -> None:
    made = client.post("/v1/scores", json={"seller_id": SELLERS[0], "purpose": "account_review"})
    read = client.get(made.headers["Location"])
    assert (made.status_code, read.status_code) == (201, 200)
    assert read.content == made.content
    assert read.headers["content-type"] == made.headers["content-type"] == "application/json"
    assert read.headers["cache-control"] == made.headers["cache-control"] == "no-store"


def test_the_body_contains_the_serialized_assessment(client: TestClient, bundle: Bundle) -> None:
    response = client.post("/v1/scores", json={"seller_id": SELLERS[1], "purpose": "credit_application"})
    home = client.app.state.services.settings.home
    stored = VectorStore(home / "vectors.db").latest(SELLERS[1])
    assert stored is not None
    assert (
        b'"assessment":' + serialize_assessment(assess(bundle, [to_vector(stored, NOW.date())])[0]) in response.content
    )


def test_points_sum_to_the_score_for_every_seller(client: TestClient) -> None:
    for seller_id in SELLERS:
        assessment = Score.model_validate(_score(client, seller_id)).assessment
        assert assessment.explanation is not None
        points = sum(item.points for item in assessment.explanation.contributions)
        assert assessment.explanation.base_points + points == assessment.score


def test_the_answer_is_exactly_what_its_schema_says(client: TestClient) -> None:
    for seller_id in (SELLERS[0], NEWCOMER):
        answer = _score(client, seller_id)
        assert json.loads(Score.model_validate(answer).model_dump_json()) == answer


def test_the_envelope_says_who_why_and_until_when(client: TestClient) -> None:
    answer = Score.model_validate(_score(client))
    made, ends = (datetime.fromisoformat(moment) for moment in (answer.scored_at, answer.expires_at))
    assert (answer.seller_id, answer.purpose) == (SELLERS[0], "credit_application")
    assert made.utcoffset() == timedelta(0)
    assert ends - made == timedelta(days=30)


def test_an_outcome_without_a_number_is_an_answer(client: TestClient) -> None:
    assessment = Score.model_validate(_score(client, NEWCOMER)).assessment
    assert assessment.outcome == "insufficient_history"
    assert (assessment.score, assessment.band, assessment.probability_of_default) == (None, None, None)
    assert [(item.what, item.found, item.needed) for item in assessment.shortfalls] == [
        ("days_on_platform", 10.0, 90.0)
    ]


def test_inputs_and_bundle_are_kept_with_the_score(client: TestClient, bundle: Bundle) -> None:
    made = _score(client, SELLERS[5])
    services = client.app.state.services
    with transaction(services.engine) as connection:
        kept = find_score(connection, services.ledger, bank_of(client), str(made["id"]))
    stored = services.vectors.latest(SELLERS[5])
    assert kept.bundle == bundle.digest == made["assessment"]["versions"]["bundle"]
    assert kept.inputs == CorrectedVector(stored, NOW.date()).inputs
    assert json.loads(kept.inputs)["data_version"] == "data-1"


def test_a_score_says_where_it_stands_in_the_ledger(client: TestClient) -> None:
    answers = [_score(client, seller_id) for seller_id in SELLERS[:3]]
    services, bank = client.app.state.services, bank_of(client)
    with transaction(services.engine) as connection:
        rows = list(rows_of(connection, bank))
    assert verify(bank, rows) == []
    assert [answer["ledger"] for answer in answers] == [
        {"chain": bank, "position": row.header.position, "head": row.head.hex()}
        for row in rows
        if row.header.kind == "score"
    ]


@pytest.mark.databases
def test_fifty_at_once_are_all_stored_and_the_same_as_alone(client: TestClient) -> None:
    alone = _score(client)["assessment"]
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: _score(client), range(50)))
    assert len({answer["id"] for answer in answers}) == 50
    assert all(answer["assessment"] == alone for answer in answers)
    assert all(client.get(f"/v1/scores/{answer['id']}").json() == answer for answer in answers)


def test_a_score_outlives_the_service(client: TestClient, open_client: Opener) -> None:
    made = client.post("/v1/scores", json={"seller_id": SELLERS[0], "purpose": "credit_application"})
    settings = client.app.state.services.settings
    with open_client(settings) as restarted:
        assert restarted.get(made.headers["Location"]).content == made.content


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_health_needs_no_token(client: TestClient, path: str) -> None:
    assert client.get(path, headers={"Authorization": ""}).status_code == 200


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_health_answers_a_head_like_a_get_without_its_body(client: TestClient, path: str) -> None:
    head, got = client.head(path), client.get(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == got.headers["content-length"] == str(len(got.content))


def test_ready_names_the_model_and_how_old_the_data_is(client: TestClient, bundle: Bundle) -> None:
    answer = client.get("/health/ready").json()
    assert answer.pop("data_age_days") == (datetime.now(UTC).date() - AS_OF).days
    assert readiness(client.app.state.services, AS_OF + timedelta(days=3)).data_age_days == 3
    assert answer == {
        "status": "ready",
        "model": "sellerscore/1",
        "bundle": bundle.digest,
        "degraded": [],
        "data_through": "2026-01-31",
    }


def test_nothing_is_opened_by_making_the_app(tmp_path: Path) -> None:
    from api.app import create_app

    create_app(Settings(home=tmp_path / "not-there"))
    assert list(tmp_path.iterdir()) == []
