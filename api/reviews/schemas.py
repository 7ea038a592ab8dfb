"""Reviews on the wire; answers in which no field has a default."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from api.kit.fields import format_timestamp
from api.reviews.repository import Review, ReviewKind, ReviewOutcome, ReviewState
from api.reviews.service import LONGEST_STATEMENT, Decision

_ID = "7d0c5a1e-5b3f-4c1a-9a52-6f1d2e3c4b5a"
_SCORE = "0b8f3f0e-2f0c-4e0b-9d3c-8a2b6a1f7c55"


class DecisionCreate(BaseModel):
    """What an operator decides; with `corrected`, what the figure is to be."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"outcome": "corrected", "reason": "Two returns were counted twice.", "value": 0.034}]
        },
    )

    outcome: ReviewOutcome = Field(description="`corrected`: a figure was wrong; `confirmed`: what there is stands.")
    reason: str = Field(
        min_length=1, max_length=LONGEST_STATEMENT, description="Why; the seller reads it, and the ledger keeps it."
    )
    feature: str | None = Field(
        default=None, max_length=100, description="The figure that is corrected; the disputed one where left out."
    )
    value: float | None = Field(
        default=None, allow_inf_nan=False, description="What the figure is to be, in the unit of the feature."
    )

    @model_validator(mode="after")
    def _value_where_corrected(self) -> Self:
        if (self.outcome is ReviewOutcome.CORRECTED) is (self.value is None):
            raise PydanticCustomError("review", "Give a value with `corrected`, and none with `confirmed`")
        return self

    @property
    def decision(self) -> Decision:
        """What is to be recorded."""
        return Decision(self.outcome, self.reason, self.feature, self.value)


class ReviewResponse(BaseModel):
    """Something that a seller asked to have looked at, and what became of it."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(description="Id of the review.", examples=[_ID])
    seller_id: str = Field(description="Who asks.", examples=["S-000001"])
    kind: ReviewKind = Field(description="`dispute` of a figure, or `review` of the score by a person.")
    feature: str | None = Field(description="The disputed figure.", examples=["return_rate_90d"])
    score_id: str | None = Field(description="The seller's own score at that time.", examples=[_SCORE])
    statement: str = Field(description="What the seller says.", examples=["Two returns were counted twice."])
    state: ReviewState = Field(description="How far it has come by now.")
    opened_at: str = Field(description="When it was asked, UTC.", examples=["2026-02-01T09:30:00.000000Z"])
    due_at: str = Field(description="By when it must be decided, UTC.", examples=["2026-03-03T09:30:00.000000Z"])
    overdue: bool = Field(description="Whether it should have been decided by now.")
    taken_by: str | None = Field(description="Who took it up.", examples=["operator-3f9c2a7d5e1b0846"])
    decided_at: str | None = Field(description="When it was decided, UTC.", examples=["2026-02-03T12:00:00.000000Z"])
    decided_by: str | None = Field(description="Who decided.", examples=["operator-3f9c2a7d5e1b0846"])
    outcome: ReviewOutcome | None = Field(description="What was decided.")
    reason: str | None = Field(description="Why.", examples=["The platform confirms it."])
    new_score_id: str | None = Field(description="The score that was made with the corrected figure.", examples=[None])

    @classmethod
    def of(cls, review: Review, now: datetime) -> ReviewResponse:
        """Show a review as it stands at a moment."""
        return cls(
            id=review.id,
            seller_id=review.seller_id,
            kind=review.kind,
            feature=review.feature,
            score_id=review.score_id,
            statement=review.statement,
            state=review.state,
            opened_at=format_timestamp(review.opened_at),
            due_at=format_timestamp(review.due_at),
            overdue=review.overdue(now),
            taken_by=review.taken_by,
            decided_at=None if review.decided_at is None else format_timestamp(review.decided_at),
            decided_by=review.decided_by,
            outcome=review.outcome,
            reason=review.reason,
            new_score_id=review.new_score_id,
        )


class ReviewPage(BaseModel):
    """A page of reviews, newest first."""

    model_config = ConfigDict(extra="forbid")

    items: list[ReviewResponse] = Field(description="The reviews of this page.")
    next_cursor: str | None = Field(
        description="What `cursor` takes for the next page; null on the last.", examples=["WyIyMDI2LTAyLTAx"]
    )
