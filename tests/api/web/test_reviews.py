"""Disputes and reviews: requested, assigned and decided once; a correction issues a score in place of the old one."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.auth.scopes import ClientKind
from api.auth.sessions import UserKind
from api.errors import InvalidRequest, ReviewDecided, TooManyReviews
from api.kit.database import transaction
from api.kit.pagination import format_cursor, parse_cursor
from api.ledger import chain
from api.ledger.chain import EntryKind
from api.ledger.store import read_content, rows_of
from api.ledger.verification import verify
from api.reviews import repository, service
from api.reviews.repository import Review, ReviewOutcome, ReviewState
from api.reviews.service import Decision
from api.scores import self_view
from api.scores.ledger_entries import ScoreIndexCheck
from api.scores.service import replay_score
from tests.api.conftest import AS_OF, CATALOGUE, SELLERS, SNAPSHOT, bank_of, fill
from tests.api.started import consent, register_of
from tests.api.web.conftest import Browser, OpenBrowser, create_operator, current_score, open_review, text_of

SELLER = SELLERS[0]
FIGURE = "signal_02"
CORRECT = Decision(ReviewOutcome.CORRECTED, "It was wrong.", None, 0.01, confirm_value=True)
CONFIRM = Decision(ReviewOutcome.CONFIRMED, "We checked it.")


def decide(browser: Browser, decision: Decision, review_id: str | None = None) -> Review:
    review_id = review_id or open_review(browser, SELLER, FIGURE).id
    return service.decide_review(browser.services, review_id, "operator-1", decision)


def decisions(browser: Browser) -> list[dict[str, Any]]:
    services = browser.services
    with transaction(services.engine) as connection:
        key = services.ledger.seller(connection, SELLER).key
        rows = [row for row in rows_of(connection, chain.SELF_CHAIN) if row.header.kind == EntryKind.DECISION]
        return [json.loads(read_content(row, key)) for row in rows]


def value_in(score: dict[str, Any]) -> float:
    contributions = score["assessment"]["explanation"]["contributions"]
    return next(float(each["value"]) for each in contributions if each["feature"] == FIGURE)


@pytest.mark.databases
def test_a_correction_issues_a_score_that_names_the_replaced_one(browser: Browser) -> None:
    before, services = current_score(browser, SELLER), browser.services
    review = decide(browser, CORRECT)
    after = current_score(browser, SELLER)
    assert review.new_score_id == after["id"] != before["id"]
    assert (after["replaces"], after["review_id"]) == (before["id"], review.id)
    assert value_in(after) == 0.01
    assert after["assessment"]["score"] != before["assessment"]["score"]
    stored = json.loads(self_view.issue_self_view(services, SELLER, datetime.now(UTC)).score.inputs)
    found = value_in(before)
    assert stored["corrections"][FIGURE] == {"found": found, "review_id": review.id, "value": 0.01}
    for score_id in (before["id"], after["id"]):
        assert replay_score(services, chain.SELF_CHAIN, score_id) == []
    (decision,) = decisions(browser)
    assert decision["reason"] == "It was wrong."
    figure = {"as_of": "2026-01-31", "feature": FIGURE, "found": found, "value": 0.01}
    assert decision["correction"] == figure | {"catalogue": CATALOGUE}
    report = verify(services.engine, services.ledger, services.receipts.jwks, [ScoreIndexCheck(services.receipts.jwks)])
    # the demo bank, two scores, the opened review and its decision
    assert (report.rows, report.faults) == (5, ())
    # the later of two corrections counts
    decide(browser, replace(CORRECT, value=0.02))
    assert value_in(current_score(browser, SELLER)) == 0.02
    assert decisions(browser)[1]["correction"]["found"] == 0.01


def test_scores_of_banks_use_the_corrected_figure_too(browser: Browser) -> None:
    consent(browser.services, bank_of(browser.client), SELLER)
    body = {"seller_id": SELLER, "purpose": "credit_application"}
    before = browser.client.post("/v1/scores", json=body).json()
    decide(browser, CORRECT)
    after = browser.client.post("/v1/scores", json=body).json()
    assert after["assessment"] == current_score(browser, SELLER)["assessment"] != before["assessment"]
    assert browser.client.post(f"/v1/scores/{after['id']}/replay").json()["matches"] is True


def test_a_correction_ends_with_the_next_data(browser: Browser) -> None:
    before = current_score(browser, SELLER)
    decide(browser, CORRECT)
    fill(browser.services.settings.home, replace(SNAPSHOT, as_of=AS_OF + timedelta(days=1), data_version="data-9"))
    assert current_score(browser, SELLER)["assessment"]["score"] == before["assessment"]["score"]


@pytest.mark.databases
def test_a_review_is_decided_once_and_a_confirmation_issues_no_score(browser: Browser) -> None:
    before = current_score(browser, SELLER)
    confirmed = decide(browser, CONFIRM, open_review(browser, SELLER).id)
    assert (confirmed.state, confirmed.new_score_id) == (ReviewState.DECIDED, None)
    assert current_score(browser, SELLER) == before
    assert decisions(browser)[0]["outcome"] == "confirmed"
    review_id = open_review(browser, SELLER, FIGURE).id

    def try_to_decide(_: int) -> bool:
        try:
            decide(browser, CORRECT, review_id)
        except ReviewDecided:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(try_to_decide, range(8))) == 1
    assert len(decisions(browser)) == 2
    with pytest.raises(ReviewDecided):
        service.assign(browser.services, review_id, "operator-9")


@pytest.mark.databases
def test_an_invalid_or_failed_decision_changes_nothing(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    review_id, before = open_review(browser, SELLER, FIGURE).id, current_score(browser, SELLER)
    for decision in (
        replace(CONFIRM, reason=" "),
        replace(CONFIRM, reason="x" * 2_001),
        *(replace(CORRECT, value=value) for value in (None, float("nan"), float("inf"))),
        replace(CORRECT, feature="no such figure"),
    ):
        with pytest.raises(InvalidRequest):
            decide(browser, decision, review_id)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(repository, "update_review", fail)
    with pytest.raises(RuntimeError):
        decide(browser, CORRECT, review_id)
    monkeypatch.undo()
    with transaction(browser.services.engine) as connection:
        assert service.find_review(connection, review_id).state is ReviewState.OPEN
    assert (decisions(browser), current_score(browser, SELLER)) == ([], before)


def test_a_seller_has_few_open_reviews_and_one_of_each_figure(browser: Browser) -> None:
    first = open_review(browser, SELLER, FIGURE).id
    for _ in range(service.MOST_OPEN - 1):
        open_review(browser, SELLER)
    with pytest.raises(TooManyReviews):
        open_review(browser, SELLER)
    assert open_review(browser, SELLER, FIGURE).id == first
    assert open_review(browser, SELLERS[1])
    browser.log_in(SELLER).get("/seller/reviews")
    response = browser.post("/seller/reviews", statement="One more.")
    assert (response.status_code, "Wait until one of them is decided" in response.text) == (409, True)


def test_a_review_needs_a_statement_of_limited_length(browser: Browser) -> None:
    browser.log_in(SELLER).get("/seller/reviews")
    wrong = (("", " "), ("", "x" * 2_001), ("no such", "It is wrong."), ("", "x" * 9_000), ("", "x\0y"))
    for feature, statement in wrong:
        assert browser.post("/seller/reviews", feature=feature, statement=statement).status_code == 422
    assert "You have not sent any requests yet." in browser.get("/seller/reviews").text
    # a line end counts as one letter, as in the browser
    assert browser.post("/seller/reviews", statement="x\r\n" * 999 + "xx").status_code == 303
    assert browser.get("/seller/reviews").text.count("<blockquote>") == 1


@pytest.mark.databases
def test_operators_decide_in_order_of_deadline_and_the_seller_reads_the_decision(
    browser: Browser, open_browser: OpenBrowser
) -> None:
    now = datetime.now(UTC)
    late = open_review(browser, SELLERS[1], clock=lambda: now - timedelta(days=31)).id
    open_review(browser, SELLERS[2], FIGURE, clock=lambda: now - timedelta(days=3))
    browser.log_in(SELLERS[1]).get("/seller")
    operator = open_browser().log_in(create_operator(browser), UserKind.OPERATOR)
    page = operator.get("/operator")
    text = text_of(page)
    assert "2 reviews waiting for a decision, 1 is overdue" in text
    assert "Dispute of a figure: " in text
    assert text.index(SELLERS[1]) < text.index(SELLERS[2])
    assert page.text.count("chip late") == 1
    operator.get(f"/operator/reviews/{late}")
    assert operator.post(f"/operator/reviews/{late}/take").status_code == 303
    fields = {"outcome": "corrected", "reason": "It was wrong.", "feature": FIGURE, "value": "0.02"}
    assert operator.post(f"/operator/reviews/{late}/decide", **{**fields, "value": "two"}).status_code == 422
    preview = operator.post(f"/operator/reviews/{late}/decide", **fields).text
    assert "Nothing is saved yet." in preview
    confirmed = dict(re.findall(r'name="(confirm_\w+)" value="(\w)"', preview))
    assert operator.post(f"/operator/reviews/{late}/decide", **fields, save="1", **confirmed).status_code == 303
    assert "1 review waiting for a decision" in text_of(operator.get("/operator?done=decided"))
    browser.log_in(SELLERS[1])
    assert "It was wrong." in browser.get("/seller/reviews").text
    assert "A figure was corrected" in browser.get("/seller").text


@pytest.mark.databases
def test_operators_list_and_decide_reviews_over_the_api(browser: Browser) -> None:
    api = browser.client
    secret = browser.services.auth.secrets.new()
    register = register_of(browser.services)
    operator = register.create(ClientKind.OPERATOR, "O", credential=secret, now=datetime.now(UTC))
    assert operator.secret is not None
    credentials, form = (operator.client.id, operator.secret), {"grant_type": "client_credentials"}
    headers = {
        "Authorization": f"Bearer {api.post('/oauth/token', data=form, auth=credentials).json()['access_token']}"
    }
    ids = [open_review(browser, SELLER).id for _ in range(3)]
    first = api.get("/v1/reviews", params={"limit": 2}, headers=headers).json()
    second = api.get("/v1/reviews", params={"limit": 2, "cursor": first["next_cursor"]}, headers=headers).json()
    assert [each["id"] for each in first["items"] + second["items"]] == ids[::-1]
    foreign = format_cursor(replace(parse_cursor(first["next_cursor"]), id="unknown"))
    assert api.get("/v1/reviews", params={"cursor": foreign}, headers=headers).status_code == 422
    path = f"/v1/reviews/{ids[0]}"
    assert api.get(path, headers=headers).json()["state"] == "open"
    assert api.post(f"{path}/take", headers=headers).json()["state"] == "in_review"
    assert api.get("/v1/reviews", params={"state": "in_review"}, headers=headers).json()["items"]
    body = {"outcome": "confirmed", "reason": "We checked it."}
    for invalid in ({**body, "outcome": "corrected"}, {**body, "value": 1.0}):
        assert api.post(f"{path}/decision", json=invalid, headers=headers).status_code == 422
    decided = api.post(f"{path}/decision", json=body, headers=headers).json()
    assert (decided["state"], decided["decided_by"]) == ("decided", operator.client.id)
    assert api.post(f"{path}/decision", json=body, headers=headers).status_code == 409
