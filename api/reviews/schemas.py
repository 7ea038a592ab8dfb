"""Schemas of reviews; response fields have no defaults."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from api.kit.fields import ResponseModel, Timestamp
from api.reviews.repository import Review, ReviewKind, ReviewOutcome, ReviewState
from api.reviews.service import LONGEST_STATEMENT, Decision

_ID = "7d0c5a1e-5b3f-4c1a-9a52-6f1d2e3c4b5a"
_SCORE = "0b8f3f0e-2f0c-4e0b-9d3c-8a2b6a1f7c55"


class DecisionCreate(BaseModel):
    """An operator's decision; with `corrected`, the correct value."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"outcome": "corrected", "reason": "Two returns were counted twice.", "value": 0.034}]
        },
    )

    outcome: ReviewOutcome = Field(description="`corrected`: a figure was wrong. `confirmed`: no change.")
    reason: str = Field(
        min_length=1, max_length=LONGEST_STATEMENT, description="Reason. The seller reads it and the ledger records it."
    )
    feature: str | None = Field(
        default=None, max_length=100, description="Feature to correct; the disputed one if left out."
    )
    value: float | None = Field(
        default=None, allow_inf_nan=False, description="Correct value, in the unit of the feature."
    )

    @model_validator(mode="after")
    def _value_where_corrected(self) -> Self:
        if (self.outcome is ReviewOutcome.CORRECTED) is (self.value is None):
            raise PydanticCustomError("review", "Send a value with `corrected`, and none with `confirmed`")
        return self

    @property
    def decision(self) -> Decision:
        """The decision to record."""
        return Decision(self.outcome, self.reason, self.feature, self.value)


class ReviewResponse(ResponseModel):
    """A review that a seller requested, and its state."""

    id: str = Field(description="ID of the review.", examples=[_ID])
    seller_id: str = Field(description="The requesting seller.", examples=["S-000001"])
    kind: ReviewKind = Field(description="`dispute`: of a figure. `review`: of the score by a person.")
    feature: str | None = Field(description="The disputed feature.", examples=["return_rate_90d"])
    score_id: str | None = Field(description="ID of the seller's own score at that time.", examples=[_SCORE])
    statement: str = Field(description="Statement of the seller.", examples=["Two returns were counted twice."])
    state: ReviewState = Field(description="Current state.")
    opened_at: Timestamp = Field(
        description="When the seller requested the review, UTC.", examples=["2026-02-01T09:30:00.000000Z"]
    )
    due_at: Timestamp = Field(description="Deadline of the decision, UTC.", examples=["2026-03-03T09:30:00.000000Z"])
    overdue: bool = Field(description="Whether the deadline has passed without a decision.")
    taken_by: str | None = Field(description="The assigned operator.", examples=["operator-3f9c2a7d5e1b0846"])
    decided_at: Timestamp | None = Field(
        description="When the review was decided, UTC.", examples=["2026-02-03T12:00:00.000000Z"]
    )
    decided_by: str | None = Field(description="The operator who decided.", examples=["operator-3f9c2a7d5e1b0846"])
    outcome: ReviewOutcome | None = Field(description="The outcome.")
    reason: str | None = Field(description="Reason of the decision.", examples=["The platform confirms it."])
    new_score_id: str | None = Field(description="ID of the score with the corrected figure.", examples=[None])

    @classmethod
    def of(cls, review: Review, now: datetime) -> ReviewResponse:
        """Return the response of a review at a time."""
        return cls.from_record(review, overdue=review.overdue(now))


class ReviewPage(ResponseModel):
    """A page of reviews, newest first."""

    items: list[ReviewResponse] = Field(description="The reviews of this page.")
    next_cursor: str | None = Field(
        description="Cursor of the next page; null on the last page.", examples=["WyIyMDI2LTAyLTAx"]
    )
