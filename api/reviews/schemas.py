"""Schemas of reviews; response fields have no defaults."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from api.kit.fields import ResponseModel, Timestamp
from api.reviews.corrections import NO_BAND, Preview
from api.reviews.repository import Review, ReviewKind, ReviewOutcome, ReviewState
from api.reviews.service import LONGEST_STATEMENT, Decision
from scoring import Outcome
from scoring.formatting import format_value

_ID = "7d0c5a1e-5b3f-4c1a-9a52-6f1d2e3c4b5a"
_SCORE = "0b8f3f0e-2f0c-4e0b-9d3c-8a2b6a1f7c55"
_CONFIRM = f"The new band, if the correction changes the band; `{NO_BAND}` if there is none. Otherwise leave it out."


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
        default=None,
        allow_inf_nan=False,
        description="Correct value, in the unit of the feature: 0.04 is 4%. The preview returns the allowed range.",
    )
    confirm_band: str | None = Field(default=None, max_length=100, description=_CONFIRM)
    confirm_value: bool = Field(default=False, description="Confirms a value that the preview returns as unusual.")

    @model_validator(mode="after")
    def _value_where_corrected(self) -> Self:
        if (self.outcome is ReviewOutcome.CORRECTED) is (self.value is None):
            raise PydanticCustomError("review", "Send a value with `corrected`, and none with `confirmed`")
        return self

    @property
    def decision(self) -> Decision:
        """The decision to record."""
        return Decision(self.outcome, self.reason, self.feature, self.value, self.confirm_band, self.confirm_value)


class PreviewCreate(BaseModel):
    """A correction to preview."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"feature": "return_rate_90d", "value": 0.034}]}
    )

    value: float = Field(allow_inf_nan=False, description="Correct value, in the unit of the feature: 0.04 is 4%.")
    feature: str | None = Field(
        default=None, max_length=100, description="Feature to correct; the disputed one if left out."
    )


class ReversalCreate(BaseModel):
    """The reason of a reversal."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "The unit was mistaken."}]})

    reason: str = Field(
        min_length=1, max_length=LONGEST_STATEMENT, description="Reason. The seller reads it and the ledger records it."
    )
    confirm_band: str | None = Field(default=None, max_length=100, description=_CONFIRM)


class PreviewedScore(ResponseModel):
    """The result of the seller's figures before or after a correction."""

    outcome: Outcome = Field(description="Only `scored` has a score.")
    score: int | None = Field(description="The score; null unless scored.", examples=[612])
    band: str | None = Field(description="The band; null unless scored.", examples=["B"])


class PreviewResponse(ResponseModel):
    """The effect of a correction, which is not stored."""

    feature: str = Field(description="Name of the feature.", examples=["return_rate_90d"])
    label: str = Field(description="Label of the feature.", examples=["Return rate, 90 settled days"])
    unit: str = Field(description="Unit of all values.", examples=["ratio"])
    found: float | None = Field(description="Current value; null if missing.", examples=[0.062])
    value: float = Field(description="Correct value.", examples=[0.034])
    shown: str = Field(description="The correct value as the seller reads it.", examples=["3.4%"])
    lowest: float = Field(description="Lowest allowed value.", examples=[0.0])
    highest: float = Field(description="Highest allowed value.", examples=[1.0])
    before: PreviewedScore = Field(description="Result without the correction.")
    after: PreviewedScore = Field(description="Result with the correction.")
    changes_band: bool = Field(description="Whether the decision must confirm the new band in confirm_band.")
    unusual: bool = Field(
        description="Whether the value is more than ten times or less than a tenth of the current one, or of the "
        "typical one if that is missing or 0, or has another sign. The decision must then send confirm_value."
    )

    @classmethod
    def of(cls, preview: Preview) -> PreviewResponse:
        """Return the response of a preview."""
        entry, correction = preview.entry, preview.correction
        return cls(
            feature=entry.name,
            label=entry.label,
            unit=entry.unit,
            found=correction.found,
            value=correction.value or 0.0,
            shown=format_value(correction.value, entry.unit),
            lowest=preview.low,
            highest=preview.high,
            before=PreviewedScore.from_record(preview.before),
            after=PreviewedScore.from_record(preview.after),
            changes_band=preview.changes_band,
            unusual=preview.is_unusual,
        )


class ReviewResponse(ResponseModel):
    """A review that a seller requested, and its state."""

    id: str = Field(description="ID of the review.", examples=[_ID])
    seller_id: str = Field(description="The requesting seller.", examples=["S-000001"])
    kind: ReviewKind = Field(
        description="`dispute`: of a figure. `review`: of the score by a person. "
        "`reversal`: an operator reversed a correction."
    )
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
