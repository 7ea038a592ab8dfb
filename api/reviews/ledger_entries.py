"""How a decision is written in the chain of the service's own, sealed under the seller's key like scores.

Holds the tables of reviews and of corrections, and the scores that follow, against the decisions in the ledger.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection

from api.kit.fields import format_timestamp
from api.ledger.chain import SELF_CHAIN, EntryKind, Header, LedgerFault
from api.ledger.verification import CheckedRow, LedgerCheck, check_row, compare_row, stored_rows
from api.reviews.repository import Review, ReviewOutcome, reviews
from api.scores.inputs import Correction, corrections
from scoring.canonical import canonical_json


def decision_entry(
    review: Review, by: str, outcome: ReviewOutcome, reason: str, correction: Correction | None
) -> bytes:
    """Return what the ledger keeps of a decision; its moment is that of the row."""
    figure = None
    if correction is not None:
        figure = {
            "feature": correction.feature,
            "as_of": correction.as_of,
            "found": correction.found,
            "value": correction.value,
        }
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
            "correction": figure,
        }
    )


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


@dataclass(frozen=True, slots=True)
class _RecordedDecision:
    """A decision as its row of the ledger tells it, and the score that names it, where one that can be read does."""

    header: Header
    told: Mapping[str, Any]
    score_id: str | None = None

    @property
    def review(self) -> _Row:
        """What the table of reviews must hold."""
        return {**{name: self.told[name] for name in _FIELDS}, "decided_at": self.header.recorded_at}

    @property
    def correction(self) -> _Row | None:
        """What the table of corrections must hold, None where nothing was corrected."""
        figure = self.told["correction"]
        if figure is None:
            return None
        same = {"seller_id": self.told["seller_id"], "corrected_at": self.header.recorded_at}
        return {**{name: figure[name] for name in _FIGURE}, **same}


@dataclass
class ReviewCheck:
    """Each decision against its review and its correction; each score that a review led to against the decision.

    A review that waits for its decision is in no row; whoever was erased is in no table.

    Example: `verify(engine, ledger, [IndexCheck(ring.jwks), ReviewCheck()])`.
    """

    _known: dict[str, _RecordedDecision] = field(default_factory=dict)

    def batch(self, connection: Connection, looked: Sequence[CheckedRow]) -> Iterator[LedgerFault]:  # noqa: ARG002
        """Yield what is wrong with decisions, and with scores that name a review, in these rows."""
        for each in looked:
            yield from check_row(self, _VIEWS, each)

    def rest(self, connection: Connection) -> Iterator[LedgerFault]:
        """Yield where the tables differ from the ledger."""
        asked = {each.pop("id"): each for each in stored_rows(connection, reviews)}
        figures = {each.pop("review_id"): each for each in stored_rows(connection, corrections)}
        for review_id, decided in self._known.items():
            header = decided.header
            review, figure = asked.pop(review_id, None), figures.pop(review_id, None)
            for what in (*_of_review(decided, review), *_of_correction(decided, figure)):
                yield LedgerFault(header.chain, header.position, what)
        for review in asked.values():
            if any(review[name] is not None for name in _UNDECIDED):
                yield LedgerFault(SELF_CHAIN, 0, "the table of reviews holds a decision that the ledger does not")
        for _ in figures:
            yield LedgerFault(SELF_CHAIN, 0, "the table of corrections holds one that the ledger does not")

    def decision(self, header: Header, content: Mapping[str, Any]) -> str | None:
        """Return what is wrong with the row of a decision."""
        decided = _RecordedDecision(header, content)
        # a content that tells less than a decision does fails here
        missing = decided.review["outcome"] == ReviewOutcome.CORRECTED and decided.correction is None
        if content["review_id"] in self._known:
            return "the review is decided twice"
        self._known[content["review_id"]] = decided
        if header.chain != SELF_CHAIN:
            return "the decision is in the chain of a bank"
        return "the decision corrects a figure and names none" if missing else None

    def score(self, header: Header, content: Mapping[str, Any]) -> str | None:
        """Return what is wrong with a score that names a review."""
        envelope = content["envelope"]
        if "review_id" not in envelope:
            return None
        known = self._known.get(envelope["review_id"])
        if known is None or known.header.subject != header.subject or known.header.chain != header.chain:
            return "the score names a review of which no decision about its seller stands before"
        if known.correction is None:
            return "the score names a review by which nothing was corrected"
        if known.score_id is not None:
            return "the review led to another score before"
        self._known[envelope["review_id"]] = _RecordedDecision(known.header, known.told, envelope["id"])
        return None


_VIEWS: Final[Mapping[str, LedgerCheck]] = {
    EntryKind.DECISION: ReviewCheck.decision,
    EntryKind.SCORE: ReviewCheck.score,
}


def _of_review(decided: _RecordedDecision, found: _Row | None) -> Iterator[str]:
    expected = decided.review
    # the content of a score is dropped after its time; that there is one still stands
    if decided.correction is None or decided.score_id is not None:
        expected["new_score_id"] = decided.score_id
    yield from compare_row("the table of reviews", expected, found, "the decided review")
    if found is not None and decided.correction is not None and found["new_score_id"] is None:
        yield "the review corrected a figure and names no score that followed"


def _of_correction(decided: _RecordedDecision, found: _Row | None) -> Iterator[str]:
    expected = decided.correction
    if expected is None:
        if found is not None:
            yield "the table of corrections holds a figure that the decision did not correct"
    else:
        yield from compare_row("the table of corrections", expected, found, "the corrected figure")
