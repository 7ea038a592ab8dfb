"""Verification compares the tables of reviews and corrections with the ledger and names every difference."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from api.kit.database import transaction
from api.ledger.chain import SELF_CHAIN, EntryKind
from api.ledger.store import EntryDraft, read_content, rows_of
from api.ledger.verification import verify
from api.operations.retention import drop_expired, erase_seller
from api.reviews import service
from api.reviews.corrections import Figure, preview_correction
from api.reviews.ledger_entries import ReviewCheck
from api.reviews.repository import Review, ReviewOutcome
from api.reviews.service import Decision
from scoring.canonical import canonical_json
from tests.api.conftest import SELLERS
from tests.api.web.conftest import Browser, current_score, open_review

FIGURE = "signal_02"
CORRECT = Decision(ReviewOutcome.CORRECTED, "It was wrong.", FIGURE, 0.1 + 0.2, confirm_value=True)
CONFIRM = Decision(ReviewOutcome.CONFIRMED, "We checked it.")


def faults(browser: Browser) -> list[tuple[str, int, str]]:
    services = browser.services
    return [
        (fault.chain, fault.position, fault.what)
        for fault in verify(services.engine, services.ledger, services.receipts.jwks, [ReviewCheck()]).faults
    ]


def decide(browser: Browser, decision: Decision, seller_id: str = SELLERS[0]) -> Review:
    review_id = open_review(browser, seller_id, statement="It is wrong. 错了").id
    if decision.value is not None:
        figure = Figure(seller_id, decision.feature, decision.value)
        with transaction(browser.services.engine) as connection:
            preview = preview_correction(browser.services, connection, figure, datetime.now(UTC))
        decision = replace(decision, confirm_band=preview.new_band)
    return service.decide_review(browser.services, review_id, "operator-1", decision)


def execute(browser: Browser, statement: str) -> None:
    with transaction(browser.services.engine, writes=True) as connection:
        connection.execute(text(statement))


def append(browser: Browser, kind: str, content: object) -> None:
    ledger = browser.services.ledger
    with transaction(browser.services.engine, writes=True) as connection:
        seller = ledger.seller(connection, SELLERS[0])
        ledger.append(connection, seller, EntryDraft(SELF_CHAIN, kind, canonical_json(content), datetime.now(UTC)))


def append_score(browser: Browser, review_id: str) -> None:
    envelope = {"id": "x", "purpose": "self_view", "review_id": review_id}
    append(browser, EntryKind.SCORE, {"bundle": "b", "envelope": envelope, "inputs": {}})


@pytest.mark.databases
def test_reviews_in_every_state_have_no_fault(browser: Browser) -> None:
    current_score(browser, SELLERS[0])
    for decision in (CORRECT, CONFIRM, replace(CORRECT, value=0.9), replace(CORRECT, feature="signal_13")):
        decide(browser, decision)
    service.assign(browser.services, open_review(browser, SELLERS[0], FIGURE).id, "operator-1")
    assert faults(browser) == []


CHANGES = {
    "reviews": {
        "reason": "'Another.'",
        "outcome": "'confirmed'",
        "statement": "''",
        "kind": "'dispute'",
        "feature": "'signal_01'",
        "seller_id": "'S-x'",
        "opened_at": "'2020-01-01 00:00:00'",
        "due_at": "'2020-01-01 00:00:00'",
        "taken_at": "'2020-01-01 00:00:00'",
        "taken_by": "NULL",
        "decided_at": "NULL",
        "decided_by": "'x'",
        "score_id": "'x'",
        "new_score_id": "'x'",
    },
    "corrections": {
        "value": "0.3",
        "found": "NULL",
        "feature": "'signal_01'",
        "as_of": "'2026-01-30'",
        "seller_id": "'S-x'",
        "corrected_at": "'2020-01-01 00:00:00'",
    },
}


@pytest.mark.parametrize("table", CHANGES)
def test_every_changed_column_is_named_at_its_row(browser: Browser, table: str) -> None:
    decide(browser, CORRECT)
    for column, value in CHANGES[table].items():
        execute(browser, f"CREATE TABLE backup AS SELECT * FROM {table}")
        execute(browser, f"UPDATE {table} SET {column} = {value}")
        assert faults(browser) == [("self", 2, f"the table of {table} differs from the ledger in {column}")]
        execute(browser, f"DELETE FROM {table}")
        execute(browser, f"INSERT INTO {table} SELECT * FROM backup")
        execute(browser, "DROP TABLE backup")
        assert faults(browser) == []


@pytest.mark.databases
def test_deleted_rows_are_named(browser: Browser) -> None:
    decide(browser, CORRECT)
    execute(browser, "DELETE FROM corrections")
    assert faults(browser) == [("self", 2, "the corrected figure is missing in the table of corrections")]
    execute(browser, "DELETE FROM reviews")
    assert ("self", 2, "the review is missing in the table of reviews") in faults(browser)


def test_rows_that_are_not_in_the_ledger_are_named(browser: Browser) -> None:
    decide(browser, CONFIRM)
    open_review(browser, SELLERS[1])
    execute(browser, f"UPDATE reviews SET outcome = 'confirmed' WHERE seller_id = '{SELLERS[1]}'")
    assert faults(browser) == [("self", 3, "the table of reviews differs from the ledger in outcome")]
    execute(browser, "UPDATE reviews SET outcome = NULL WHERE decided_at IS NULL")
    execute(browser, f"UPDATE reviews SET id = 'other' WHERE seller_id = '{SELLERS[1]}'")
    assert faults(browser) == [
        ("self", 3, "the review is missing in the table of reviews"),
        ("self", 0, "the table of reviews has a review that is not in the ledger"),
    ]
    execute(browser, f"DELETE FROM reviews WHERE seller_id = '{SELLERS[1]}'")
    columns = "(review_id, seller_id, as_of, feature, found, value, corrected_at)"
    rows = "SELECT id, seller_id, '2026-01-31', 'signal_02', 0.5, 0.1, opened_at FROM reviews"
    execute(browser, f"INSERT INTO corrections {columns} {rows}")
    execute(browser, f"INSERT INTO corrections {columns} {rows.replace('SELECT id', 'SELECT seller_id')}")
    assert faults(browser) == [
        ("self", 2, "the table of corrections has a figure that no decision corrected"),
        ("self", 3, "the review is missing in the table of reviews"),
        ("self", 0, "the table of corrections has a correction that is not in the ledger"),
    ]


def test_ledger_rows_that_contradict_each_other_are_named(browser: Browser) -> None:
    append_score(browser, decide(browser, CONFIRM).id)
    append_score(browser, "no such")
    append(browser, EntryKind.DECISION, {"review_id": "less"})
    corrected = decide(browser, CORRECT)
    append_score(browser, corrected.id)
    with transaction(browser.services.engine) as connection:
        row, *_ = [row for row in rows_of(connection, SELF_CHAIN) if row.header.kind == EntryKind.DECISION]
        key = browser.services.ledger.seller(connection, SELLERS[0]).key
    decided = json.loads(read_content(row, key))
    opened = {name: decided[name] for name in decided if name not in {"decided_by", "outcome", "reason", "correction"}}
    append(browser, EntryKind.DECISION, decided)
    append(browser, EntryKind.DECISION, {**decided, "review_id": "unopened"})
    append(browser, EntryKind.REVIEW, {**opened, "action": "opened"})
    append(browser, EntryKind.REVIEW, {"action": "assigned", "review_id": corrected.id, "taken_by": "x"})
    assert [what for _, _, what in faults(browser)] == [
        "the score refers to a review without a correction",
        "the score refers to a review without an earlier decision about its seller",
        "the content is not a valid decision",
        "the review already has another new score",
        "the review is decided twice",
        "the decision is of a review that was not opened like this",
        "the review is opened twice",
        "the assignment is of a review that is not open",
    ]


def test_erased_sellers_and_expired_scores_are_no_fault(browser: Browser) -> None:
    services, now = browser.services, datetime.now(UTC)
    for seller_id in SELLERS[:2]:
        decide(browser, CORRECT, seller_id)
    erase_seller(services.engine, services.receipts, services.vectors, seller_id=SELLERS[0], reason="asked", now=now)
    assert faults(browser) == []
    later = datetime.now(UTC)
    drop_expired(services.engine, services.receipts, before=later, now=later)
    assert faults(browser) == []
    execute(browser, "UPDATE reviews SET new_score_id = NULL")
    assert faults(browser) == [("self", 5, "the review corrected a figure, but has no new score")]
