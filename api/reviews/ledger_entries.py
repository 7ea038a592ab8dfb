"""Ledger entries of decisions, and the check of reviews, corrections and new scores against them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from sqlalchemy import Connection

from api.kit.fields import format_timestamp
from api.ledger.chain import SELF_CHAIN, EntryKind, Header, LedgerFault
from api.ledger.checks import ContentCheck
from api.ledger.table_checks import compare_row, stored_rows
from api.reviews.repository import Review, ReviewOutcome, reviews
from api.scores.inputs import Correction, corrections
from scoring.canonical import canonical_json

_FIELDS: Final = (
    "seller_id",
    "kind",
    "feature",
    "score_id",
    "statement",
    "opened_at",
    "due_at",
    "decided_by",
    "outcome",
    "reason",
)
_FIGURE: Final = ("feature", "as_of", "found", "value")
_UNDECIDED: Final = ("decided_at", "decided_by", "outcome", "reason", "new_score_id")
_Row = dict[str, Any]


def decision_entry(
    review: Review, by: str, outcome: ReviewOutcome, reason: str, correction: Correction | None
) -> bytes:
    """Return the ledger content of a decision."""
    return canonical_json(
        {
            "review_id": review.id,
            "seller_id": review.seller_id,
            "kind": str(review.kind),
            "feature": review.feature,
            "statement": review.statement,
            "opened_at": format_timestamp(review.opened_at),
            "due_at": format_timestamp(review.due_at),
            "score_id": review.score_id,
            "decided_by": by,
            "outcome": str(outcome),
            "reason": reason,
            "correction": None if correction is None else {name: getattr(correction, name) for name in _FIGURE},
        }
    )


@dataclass(frozen=True, slots=True)
class _RecordedDecision:
    """A decision as the ledger records it, and the readable score that refers to it, if any."""

    header: Header
    fields: Mapping[str, Any]
    score_id: str | None = None

    @property
    def review(self) -> _Row:
        """The expected row of the table of reviews."""
        return {**{name: self.fields[name] for name in _FIELDS}, "decided_at": self.header.recorded_at}

    @property
    def correction(self) -> _Row | None:
        """The expected row of the table of corrections; None if nothing was corrected."""
        figure = self.fields["correction"]
        if figure is None:
            return None
        same = {"seller_id": self.fields["seller_id"], "corrected_at": self.header.recorded_at}
        return {**{name: figure[name] for name in _FIGURE}, **same}


@dataclass
class ReviewCheck(ContentCheck):
    """Compares each decision with its review and correction, and each new score with its decision.

    A review without a decision has no ledger row; an erased seller has no rows in the tables.

    Example: `verify(engine, ledger, [ScoreIndexCheck(ring.jwks), ReviewCheck()])`.
    """

    _decisions: dict[str, _RecordedDecision] = field(default_factory=dict)

    def end_chain(self, connection: Connection, chain: str) -> Iterator[LedgerFault]:
        """Yield the differences between the tables and the chain `self`, which has all decisions."""
        if chain == SELF_CHAIN:
            yield from self._compare_tables(connection)
        self._decisions = {}

    def other_chains(self, connection: Connection, chains: Set[str]) -> Iterator[LedgerFault]:
        """Yield the faults of the tables if no decision is in the ledger."""
        return iter(()) if SELF_CHAIN in chains else self._compare_tables(connection)

    def _compare_tables(self, connection: Connection) -> Iterator[LedgerFault]:
        review_rows = {row.pop("id"): row for row in stored_rows(connection, reviews)}
        correction_rows = {row.pop("review_id"): row for row in stored_rows(connection, corrections)}
        for review_id, decision in self._decisions.items():
            header = decision.header
            review, correction = review_rows.pop(review_id, None), correction_rows.pop(review_id, None)
            for fault in (*_review_faults(decision, review), *_correction_faults(decision, correction)):
                yield header.fault(fault)
        for review in review_rows.values():
            if any(review[name] is not None for name in _UNDECIDED):
                yield LedgerFault(SELF_CHAIN, 0, "the table of reviews has a decision that is not in the ledger")
        for _ in correction_rows:
            yield LedgerFault(SELF_CHAIN, 0, "the table of corrections has a correction that is not in the ledger")

    def decision(self, header: Header, content: Mapping[str, Any]) -> str | None:
        """Return the fault of the row of a decision, or None."""
        decision = _RecordedDecision(header, content)
        # raises if a field of a decision is missing
        missing = decision.review["outcome"] == ReviewOutcome.CORRECTED and decision.correction is None
        if content["review_id"] in self._decisions:
            return "the review is decided twice"
        self._decisions[content["review_id"]] = decision
        if header.chain != SELF_CHAIN:
            return "the decision is in the chain of a bank"
        return "the decision is a correction without a figure" if missing else None

    def score(self, header: Header, content: Mapping[str, Any]) -> str | None:
        """Return the fault of a score that refers to a review, or None."""
        envelope = content["envelope"]
        if "review_id" not in envelope:
            return None
        decision = self._decisions.get(envelope["review_id"])
        if decision is None or (decision.header.subject, decision.header.chain) != (header.subject, header.chain):
            return "the score refers to a review without an earlier decision about its seller"
        if decision.correction is None:
            return "the score refers to a review without a correction"
        if decision.score_id is not None:
            return "the review already has another new score"
        self._decisions[envelope["review_id"]] = _RecordedDecision(decision.header, decision.fields, envelope["id"])
        return None

    methods: ClassVar = {EntryKind.DECISION: decision, EntryKind.SCORE: score}


def _review_faults(decision: _RecordedDecision, row: _Row | None) -> Iterator[str]:
    expected = decision.review
    # the content of a score may be dropped after its retention period; its row is still there
    if decision.correction is None or decision.score_id is not None:
        expected["new_score_id"] = decision.score_id
    yield from compare_row("the table of reviews", expected, row, "the decided review")
    if row is not None and decision.correction is not None and row["new_score_id"] is None:
        yield "the review corrected a figure, but has no new score"


def _correction_faults(decision: _RecordedDecision, row: _Row | None) -> Iterator[str]:
    expected = decision.correction
    if expected is None:
        if row is not None:
            yield "the table of corrections has a figure that the decision did not correct"
    else:
        yield from compare_row("the table of corrections", expected, row, "the corrected figure")
