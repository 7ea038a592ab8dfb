"""An auditor sees that each decision, and what it changed, is what the ledger tells; whatever is not is named."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from api.kit.database import transaction
from api.ledger.chain import SELF_CHAIN, EntryKind
from api.ledger.store import EntryDraft
from api.ledger.verification import verify
from api.operations.retention import drop_expired, erase_seller
from api.reviews import service
from api.reviews.ledger_entries import ReviewCheck
from api.reviews.repository import Review, ReviewOutcome
from api.reviews.service import Decision
from api.scores import self_view
from scoring.canonical import canonical_json
from tests.api.conftest import SELLERS
from tests.api.web.conftest import Browser, open_review

FIGURE = "signal_02"
CORRECT = Decision(ReviewOutcome.CORRECTED, "So it is.", FIGURE, 0.1 + 0.2)
CONFIRM = Decision(ReviewOutcome.CONFIRMED, "We looked.")


def faults(browser: Browser) -> list[tuple[str, int, str]]:
    services = browser.services
    found = verify(services.engine, services.ledger, [ReviewCheck()]).faults
    return [(each.chain, each.position, each.what) for each in found]


def decided(browser: Browser, decision: Decision, seller_id: str = SELLERS[0]) -> Review:
    services = browser.services
    return service.decide_review(
        services, open_review(browser, seller_id, statement="It is wrong. 错了").id, "operator-1", decision
    )


def change(browser: Browser, statement: str) -> None:
    with transaction(browser.services.engine, writes=True) as connection:
        connection.execute(text(statement))


def append(browser: Browser, kind: str, content: object, chain: str = SELF_CHAIN) -> None:
    services, now = browser.services, datetime.now(UTC)
    with transaction(services.engine, writes=True) as connection:
        seller = services.ledger.seller(connection, SELLERS[0])
        services.ledger.append(connection, seller, EntryDraft(chain, kind, canonical_json(content), now))


@pytest.mark.databases
def test_reviews_in_every_state_are_whole(browser: Browser) -> None:
    self_view.issue_self_view(browser.services, SELLERS[0], datetime.now(UTC))
    for decision in (CORRECT, CONFIRM, replace(CORRECT, value=2.0), replace(CORRECT, feature="signal_13")):
        decided(browser, decision)
    waiting = open_review(browser, SELLERS[0], FIGURE)
    service.assign(browser.services, waiting.id, "operator-1")
    assert faults(browser) == []


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ("reviews SET reason = 'Another.'", "the table of reviews differs from the ledger in reason"),
        ("reviews SET outcome = 'confirmed'", "the table of reviews differs from the ledger in outcome"),
        (
            "reviews SET statement = '', kind = 'dispute'",
            "the table of reviews differs from the ledger in kind, statement",
        ),
        ("reviews SET feature = 'signal_01'", "the table of reviews differs from the ledger in feature"),
        ("reviews SET seller_id = 'S-x'", "the table of reviews differs from the ledger in seller_id"),
        ("reviews SET opened_at = '2020-01-01 00:00:00'", "the table of reviews differs from the ledger in opened_at"),
        ("reviews SET due_at = '2020-01-01 00:00:00'", "the table of reviews differs from the ledger in due_at"),
        ("reviews SET decided_at = NULL", "the table of reviews differs from the ledger in decided_at"),
        ("reviews SET decided_by = 'x'", "the table of reviews differs from the ledger in decided_by"),
        ("reviews SET score_id = 'x'", "the table of reviews differs from the ledger in score_id"),
        ("reviews SET new_score_id = 'x'", "the table of reviews differs from the ledger in new_score_id"),
        ("corrections SET value = 0.3", "the table of corrections differs from the ledger in value"),
        ("corrections SET found = NULL", "the table of corrections differs from the ledger in found"),
        ("corrections SET feature = 'signal_01'", "the table of corrections differs from the ledger in feature"),
        ("corrections SET as_of = '2026-01-30'", "the table of corrections differs from the ledger in as_of"),
        ("corrections SET seller_id = 'S-x'", "the table of corrections differs from the ledger in seller_id"),
        ("corrections SET corrected_at = '2020-01-01 00:00:00'", "in corrected_at"),
    ],
)
def test_a_table_that_was_changed_is_found_at_its_row(browser: Browser, changed: str, says: str) -> None:
    decided(browser, CORRECT)
    change(browser, f"UPDATE {changed}")
    ((chain, position, what),) = faults(browser)
    assert (chain, position) == ("self", 1)
    assert what.endswith(says)


@pytest.mark.databases
def test_rows_that_are_gone_are_found(browser: Browser) -> None:
    decided(browser, CORRECT)
    change(browser, "DELETE FROM corrections")
    assert faults(browser) == [("self", 1, "the corrected figure is missing in the table of corrections")]
    change(browser, "DELETE FROM reviews")
    assert ("self", 1, "the decided review is missing in the table of reviews") in faults(browser)


def test_rows_that_the_ledger_does_not_know_are_found(browser: Browser) -> None:
    decided(browser, CONFIRM)
    open_review(browser, SELLERS[1])
    change(browser, f"UPDATE reviews SET outcome = 'confirmed' WHERE seller_id = '{SELLERS[1]}'")
    assert faults(browser) == [("self", 0, "the table of reviews has a decision that is not in the ledger")]
    change(browser, "UPDATE reviews SET outcome = NULL WHERE decided_at IS NULL")
    names = "(review_id, seller_id, as_of, feature, found, value, corrected_at)"
    forged = "SELECT id, seller_id, '2026-01-31', 'signal_02', 0.5, 0.1, opened_at FROM reviews"
    change(browser, f"INSERT INTO corrections {names} {forged}")
    assert faults(browser) == [
        ("self", 1, "the table of corrections has a figure that the decision did not correct"),
        ("self", 0, "the table of corrections has a correction that is not in the ledger"),
    ]


def test_rows_of_the_ledger_that_do_not_fit_one_another_are_found(browser: Browser) -> None:
    review = decided(browser, CONFIRM)
    told = {"bundle": "b", "envelope": {"id": "x", "purpose": "self_view", "review_id": review.id}, "inputs": {}}
    append(browser, EntryKind.SCORE, told)
    append(browser, EntryKind.SCORE, {**told, "envelope": {**told["envelope"], "review_id": "no such"}})
    append(browser, EntryKind.DECISION, {"review_id": "less"})
    assert [what for _, _, what in faults(browser)] == [
        "the score refers to a review without a correction",
        "the score refers to a review without an earlier decision about its seller",
        "the content is not a valid decision",
    ]


def test_a_review_leads_to_one_score(browser: Browser) -> None:
    review = decided(browser, CORRECT)
    told = {"bundle": "b", "envelope": {"id": "x", "purpose": "self_view", "review_id": review.id}, "inputs": {}}
    append(browser, EntryKind.SCORE, told)
    assert faults(browser) == [("self", 3, "the review already has another new score")]


def test_erased_sellers_and_scores_past_their_time_are_no_fault(browser: Browser) -> None:
    services, now = browser.services, datetime.now(UTC)
    for seller_id in SELLERS[:2]:
        decided(browser, CORRECT, seller_id)
    erase_seller(services.engine, services.vectors, seller_id=SELLERS[0], reason="asked", now=now)
    assert faults(browser) == []
    drop_expired(services.engine, before=datetime.now(UTC), now=now)
    assert faults(browser) == []
    change(browser, "UPDATE reviews SET new_score_id = NULL")
    assert faults(browser) == [("self", 3, "the review corrected a figure, but has no new score")]
