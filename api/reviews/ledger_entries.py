"""Ledger entries of reviews and decisions, and the check of reviews, corrections and new scores against them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from sqlalchemy import Connection

from api.kit.fields import format_timestamp
from api.ledger.chain import SELF_CHAIN, EntryKind, Header, LedgerFault
from api.ledger.checks import ContentCheck
from api.ledger.table_checks import compare_row, stored_rows
from api.reviews.repository import Review, ReviewKind, ReviewOutcome, reviews
from api.scores.inputs import Correction, corrections
from scoring.canonical import canonical_json

_OPENING: Final = ("seller_id", "kind", "feature", "score_id", "statement", "opened_at", "due_at")
_DECISION: Final = ("decided_by", "outcome", "reason")
_FIGURE: Final = ("feature", "as_of", "found", "value")
_UNDECIDED: Final = {"decided_at": None, "decided_by": None, "outcome": None, "reason": None, "new_score_id": None}
_OPENED: Final = "opened"
_ASSIGNED: Final = "assigned"
_Row = dict[str, Any]


def opening_entry(review: Review) -> bytes:
    """Return the ledger content of an opened review."""
    return canonical_json({"action": _OPENED, **_opening_fields(review)})


def assignment_entry(review: Review, by: str) -> bytes:
    """Return the ledger content of the assignment of a review to an operator."""
    return canonical_json({"action": _ASSIGNED, "review_id": review.id, "taken_by": by})


def decision_entry(review: Review, by: str, reason: str, correction: Correction | None, catalogue: str) -> bytes:
    """Return the ledger content of a decision. `catalogue` is the digest of the features that the figure is one of."""
    figure, outcome = None, ReviewOutcome.CONFIRMED
    if correction is not None:
        outcome = ReviewOutcome.CORRECTED
        figure = {name: getattr(correction, name) for name in _FIGURE} | {"catalogue": catalogue}
    decided = {"decided_by": by, "outcome": str(outcome), "reason": reason, "correction": figure}
    return canonical_json({**_opening_fields(review), **decided})


def _opening_fields(review: Review) -> _Row:
    return {
        "review_id": review.id,
        "seller_id": review.seller_id,
        "kind": str(review.kind),
        "feature": review.feature,
        "statement": review.statement,
        "opened_at": format_timestamp(review.opened_at),
        "due_at": format_timestamp(review.due_at),
        "score_id": review.score_id,
    }


@dataclass
class _RecordedReview:
    """A review as the ledger records it: the expected rows of the tables.

    `header` is that of the last entry. `score_id` is the readable score that refers to the decision, if any.
    """

    header: Header
    opening: _Row
    taken_at: str | None = None
    taken_by: str | None = None
    decision: Mapping[str, Any] | None = None
    score_id: str | None = None

    @property
    def row(self) -> _Row:
        """The expected row of the table of reviews."""
        taken = {"taken_at": self.taken_at, "taken_by": self.taken_by}
        if self.decision is None:
            return {**self.opening, **taken, **_UNDECIDED}
        decided = {name: self.decision[name] for name in _DECISION}
        expected = {**self.opening, **taken, **decided, "decided_at": self.header.recorded_at}
        # the content of a score may be dropped after its retention period; its row is still there
        if self.correction is None or self.score_id is not None:
            expected["new_score_id"] = self.score_id
        return expected

    @property
    def correction(self) -> _Row | None:
        """The expected row of the table of corrections; None if nothing was corrected."""
        figure = None if self.decision is None else self.decision["correction"]
        if figure is None:
            return None
        same = {"seller_id": self.opening["seller_id"], "corrected_at": self.header.recorded_at}
        return {**{name: figure[name] for name in _FIGURE}, **same}


@dataclass
class ReviewCheck(ContentCheck):
    """Compares each decision with its review and correction, and each new score with its decision.

    An erased seller has no rows in the tables. A reversal is opened and decided at once, by its decision.

    Example: `verify(engine, ledger, [ScoreIndexCheck(ring.jwks), ReviewCheck()])`.
    """

    _reviews: dict[str, _RecordedReview] = field(default_factory=dict)

    def end_chain(self, connection: Connection, chain: str) -> Iterator[LedgerFault]:
        """Yield the differences between the tables and the chain `self`, which has all reviews."""
        if chain == SELF_CHAIN:
            yield from self._compare_tables(connection)
        self._reviews = {}

    def other_chains(self, connection: Connection, chains: Set[str]) -> Iterator[LedgerFault]:
        """Yield the faults of the tables if no review is in the ledger."""
        return iter(()) if SELF_CHAIN in chains else self._compare_tables(connection)

    def _compare_tables(self, connection: Connection) -> Iterator[LedgerFault]:
        review_rows = {row.pop("id"): row for row in stored_rows(connection, reviews)}
        correction_rows = {row.pop("review_id"): row for row in stored_rows(connection, corrections)}
        for review_id, recorded in self._reviews.items():
            review, correction = review_rows.pop(review_id, None), correction_rows.pop(review_id, None)
            faults = (*_review_faults(recorded, review), *_correction_faults(recorded, correction))
            yield from map(recorded.header.fault, faults)
        for _ in review_rows:
            yield LedgerFault(SELF_CHAIN, 0, "the table of reviews has a review that is not in the ledger")
        for _ in correction_rows:
            yield LedgerFault(SELF_CHAIN, 0, "the table of corrections has a correction that is not in the ledger")

    def review(self, header: Header, content: Mapping[str, Any]) -> str | None:
        """Return the fault of the row of an opening or an assignment, or None."""
        if header.chain != SELF_CHAIN:
            return "the review is in the chain of a bank"
        review_id, recorded = content["review_id"], self._reviews.get(content["review_id"])
        if content["action"] == _OPENED:
            if recorded is not None:
                return "the review is opened twice"
            self._reviews[review_id] = _RecordedReview(header, {name: content[name] for name in _OPENING})
            return None
        if recorded is None or recorded.decision is not None or recorded.header.subject != header.subject:
            return "the assignment is of a review that is not open"
        recorded.header, recorded.taken_by = header, content["taken_by"]
        recorded.taken_at = recorded.taken_at or header.recorded_at
        return None

    def decision(self, header: Header, content: Mapping[str, Any]) -> str | None:
        """Return the fault of the row of a decision, or None."""
        opening, outcome = {name: content[name] for name in _OPENING}, content["outcome"]
        if header.chain != SELF_CHAIN:
            return "the decision is in the chain of a bank"
        recorded = self._reviews.get(content["review_id"])
        if recorded is None and content["kind"] == ReviewKind.REVERSAL:
            recorded = _RecordedReview(header, opening)
        if recorded is None or (recorded.header.subject, recorded.opening) != (header.subject, opening):
            return "the decision is of a review that was not opened like this"
        if recorded.decision is not None:
            return "the review is decided twice"
        recorded.header, recorded.decision = header, content
        recorded.taken_at = recorded.taken_at or header.recorded_at
        recorded.taken_by = recorded.taken_by or content["decided_by"]
        self._reviews[content["review_id"]] = recorded
        missing = outcome == ReviewOutcome.CORRECTED and content["correction"] is None
        return "the decision is a correction without a figure" if missing else None

    def score(self, header: Header, content: Mapping[str, Any]) -> str | None:
        """Return the fault of a score that refers to a review, or None."""
        envelope = content["envelope"]
        if "review_id" not in envelope:
            return None
        recorded = self._reviews.get(envelope["review_id"])
        place = (header.chain, header.subject)
        if recorded is None or recorded.decision is None or place != (SELF_CHAIN, recorded.header.subject):
            return "the score refers to a review without an earlier decision about its seller"
        if recorded.correction is None:
            return "the score refers to a review without a correction"
        if recorded.score_id is not None:
            return "the review already has another new score"
        recorded.score_id = envelope["id"]
        return None

    methods: ClassVar = {EntryKind.REVIEW: review, EntryKind.DECISION: decision, EntryKind.SCORE: score}


def _review_faults(recorded: _RecordedReview, row: _Row | None) -> Iterator[str]:
    yield from compare_row("the table of reviews", recorded.row, row, "the review")
    if row is not None and recorded.correction is not None and row["new_score_id"] is None:
        yield "the review corrected a figure, but has no new score"


def _correction_faults(recorded: _RecordedReview, row: _Row | None) -> Iterator[str]:
    expected = recorded.correction
    if expected is None:
        if row is not None:
            yield "the table of corrections has a figure that no decision corrected"
    else:
        yield from compare_row("the table of corrections", expected, row, "the corrected figure")
