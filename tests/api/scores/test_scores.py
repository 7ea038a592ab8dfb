"""Scores over HTTP: the response is what is stored, it adds up, and it stays readable."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from api.kit.database import transaction
from api.ledger.store import rows_of
from api.operations.health import readiness
from api.scores.inputs import CorrectedVector
from api.scores.repository import find_score
from api.scores.schemas import Score
from api.settings import Settings
from scoring import Bundle, assess, serialize_assessment
from scoring.canonical import canonical_json
from tests.api.conftest import AS_OF, NEWCOMER, NOW, SELLERS, Opener
from tests.api.scores.conftest import Bank, assert_problem


@pytest.mark.parametrize("seller_id", [SELLERS[0], NEWCOMER])
def test_a_score_is_stored_with_its_inputs_and_read_back_byte_for_byte(
    bank: Bank, bundle: Bundle, seller_id: str
) -> None:
    issued = bank.post_score(seller_id, "account_review")
    read = bank.client.get(issued.headers["Location"])
    assert (read.status_code, read.content) == (200, issued.content)
    for response in (issued, read):
        assert (response.headers["content-type"], response.headers["cache-control"]) == ("application/json", "no-store")
    score = Score.model_validate(issued.json())
    assert json.loads(score.model_dump_json()) == issued.json()
    scored_at, expires_at = (datetime.fromisoformat(moment) for moment in (score.scored_at, score.expires_at))
    assert (score.seller_id, score.bank_id, score.purpose) == (seller_id, bank.id, "account_review")
    assert (scored_at.utcoffset(), expires_at - scored_at) == (timedelta(0), timedelta(days=30))
    vector = bank.services.vectors.latest(seller_id)
    assert vector is not None
    expected = CorrectedVector(vector, NOW.date())
    assert b'"assessment":' + serialize_assessment(assess(bundle, [expected.vector])[0]) in issued.content
    with transaction(bank.services.engine) as connection:
        stored = find_score(connection, bank.services.ledger, bank.id, score.id)
    assert stored is not None
    assert stored.bundle == bundle.digest == score.assessment.versions.bundle
    assert stored.inputs == expected.inputs
    assert json.loads(stored.inputs)["data_version"] == "data-1"


def test_points_sum_to_each_score_and_positions_are_those_of_the_chain(bank: Bank) -> None:
    scores = [Score.model_validate(bank.score(seller_id)) for seller_id in SELLERS]
    for score in scores:
        explanation = score.assessment.explanation
        assert explanation is not None
        points = sum(item.points for item in explanation.contributions)
        assert explanation.base_points + points == score.assessment.score
    with transaction(bank.services.engine) as connection:
        rows = [row for row in rows_of(connection, bank.id) if row.header.kind == "score"]
    assert [score.ledger.model_dump() for score in scores] == [
        {"chain": bank.id, "position": row.header.position, "head": row.head.hex()} for row in rows
    ]


def test_a_score_without_a_number_states_the_shortfall(bank: Bank) -> None:
    assessment = Score.model_validate(bank.score(NEWCOMER)).assessment
    assert assessment.outcome == "insufficient_history"
    assert (assessment.score, assessment.band, assessment.probability_of_default) == (None, None, None)
    assert [tuple(vars(item).values()) for item in assessment.shortfalls] == [("days_on_platform", 10.0, 90.0)]


@pytest.mark.databases
def test_fifty_concurrent_requests_are_all_stored_and_score_as_one_alone(bank: Bank) -> None:
    alone = bank.score()["assessment"]
    with ThreadPoolExecutor(50) as pool:
        scores = list(pool.map(lambda _: bank.score(), range(50)))
    assert len({score["id"] for score in scores}) == 50
    assert all(score["assessment"] == alone for score in scores)
    assert all(bank.get(f"/v1/scores/{score['id']}").json() == score for score in scores)


def test_a_score_is_readable_after_a_restart(bank: Bank, open_client: Opener) -> None:
    issued = bank.post_score()
    with open_client(bank.services.settings) as restarted:
        assert restarted.get(issued.headers["Location"]).content == issued.content


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_health_needs_no_token_and_answers_head_without_a_body(bank: Bank, path: str) -> None:
    head, get = (bank.client.request(method, path, headers={"Authorization": ""}) for method in ("HEAD", "GET"))
    assert (head.status_code, get.status_code, head.content) == (200, 200, b"")
    assert head.headers["content-length"] == get.headers["content-length"] == str(len(get.content))


def test_readiness_names_the_model_and_the_age_of_the_data(bank: Bank, bundle: Bundle) -> None:
    ready = bank.get("/health/ready").json()
    ready_days = (datetime.now(UTC).date() - AS_OF).days
    assert ready.pop("data_age_days") == ready_days
    assert readiness(bank.services, datetime.now(UTC) + timedelta(days=2)).data_age_days == ready_days + 2
    assert ready == {
        "status": "ready",
        "model": "sellerscore/1",
        "bundle": bundle.digest,
        "degraded": [],
        "data_through": "2026-01-31",
    }


def test_creating_the_app_opens_nothing(tmp_path: Path) -> None:
    from api.app import create_app

    create_app(Settings(home=tmp_path / "not-there"))
    assert list(tmp_path.iterdir()) == []


def test_a_summary_is_the_score_without_single_features_and_receipt(bank: Bank) -> None:
    request = {"seller_id": SELLERS[0], "purpose": "credit_application"}
    issued = bank.client.post("/v1/scores?view=summary", json=request)
    path = f"/v1/scores/{issued.json()['id']}"
    whole = bank.client.get(path).json()
    assert whole.pop("receipt")
    assert whole["assessment"]["explanation"].pop("contributions")
    assert (issued.status_code, issued.headers["Location"]) == (201, path)
    assert issued.content == canonical_json(whole)
    assert bank.client.get(f"{path}?view=summary").content == issued.content
    assert_problem(bank.client.get(f"{path}?view=short"), 422, "invalid-request")


def test_a_summary_of_a_score_without_a_number_has_no_explanation(bank: Bank) -> None:
    whole = bank.score(NEWCOMER)
    summary = bank.client.get(f"/v1/scores/{whole['id']}?view=summary").json()
    assert summary["assessment"]["explanation"] is None
    assert summary == {name: value for name, value in whole.items() if name != "receipt"}


def test_an_unchanged_score_is_not_sent_again(bank: Bank) -> None:
    path = f"/v1/scores/{bank.score(SELLERS[0])['id']}"
    tags = [bank.client.get(f"{path}?view={view}").headers["ETag"] for view in ("full", "summary")]
    assert len(set(tags)) == 2
    again = bank.client.get(path, headers={"If-None-Match": tags[0]})
    assert (again.status_code, again.content) == (304, b"")
    assert (again.headers["ETag"], again.headers["SellerScore-Expired"]) == (tags[0], "false")
    assert bank.client.get(path, headers={"If-None-Match": tags[1]}).status_code == 200
