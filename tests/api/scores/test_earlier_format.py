"""Scores of an earlier version, which have no date of the request: readable, but not replayed, compared or drawn."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest

from api.app import create_app
from api.kit.database import transaction
from api.ledger.chain import SELF_CHAIN
from api.scores import self_view
from api.scores.issuance import ScoreDraft, record_draft, store_scores
from api.services import Services
from api.settings import Settings
from scoring import Bundle, assess
from scoring.canonical import canonical_json
from tests.api.conftest import SELLERS, Opener
from tests.api.scores.conftest import Bank
from tests.api.web.conftest import Browser, text_of

TYPE = "/problems/score-of-earlier-format"
SELLER = SELLERS[0]
OPERATIONS = {
    "replay": ("post", "/v1/scores/{score_id}/replay"),
    "changes": ("get", "/v1/scores/{score_id}/changes"),
    "report": ("get", "/v1/scores/{score_id}/report"),
    "eligibility": ("get", "/v1/scores/{score_id}/eligibility"),
}


def earlier_form(plain: dict[str, Any]) -> dict[str, Any]:
    """Return an assessment as an earlier version wrote it."""
    explanation = plain["explanation"]
    reasons = [{"code": "R01", "points": -9, "statement": "Returns are frequent"}]
    told = {name: each for name, each in plain.items() if name not in {"requested_on", "table_gaps"}}
    return {
        **told,
        "explanation": {
            **{name: each for name, each in explanation.items() if name != "groups"},
            "reasons": reasons,
        },
    }


def store(services: Services, chain: str, purpose: str) -> str:
    """Store a score of an earlier version, whose bundle this version cannot read, and return its ID."""
    now = datetime.now(UTC)
    with transaction(services.engine, writes=True) as connection:
        figures: Any = self_view.latest_inputs(services, connection, SELLER, now)
        assessment = assess(services.champion.bundle, [figures.vector])[0]
        serialized = canonical_json(earlier_form(assessment.to_dict()))
        inputs = {name: each for name, each in json.loads(figures.inputs).items() if name != "requested_on"}
        figures = SimpleNamespace(stored=figures.stored, inputs=canonical_json(inputs))
        bundle: Any = SimpleNamespace(digest="sha256:" + "0" * 64)
        made = ScoreDraft(figures, bundle, assessment, chain, purpose)
        seller = services.ledger.seller(connection, SELLER)
        with patch("api.scores.issuance.serialize_assessment", return_value=serialized):
            score = record_draft(services, made, seller, services.ledger.lock_chain(connection, chain), now)
        store_scores(connection, [score])
    return score.score.id


@pytest.fixture
def earlier(bank: Bank) -> str:
    return store(bank.services, bank.score()["bank_id"], "credit_application")


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_would_interpret_it_is_refused_and_says_what_to_do(bank: Bank, earlier: str, name: str) -> None:
    method, path = OPERATIONS[name]
    query = {"since": earlier} if name == "changes" else {}
    address = path.format(score_id=bank.score()["id"] if name == "changes" else earlier)
    answer = bank.client.request(method, address, params=query)
    assert (answer.status_code, answer.json()["type"]) == (409, TYPE), answer.text
    assert "Request a new score." in answer.json()["detail"]


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_of_these_calls_declares_the_problem(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    document = create_app(Settings(home=tmp_path_factory.mktemp("none"))).openapi()
    method, path = OPERATIONS[name]
    content = document["paths"][path][method]["responses"]["409"]["content"]["application/problem+json"]
    assert TYPE in json.dumps(content)


def test_it_is_read_and_listed_as_it_was(bank: Bank, earlier: str) -> None:
    answer = bank.get(f"/v1/scores/{earlier}")
    assert answer.status_code == 200
    assert "requested_on" not in answer.json()["assessment"]
    assert answer.json()["assessment"]["explanation"]["reasons"][0]["code"] == "R01"
    listed = {each["id"]: each for each in bank.page()["items"]}
    assert listed[earlier]["score"] == answer.json()["assessment"]["score"]


def test_a_seller_with_such_a_score_gets_a_new_one_and_sees_both(
    stored_in: Settings, open_client: Opener, bundle: Bundle
) -> None:
    with open_client(stored_in, ()) as client:
        browser = Browser(client).log_in(SELLER)
        store(browser.services, SELF_CHAIN, self_view.PURPOSE)
        for path in ("", "/reasons", "/improve", "/products", "/data", "/download"):
            assert browser.get(f"/seller{path}").status_code == 200, path
        assert "scoring model updated" in text_of(browser.get("/seller"))
        with transaction(browser.services.engine) as connection:
            view = self_view.find_current(browser.services, connection, SELLER, datetime.now(UTC))
        assert view is not None
        assert view.assessment.versions.bundle == bundle.digest
