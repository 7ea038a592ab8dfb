"""`ledger verify` names each score with a correction that was in the table for a moment only, or was missing there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from sqlalchemy import text

from api.kit.database import transaction
from api.ledger.checks import Scope
from api.ledger.store import tips
from api.reviews import service
from api.reviews.corrections import Figure, preview_correction, preview_reversal
from api.reviews.repository import ReviewOutcome
from api.reviews.service import Decision, ReviewDraft
from api.scores import self_view
from tests.api.conftest import AS_OF, SELLERS, SNAPSHOT
from tests.api.scores.conftest import Bank, bank

__all__ = ["bank"]
SELLER, FIGURE = SELLERS[0], "signal_02"
INVENTED = f"the score uses a correction of {FIGURE} that no decision gave, or that was not in force"
MISSING = f"the score does not use the correction of {FIGURE} that was in force"
COLUMNS = "(review_id, seller_id, as_of, feature, found, value, corrected_at)"


@contextmanager
def minutes_later(minutes: int) -> Iterator[None]:
    """Move the clock beyond its tolerance, so that the order of two chains is clear."""
    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=minutes), tick=True):
        yield


def execute(bank: Bank, *statements: str) -> None:
    with transaction(bank.services.engine, writes=True) as connection:
        for statement in statements:
            connection.execute(text(statement))


def correct(bank: Bank, value: float) -> str:
    """Correct a figure of the seller by a review, and return the ID of the review."""
    with transaction(bank.services.engine, writes=True) as connection:
        review = service.open_review(connection, bank.services, ReviewDraft(SELLER, FIGURE, None, "It is wrong."))
        preview = preview_correction(bank.services, connection, Figure(SELLER, FIGURE, value), datetime.now(UTC))
    decision = Decision(ReviewOutcome.CORRECTED, "It was wrong.", FIGURE, value, preview.new_band, confirm_value=True)
    return service.decide_review(bank.services, review.id, "operator-1", decision).id


def reverse(bank: Bank, review_id: str) -> str:
    """Reverse a correction, and return the ID of the new review."""
    with transaction(bank.services.engine) as connection:
        preview = preview_reversal(bank.services, connection, SELLER, review_id, datetime.now(UTC))
    band = preview.new_band
    return service.reverse_decision(bank.services, review_id, "operator-1", "A mistake.", confirm_band=band).id


def score_of_bank(bank: Bank) -> str:
    bank.score(SELLER)
    return bank.id


def score_of_seller(bank: Bank) -> str:
    self_view.issue_self_view(bank.services, SELLER, datetime.now(UTC))
    return "self"


def faults(bank: Bank) -> list[tuple[str, str]]:
    return [(fault.chain, fault.what) for fault in bank.verify().faults]


@pytest.mark.databases
@pytest.mark.parametrize("score", [score_of_bank, score_of_seller])
def test_a_correction_that_was_inserted_for_a_moment_is_named(bank: Bank, score: Callable[[Bank], str]) -> None:
    row = f"('r-1', '{SELLER}', '{AS_OF}', '{FIGURE}', 0.9, 0.01, '2026-02-01 08:00:00')"
    execute(bank, f"INSERT INTO corrections {COLUMNS} VALUES {row}")
    chain = score(bank)
    execute(bank, "DELETE FROM corrections")
    assert faults(bank) == [(chain, INVENTED)]


@pytest.mark.databases
@pytest.mark.parametrize(
    ("change", "restore", "fault"),
    [
        ("UPDATE corrections SET value = 0.02", "UPDATE corrections SET value = 0.01", INVENTED),
        ("UPDATE corrections SET found = 0.5", "UPDATE corrections SET found = (SELECT found FROM backup)", INVENTED),
        ("DELETE FROM corrections", "INSERT INTO corrections SELECT * FROM backup", MISSING),
        (
            "UPDATE corrections SET as_of = '2026-01-30'",
            "UPDATE corrections SET as_of = (SELECT as_of FROM backup)",
            MISSING,
        ),
    ],
)
def test_a_correction_that_was_changed_for_a_moment_is_named(bank: Bank, change: str, restore: str, fault: str) -> None:
    correct(bank, 0.01)
    execute(bank, "CREATE TABLE backup AS SELECT * FROM corrections", change)
    with minutes_later(1):
        score_of_bank(bank)
    execute(bank, restore)
    assert faults(bank) == [(bank.id, fault)]


@pytest.mark.databases
def test_a_correction_that_was_put_back_after_its_reversal_is_named(bank: Bank) -> None:
    first = correct(bank, 0.01)
    with minutes_later(1):
        reversal = reverse(bank, first)
        execute(bank, "CREATE TABLE backup AS SELECT * FROM corrections")
        execute(bank, f"DELETE FROM corrections WHERE review_id = '{reversal}'")
        with minutes_later(1):
            score_of_bank(bank)
        execute(bank, "DELETE FROM corrections", "INSERT INTO corrections SELECT * FROM backup")
    assert faults(bank) == [(bank.id, INVENTED)]


@pytest.mark.databases
def test_scores_before_between_and_after_decisions_have_no_fault(bank: Bank) -> None:
    score_of_bank(bank)
    with minutes_later(1):
        first = correct(bank, 0.01)
        score_of_bank(bank)
        with transaction(bank.services.engine) as connection:
            since = tips(connection)
        with minutes_later(1):
            score_of_bank(bank)
            score_of_seller(bank)
            reversal = correct(bank, 0.9)
            assert first != reversal
            reverse(bank, reversal)
            with minutes_later(1):
                score_of_bank(bank)
                assert faults(bank) == []
                assert bank.verify(scope=Scope(since=since)).faults == ()
                # the values of another midnight are used without the correction
                bank.deliver(1, 7)
                score_of_bank(bank)
                assert faults(bank) == []
                bank.erase(SELLER)
                assert faults(bank) == []


def test_an_earlier_decision_counts_if_only_later_rows_are_verified(bank: Bank) -> None:
    correct(bank, 0.01)
    score_of_bank(bank)
    with transaction(bank.services.engine) as connection:
        since = tips(connection)
    execute(bank, "CREATE TABLE backup AS SELECT * FROM corrections", "DELETE FROM corrections")
    with minutes_later(1):
        score_of_bank(bank)
    execute(bank, "INSERT INTO corrections SELECT * FROM backup")
    assert [fault.what for fault in bank.verify(scope=Scope(since=since)).faults] == [MISSING]


def test_a_figure_that_the_model_of_another_catalogue_may_lack_can_be_uncorrected(bank: Bank) -> None:
    correct(bank, 0.01)
    execute(bank, "CREATE TABLE backup AS SELECT * FROM corrections", "DELETE FROM corrections")
    services, other = bank.services, "sha256:" + "d" * 64
    sheet = replace(services.champion.bundle.sheet, catalogue=other)
    bundle = replace(services.champion.bundle, sheet=sheet)
    bank.client.app.state.services = replace(services, champion=replace(services.champion, bundle=bundle))
    values = services.vectors.latest(SELLER)
    assert values is not None
    services.vectors.replace(replace(SNAPSHOT, catalogue=other), [(SELLER, values.values)])
    with minutes_later(1):
        score_of_bank(bank)
    execute(bank, "INSERT INTO corrections SELECT * FROM backup")
    assert faults(bank) == []


def test_a_score_at_the_time_of_the_decision_may_be_with_or_without_the_correction(bank: Bank) -> None:
    correct(bank, 0.01)
    score_of_bank(bank)
    execute(bank, "CREATE TABLE backup AS SELECT * FROM corrections", "DELETE FROM corrections")
    score_of_bank(bank)
    execute(bank, "INSERT INTO corrections SELECT * FROM backup")
    assert faults(bank) == []
