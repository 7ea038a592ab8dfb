"""Disputes and reviews: asked, taken up, decided once; a corrected figure makes a new score that names the old one."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.auth import clients as access
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
from api.reviews.repository import ReviewOutcome, ReviewState
from api.reviews.service import Decision
from api.scores import self_view
from api.scores.ledger_entries import ScoreIndexCheck
from api.scores.service import replay_score
from tests.api.conftest import SELLERS, bank_of
from tests.api.started import consent
from tests.api.web.conftest import Browser, OpenBrowser, create_operator, open_review, text_of

SELLER = SELLERS[0]
FIGURE = "signal_02"


def asked(browser: Browser, feature: str | None = FIGURE, seller_id: str = SELLER, **given: Any) -> str:
    return open_review(browser, seller_id, feature, **given).id


def decisions(browser: Browser) -> list[dict[str, Any]]:
    services = browser.services
    with transaction(services.engine) as connection:
        key = services.ledger.seller(connection, SELLER).key
        rows = [row for row in rows_of(connection, chain.SELF_CHAIN) if row.header.kind == EntryKind.DECISION]
        return [json.loads(read_content(row, key)) for row in rows]


def view(browser: Browser) -> dict[str, Any]:
    return self_view.current(browser.services, SELLER, datetime.now(UTC)).score.fields


@pytest.mark.databases
def test_a_corrected_figure_makes_a_new_score_that_names_the_old_one(browser: Browser) -> None:
    before, services = view(browser), browser.services
    review_id = asked(browser)
    decided = service.decide_review(
        services, review_id, "operator-1", Decision(ReviewOutcome.CORRECTED, "So it is.", None, 0.01)
    )
    after = view(browser)
    assert decided.new_score_id == after["id"] != before["id"]
    assert (after["replaces"], after["review_id"]) == (before["id"], review_id)
    values = {each["feature"]: each["value"] for each in after["assessment"]["explanation"]["contributions"]}
    assert values[FIGURE] == 0.01
    assert after["assessment"]["score"] != before["assessment"]["score"]
    with transaction(services.engine) as connection:
        stored = self_view.current(services, SELLER, datetime.now(UTC)).score
        del connection
    told = json.loads(stored.inputs)["corrections"][FIGURE]
    found = next(c["value"] for c in before["assessment"]["explanation"]["contributions"] if c["feature"] == FIGURE)
    assert told == {"found": found, "review_id": review_id}
    for score_id in (before["id"], after["id"]):
        assert replay_score(services, chain.SELF_CHAIN, score_id) == []
    (decision,) = decisions(browser)
    assert decision["reason"] == "So it is."
    assert decision["correction"] == {"as_of": "2026-01-31", "feature": FIGURE, "found": found, "value": 0.01}
    report = verify(services.engine, services.ledger, [ScoreIndexCheck(services.receipts.jwks)])
    assert (report.rows, report.faults) == (3, ())


def test_a_bank_scores_by_the_corrected_figure_too(browser: Browser) -> None:
    consent(browser.services, bank_of(browser.client), SELLER)
    body = {"seller_id": SELLER, "purpose": "credit_application"}
    before = browser.client.post("/v1/scores", json=body).json()
    review_id = asked(browser)
    service.decide_review(
        browser.services, review_id, "operator-1", Decision(ReviewOutcome.CORRECTED, "So it is.", None, 0.01)
    )
    after = browser.client.post("/v1/scores", json=body).json()
    assert after["assessment"] == view(browser)["assessment"] != before["assessment"]
    assert browser.client.post(f"/v1/scores/{after['id']}/replay").json()["matches"] is True


def test_a_correction_is_of_one_midnight(browser: Browser) -> None:
    from dataclasses import replace

    from tests.api.conftest import AS_OF, SNAPSHOT, fill

    before = view(browser)
    service.decide_review(
        browser.services, asked(browser), "o", Decision(ReviewOutcome.CORRECTED, "So it is.", None, 0.01)
    )
    later = replace(SNAPSHOT, as_of=AS_OF + timedelta(days=1), data_version="data-9")
    fill(browser.services.settings.home, later)
    assert view(browser)["assessment"]["score"] == before["assessment"]["score"]


def test_of_two_corrections_of_one_figure_the_later_counts(browser: Browser) -> None:
    for value in (0.01, 0.02):
        service.decide_review(
            browser.services, asked(browser), "o", Decision(ReviewOutcome.CORRECTED, "So.", None, value)
        )
    values = {each["feature"]: each["value"] for each in view(browser)["assessment"]["explanation"]["contributions"]}
    assert values[FIGURE] == 0.02
    assert [each["correction"]["found"] for each in decisions(browser)][1] == 0.01


def test_what_is_confirmed_makes_no_new_score(browser: Browser) -> None:
    before = view(browser)
    decided = service.decide_review(
        browser.services, asked(browser, None), "o", Decision(ReviewOutcome.CONFIRMED, "We looked.")
    )
    assert (decided.state, decided.new_score_id) == (ReviewState.DECIDED, None)
    assert view(browser) == before
    assert decisions(browser)[0]["outcome"] == "confirmed"


@pytest.mark.databases
def test_a_review_is_decided_once(browser: Browser) -> None:
    review_id = asked(browser)

    def decide(number: int) -> bool:
        try:
            service.decide_review(
                browser.services, review_id, f"o-{number}", Decision(ReviewOutcome.CORRECTED, "So.", None, 0.01)
            )
        except ReviewDecided:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(decide, range(8))) == 1
    assert len(decisions(browser)) == 1
    with pytest.raises(ReviewDecided):
        service.assign(browser.services, review_id, "o-9")


@pytest.mark.parametrize(
    "decision",
    [
        Decision(ReviewOutcome.CONFIRMED, " "),
        Decision(ReviewOutcome.CONFIRMED, "x" * 2_001),
        Decision(ReviewOutcome.CORRECTED, "So."),
        Decision(ReviewOutcome.CORRECTED, "So.", None, float("nan")),
        Decision(ReviewOutcome.CORRECTED, "So.", None, float("inf")),
        Decision(ReviewOutcome.CORRECTED, "So.", "no such figure", 1.0),
    ],
)
def test_what_cannot_be_decided_changes_nothing(browser: Browser, decision: Decision) -> None:
    review_id, before = asked(browser), view(browser)
    with pytest.raises(InvalidRequest):
        service.decide_review(browser.services, review_id, "o", decision)
    with transaction(browser.services.engine) as connection:
        assert service.find_review(connection, review_id).state is ReviewState.OPEN
    assert (decisions(browser), view(browser)) == ([], before)


@pytest.mark.databases
def test_a_failure_between_leaves_neither_decision_nor_score(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    review_id, before = asked(browser), view(browser)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(repository, "update_review", fail)
    with pytest.raises(RuntimeError):
        service.decide_review(browser.services, review_id, "o", Decision(ReviewOutcome.CORRECTED, "So.", None, 0.01))
    monkeypatch.undo()
    assert (decisions(browser), view(browser)) == ([], before)


def test_only_so_many_are_open_and_one_of_each_figure(browser: Browser) -> None:
    first = asked(browser)
    assert asked(browser) == first
    for _ in range(service.MOST_OPEN - 1):
        asked(browser, None)
    with pytest.raises(TooManyReviews):
        asked(browser, None)
    assert asked(browser) == first
    assert asked(browser, None, SELLERS[1])
    browser.log_in(SELLER).get("/seller/reviews")
    refused = browser.post("/seller/reviews", statement="One more.")
    assert (refused.status_code, "Wait until one of them is decided" in refused.text) == (409, True)


@pytest.mark.parametrize(
    ("feature", "statement"), [("", " "), ("", "x" * 2_001), ("no such", "It is wrong."), ("", "x" * 9_000)]
)
def test_a_form_that_says_nothing_or_too_much_is_refused(browser: Browser, feature: str, statement: str) -> None:
    browser.log_in(SELLER).get("/seller/reviews")
    assert browser.post("/seller/reviews", feature=feature, statement=statement).status_code == 422
    assert "You have not sent any requests yet." in browser.get("/seller/reviews").text


def test_line_ends_count_as_the_browser_counts_them_and_what_is_no_text_is_refused(browser: Browser) -> None:
    browser.log_in(SELLER).get("/seller/reviews")
    assert browser.post("/seller/reviews", statement="x\r\n" * 999 + "xx").status_code == 303
    assert browser.post("/seller/reviews", statement="x\0y").status_code == 422
    assert browser.get("/seller/reviews").text.count("<blockquote>") == 1


@pytest.mark.databases
def test_the_queue_is_in_order_of_deadline_and_marks_what_is_late(browser: Browser, open_browser: OpenBrowser) -> None:
    now = datetime.now(UTC)
    browser.log_in(SELLERS[1]).get("/seller")
    late = asked(browser, None, SELLERS[1], clock=lambda: now - timedelta(days=31))
    asked(browser, None, SELLERS[2], clock=lambda: now - timedelta(days=3))
    client_id = create_operator(browser)
    queue = open_browser().log_in(client_id, UserKind.OPERATOR)
    page = queue.get("/operator")
    said = text_of(page)
    assert "2 reviews waiting for a decision, 1 is overdue" in said
    assert said.index(SELLERS[1]) < said.index(SELLERS[2])
    assert page.text.count("chip late") == 1
    queue.get(f"/operator/reviews/{late}")
    assert queue.post(f"/operator/reviews/{late}/take").status_code == 303
    fields = {"outcome": "corrected", "reason": "So it is.", "feature": FIGURE, "value": "0.02"}
    assert queue.post(f"/operator/reviews/{late}/decide", **{**fields, "value": "two"}).status_code == 422
    assert queue.post(f"/operator/reviews/{late}/decide", **fields).status_code == 303
    assert "1 review waiting for a decision" in text_of(queue.get("/operator?done=decided"))
    browser.log_in(SELLERS[1])
    assert "So it is." in browser.get("/seller/reviews").text
    assert "A figure was corrected" in browser.get("/seller").text


@pytest.mark.databases
def test_operators_work_the_queue_over_the_api(browser: Browser) -> None:
    known = access.create_client(browser.services.engine, ClientKind.OPERATOR, "O", now=datetime.now(UTC))
    assert known.secret is not None
    token = browser.client.post(
        "/oauth/token", data={"grant_type": "client_credentials"}, auth=(known.client.id, known.secret)
    ).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    ids = [asked(browser, None) for _ in range(3)]
    first = browser.client.get("/v1/reviews", params={"limit": 2}, headers=headers).json()
    second = browser.client.get("/v1/reviews", params={"limit": 2, "cursor": first["next_cursor"]}, headers=headers)
    assert [each["id"] for each in first["items"] + second.json()["items"]] == ids[::-1]
    elsewhere = format_cursor(replace(parse_cursor(first["next_cursor"]), id="not-given"))
    assert browser.client.get("/v1/reviews", params={"cursor": elsewhere}, headers=headers).status_code == 422
    path = f"/v1/reviews/{ids[0]}"
    assert browser.client.get(path, headers=headers).json()["state"] == "open"
    assert browser.client.post(f"{path}/take", headers=headers).json()["state"] == "in_review"
    assert browser.client.get("/v1/reviews", params={"state": "in_review"}, headers=headers).json()["items"]
    for body in ({"outcome": "corrected", "reason": "So."}, {"outcome": "confirmed", "reason": "So.", "value": 1.0}):
        assert browser.client.post(f"{path}/decision", json=body, headers=headers).status_code == 422
    body = {"outcome": "confirmed", "reason": "So."}
    decided = browser.client.post(f"{path}/decision", json=body, headers=headers).json()
    assert (decided["state"], decided["decided_by"]) == ("decided", known.client.id)
    assert browser.client.post(f"{path}/decision", json=body, headers=headers).status_code == 409
