"""What `GET /v1/scores` answers: one light item a score, since a page of whole ones would be megabytes."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from scoring import Outcome


class State(StrEnum):
    """Whether a listed score can be read."""

    READABLE = "readable"
    ERASED = "erased"
    PAST_RETENTION = "past_retention"
    DAMAGED = "damaged"


class ScoreItem(BaseModel):
    """A score in a list. Of one that cannot be read only what the index knows is told, the rest is null."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(
        description="Id of the score; GET /v1/scores/{id} has all of it.",
        examples=["0b8f3f0e-2f0c-4e0b-9d3c-8a2b6a1f7c55"],
    )
    state: State = Field(
        description="`readable`; `erased`, its seller was erased, or `past_retention`, what it was is kept no more: "
        "reading it answers 410; `damaged`, what is stored is not what was written and reading it answers 500."
    )
    seller_id: str | None = Field(description="Whom it is of.", examples=["S-000001"])
    purpose: str = Field(description="What it was asked for.", examples=["credit_application"])
    scored_at: str = Field(description="When it was made, UTC.", examples=["2026-02-01T09:30:00.000Z"])
    expires_at: str | None = Field(description="Until when to rely on it, UTC.", examples=["2026-03-03T09:30:00.000Z"])
    expired: bool | None = Field(description="Whether that is over.", examples=[False])
    as_of: str | None = Field(description="The midnight (UTC) up to which data was used.", examples=["2026-01-31"])
    outcome: Outcome | None = Field(description="Only `scored` carries a number.")
    score: int | None = Field(description="The score; null without a number.", examples=[625])
    band: str | None = Field(description="A (best) to E; null without a number.", examples=["B"])
    probability_of_default: float | None = Field(description="Null without a number.", examples=[0.0212])


class ScorePage(BaseModel):
    """A page of a bank's scores, newest first."""

    model_config = ConfigDict(extra="forbid")

    items: list[ScoreItem] = Field(description="The scores of this page, the last recorded first.")
    next_cursor: str | None = Field(
        description="Give it as `cursor` for the next page; null where this is the last.",
        examples=["WyIyMDI2LTAyLTAxVDA5OjMwOjAwKzAwOjAwIiwiMGI4ZiJd"],
    )
