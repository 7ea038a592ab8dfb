"""What goes in and out: requests that allow nothing unknown, answers in which no field has a default.

What `GET /v1/scores/{id}/changes` answers.

What `GET /v1/scores` answers: one light item a score, since a page of whole ones would be megabytes.
"""

from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.kit.fields import Purpose, SellerId
from scoring import Outcome


class ScoreRequest(BaseModel):
    """Whom to score, and what for."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"seller_id": "S-000001", "purpose": "credit_application"}]}
    )

    seller_id: SellerId
    purpose: Purpose = Field(description="What the score is for.")


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class GroupPoints(_Answer):
    """The points that a reason group adds or takes: the sum of its features."""

    group: str = Field(description="Name of the group.", examples=["returns"])
    label: str = Field(description="The group in words.", examples=["Returns and refunds"])
    points: int = Field(description="Points added to the base (negative: taken).", examples=[-8])


class Contribution(_Answer):
    """The points that one feature adds or takes."""

    feature: str = Field(description="Name of the feature.", examples=["refund_rate_90d"])
    label: str = Field(description="The feature in words.", examples=["Refund rate, 90 days"])
    value: float | None = Field(description="The seller's value; null where missing.", examples=[0.034])
    unit: str = Field(description="Unit of value and typical.", examples=["ratio"])
    typical: float | None = Field(description="Median of the reference population.", examples=[0.05])
    points: int = Field(description="Points added to the base (negative: taken).", examples=[14])
    reason_group: str | None = Field(
        description="Its reason group; null for the limit of the scale.", examples=["returns"]
    )


class Reason(_Answer):
    """One principal reason: one feature on one side of typical, or missing; verified by scoring again."""

    code: str = Field(
        description="Stable code of the feature and the side; GET /v1/reasons has its wording.",
        examples=["RETURN_RATE_90D_HIGH"],
    )
    group: str = Field(description="The feature's reason group.", examples=["returns"])
    feature: str = Field(description="Name of the feature.", examples=["return_rate_90d"])
    label: str = Field(description="The feature in words.", examples=["Return rate, 90 settled days"])
    side: Literal["high", "low", "missing"] = Field(
        description="Where the value lies: above typical, below it, or nowhere.", examples=["high"]
    )
    value: float | None = Field(description="The seller's value; null where missing.", examples=[0.062])
    typical: float = Field(description="Median of the reference population.", examples=[0.034])
    unit: str = Field(description="Unit of value and typical.", examples=["ratio"])
    table: str | None = Field(
        description="Where the value is missing since a table was not used: the table.", examples=["traffic"]
    )
    data_through: str | None = Field(
        description="Up to which day (UTC) that table goes; null where it was not delivered.", examples=["2026-01-03"]
    )
    points: int = Field(description="Points of the feature's contribution; negative.", examples=[-14])
    gain: int = Field(
        description="By how many points the score is higher with the feature at its typical value, before an end of "
        "the scale cuts it off.",
        examples=[17],
    )
    statement: str = Field(
        description="The reason in words, as a credit officer reads it.",
        examples=["High return rate, 90 settled days: 6.2% of sales, typical 3.4%"],
    )


class Explanation(_Answer):
    """Why the score is what it is: base_points plus the points of all groups is the score; so with contributions."""

    base_points: int = Field(description="Points of the reference population; one per model.", examples=[611])
    reference_population: str = Field(
        description="Whom contributions compare with.", examples=["Borrowers of 2024, 4,812 loans"]
    )
    groups: list[GroupPoints] = Field(
        description="Points by reason group; where an end of the scale cuts the score off, `scale_limit` comes last."
    )
    contributions: list[Contribution] = Field(
        description="One per feature that the model reads, in catalogue order; `scale_limit` comes last."
    )
    reasons: list[Reason] = Field(description="At most four, the one with the largest gain first.")


class Shortfall(_Answer):
    """One thing that lacked for a number."""

    what: str = Field(description="A table or a feature.", examples=["days_on_platform"])
    found: float | str | None = Field(description="What there was; null for nothing.", examples=[41.0])
    needed: float | str = Field(description="The least that is needed.", examples=[90.0])


class TableGap(_Answer):
    """An optional table that the score does without."""

    table: str = Field(description="Name of the table.", examples=["traffic"])
    data_through: str | None = Field(
        description="Up to which day (UTC) it goes, too long ago; null where it was not delivered.",
        examples=["2026-01-03"],
    )


class ScaleDeclared(_Answer):
    """The scale of the score: `points` at odds of repaying `odds`:1, `double` more for twice the odds."""

    points: float = Field(description="Points at the stated odds.", examples=[600])
    odds: float = Field(description="Odds of repaying, to one.", examples=[30])
    double: float = Field(description="Points that double the odds.", examples=[40])
    min: int = Field(description="Lowest score.", examples=[300])
    max: int = Field(description="Highest score.", examples=[900])


class Versions(_Answer):
    """What the assessment was made with."""

    model: str = Field(description="Digest of the model.", examples=["sha256:0c1f"])
    bundle: str = Field(description="Digest of the whole bundle.", examples=["sha256:9b02"])
    catalogue: str = Field(description="Digest of the feature definitions.", examples=["sha256:77aa"])
    reasons: str = Field(description="Version of the reason catalogue.", examples=["2026-01"])
    scale: ScaleDeclared = Field(description="The scale, since scales differ.")


class AssessmentResponse(_Answer):
    """The assessment: a pure function of the seller's values, the request's date and the model."""

    outcome: Outcome = Field(
        description="Only `scored` carries a number. `insufficient_history`: new on the platform, or too few days with "
        "sales. `inactive`: sold before, and not in the last 60 days. `insufficient_data`: a required table was not "
        "delivered. `stale_data`: a required table ends too long before the request."
    )
    score: int | None = Field(description="300 to 900, higher is better.", examples=[625])
    band: str | None = Field(description="A (best) to E.", examples=["B"])
    probability_of_default: float | None = Field(description="Between 0 and 1.", examples=[0.0212])
    default_definition: str = Field(
        description="What counts as default.", examples=["90+ days past due within 12 months"]
    )
    requested_on: str = Field(
        description="The day (UTC) of the request; the age of the data is measured against it.", examples=["2026-02-01"]
    )
    as_of: str = Field(description="The midnight (UTC) up to which data was used.", examples=["2026-01-31"])
    data_through: str | None = Field(description="Up to where every needed table reaches.", examples=["2026-01-31"])
    explanation: Explanation | None = Field(description="Why the score is what it is.")
    shortfalls: list[Shortfall] = Field(description="What was missing for a number; empty where scored.")
    table_gaps: list[TableGap] = Field(
        description="Optional tables that are too old or were not delivered; what rests on them counts as missing."
    )
    versions: Versions = Field(description="What it was made with.")


class LedgerPosition(_Answer):
    """Where the score stands in the ledger; a checkpoint from later on proves that it still does."""

    chain: str = Field(description="The chain of rows; its name is the bank's id.", examples=["bank-3f9c2a7d5e1b0846"])
    position: int = Field(description="The row of the chain, from 1.", examples=[4812])
    head: str = Field(description="What the chain comes to with this row, SHA-256.", examples=["5f70" * 16])


class DifferenceResponse(_Answer):
    """One value of the assessment that is not as it was stored."""

    path: str = Field(description="JSON pointer into the assessment.", examples=["/explanation/contributions/3/value"])
    stored: Any = Field(description="What was stored and answered.", examples=[0.034])
    now: Any = Field(description="What the stored inputs come to.", examples=[0.043])


class Replay(_Answer):
    """What came of making a score again from its stored inputs."""

    matches: bool = Field(description="Whether the assessment is the same, to the byte.")
    differences: list[DifferenceResponse] = Field(description="Every value that differs; empty where it matches.")


class Score(_Answer):
    """A stored score: the assessment and its circumstances. It is read back byte for byte as it was answered."""

    id: str = Field(description="Id of the score.", examples=["0b8f3f0e-2f0c-4e0b-9d3c-8a2b6a1f7c55"])
    seller_id: str = Field(description="Whom it is of.", examples=["S-000001"])
    bank_id: str = Field(description="The bank that asked.", examples=["bank-3f9c2a7d5e1b0846"])
    purpose: Purpose = Field(description="What it was asked for.")
    consent_id: str = Field(
        description="The seller's consent that it rests on.", examples=["4a6f0d62-9d3f-4d8e-8a57-4f1f6b0f3c11"]
    )
    scored_at: str = Field(description="When it was made, UTC.", examples=["2026-02-01T09:30:00.000Z"])
    expires_at: str = Field(description="Until when to rely on it, UTC.", examples=["2026-03-03T09:30:00.000Z"])
    assessment: AssessmentResponse = Field(description="The outcome and why.")
    ledger: LedgerPosition = Field(description="Where it stands in the ledger.")
    receipt: str = Field(
        description="Compact JWS (Ed25519, typ `receipt+jws`) over the canonical JSON of all the other fields, payload "
        "attached; /.well-known/jwks.json has the keys.",
        examples=["eyJhbGciOiJFZDI1NTE5Iiwia2lkIjoiLi4uIiwidHlwIjoicmVjZWlwdCtqd3MifQ.eyJhc3Nlc3NtZW50Ijp7fX0.c2ln"],
    )


class Basis(StrEnum):
    """How two scores could be compared."""

    SAME_MODEL = "same_model"
    RESTATED = "restated"
    MODEL_ONLY = "model_only"
    NO_NUMBER = "no_number"


class _ChangesResponse(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Compared(_ChangesResponse):
    """One of the two scores."""

    id: str = Field(description="Id of the score.", examples=["0b8f3f0e-2f0c-4e0b-9d3c-8a2b6a1f7c55"])
    scored_at: str = Field(description="When it was made, UTC.", examples=["2026-02-01T09:30:00.000Z"])
    as_of: str = Field(description="The midnight (UTC) up to which data was used.", examples=["2026-01-31"])
    outcome: Outcome = Field(description="Only `scored` carries a number.")
    score: int | None = Field(description="The score; null without a number.", examples=[612])
    band: str | None = Field(description="The band; null without a number.", examples=["B"])
    bundle: str = Field(description="Digest of the model bundle that made it.", examples=["sha256:9b02"])


class FeatureMoved(_ChangesResponse):
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


class ScoreChanges(_ChangesResponse):
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


class ScoreState(StrEnum):
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
    state: ScoreState = Field(
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
