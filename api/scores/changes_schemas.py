"""What `GET /v1/scores/{id}/changes` answers."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from scoring import Outcome


class Basis(StrEnum):
    """How two scores could be compared."""

    SAME_MODEL = "same_model"
    RESTATED = "restated"
    MODEL_ONLY = "model_only"
    NO_NUMBER = "no_number"


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Compared(_Answer):
    """One of the two scores."""

    id: str = Field(description="Id of the score.", examples=["0b8f3f0e-2f0c-4e0b-9d3c-8a2b6a1f7c55"])
    scored_at: str = Field(description="When it was made, UTC.", examples=["2026-02-01T09:30:00.000Z"])
    as_of: str = Field(description="The midnight (UTC) up to which data was used.", examples=["2026-01-31"])
    outcome: Outcome = Field(description="Only `scored` carries a number.")
    score: int | None = Field(description="The score; null without a number.", examples=[612])
    band: str | None = Field(description="The band; null without a number.", examples=["B"])
    bundle: str = Field(description="Digest of the model bundle that made it.", examples=["sha256:9b02"])


class FeatureMoved(_Answer):
    """What the move of one feature is worth."""

    feature: str = Field(
        description="Name of the feature; `scale_limit` where an end of the scale cut a score off.",
        examples=["refund_rate_90d"],
    )
    label: str = Field(description="The feature in words.", examples=["Refund rate, 90 days"])
    unit: str = Field(description="Unit of before and now.", examples=["ratio"])
    before: float | None = Field(description="Value of the earlier score; null where missing.", examples=[0.051])
    now: float | None = Field(description="Value of the later score; null where missing.", examples=[0.034])
    points: int = Field(description="Points by which it moved the score; never 0.", examples=[14])


class ScoreChanges(_Answer):
    """From an earlier score to a later one: by_model and the points of all features sum to the difference, exactly."""

    seller_id: str = Field(description="Whom both are of.", examples=["S-000001"])
    before: Compared = Field(description="The earlier score.")
    now: Compared = Field(description="The later score.")
    basis: Basis = Field(
        description="`same_model`: one model made both, and all is by feature. `restated`: the earlier figures were "
        "scored by the later model too, which tells model and figures apart. `model_only`: the later model cannot "
        "score the earlier figures, so all is the model's. `no_number`: one of them has no number, so there is no "
        "difference."
    )
    statement: str = Field(
        description="The same in words.",
        examples=["The same model made both scores, so all of the difference is by feature."],
    )
    difference: int | None = Field(description="Points from before to now; null where there is none.", examples=[13])
    by_model: int | None = Field(
        description="Points of it that another model makes; null where there is no difference.", examples=[0]
    )
    features: list[FeatureMoved] = Field(description="Every feature that moved the score, most points first.")
