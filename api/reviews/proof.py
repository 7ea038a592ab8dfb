"""How a decision is written in the chain of the service's own, sealed under the seller's key like scores."""

from __future__ import annotations

from typing import Final

from api.ledger.chain import written
from api.reviews.repository import Correction, Outcome, Review
from scoring.canonical import canonical_json

DECISION: Final = "decision"
"""The kind of a row that records what was decided of a review, and why."""


def of_decision(review: Review, by: str, outcome: Outcome, reason: str, correction: Correction | None) -> bytes:
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
            "opened_at": written(review.opened_at),
            "due_at": written(review.due_at),
            "score_id": review.score_id,
            "decided_by": by,
            "outcome": str(outcome),
            "reason": reason,
            "correction": figure,
        }
    )
