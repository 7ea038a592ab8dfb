"""Schemas of scores. Requests reject unknown fields; response fields have no defaults.

Items of a list are short: a page of whole scores would be several megabytes.
"""

from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.kit.fields import Day, Purpose, ResponseModel, SellerId, Timestamp
from scoring import Outcome


class ScoreRequest(BaseModel):
    """The seller to score and the purpose."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"seller_id": "S-000001", "purpose": "credit_application"}]}
    )

    seller_id: SellerId
    purpose: Purpose = Field(description="Purpose of the score.")


class GroupPoints(ResponseModel):
    """The points of a reason group: the sum of its features."""

    group: str = Field(description="Name of the group.", examples=["returns"])
    label: str = Field(description="Label of the group.", examples=["Returns and refunds"])
    points: int = Field(description="Points added to the base; negative if deducted.", examples=[-8])


class Contribution(ResponseModel):
    """The points of one feature."""

    feature: str = Field(description="Name of the feature.", examples=["refund_rate_90d"])
    label: str = Field(description="Label of the feature.", examples=["Refund rate, 90 days"])
    value: float | None = Field(description="The seller's value; null if missing.", examples=[0.034])
    unit: str = Field(description="Unit of value and typical.", examples=["ratio"])
    typical: float | None = Field(description="Median of the reference population.", examples=[0.05])
    points: int = Field(description="Points added to the base; negative if deducted.", examples=[14])
    reason_group: str | None = Field(
        description="Reason group of the feature; null for the limit of the scale.", examples=["returns"]
    )


class Reason(ResponseModel):
    """A principal reason: one feature on one side of typical, or missing; verified by scoring again."""

    code: str = Field(
        description="Stable code of feature and side. GET /v1/reasons returns its texts.",
        examples=["RETURN_RATE_90D_HIGH"],
    )
    group: str = Field(description="Reason group of the feature.", examples=["returns"])
    feature: str = Field(description="Name of the feature.", examples=["return_rate_90d"])
    label: str = Field(description="Label of the feature.", examples=["Return rate, 90 settled days"])
    side: Literal["high", "low", "missing"] = Field(
        description="`high`: above typical. `low`: below typical. `missing`: no value.", examples=["high"]
    )
    value: float | None = Field(description="The seller's value; null if missing.", examples=[0.062])
    typical: float = Field(description="Median of the reference population.", examples=[0.034])
    unit: str = Field(description="Unit of value and typical.", examples=["ratio"])
    table: str | None = Field(
        description="The unused table, if the value is missing because of it; else null.", examples=["traffic"]
    )
    data_through: Day | None = Field(
        description="Midnight (UTC) up to which that table is complete; null if it was not delivered.",
        examples=["2026-01-03"],
    )
    points: int = Field(description="Points of the feature's contribution; negative.", examples=[-14])
    gain: int = Field(
        description="Points that the score gains if the feature has its typical value, before the limit of the scale.",
        examples=[17],
    )
    statement: str = Field(
        description="Statement of the reason for a credit officer.",
        examples=["High return rate, 90 settled days: 6.2% of sales, typical 3.4%"],
    )


class ExplanationSummary(ResponseModel):
    """The explanation by group: base_points plus the points of all groups is the score."""

    base_points: int = Field(
        description="Points of the reference population; the same for all scores of a model.", examples=[611]
    )
    reference_population: str = Field(
        description="Population that contributions compare with.", examples=["Borrowers of 2024, 4,812 loans"]
    )
    groups: list[GroupPoints] = Field(
        description="Points by reason group. If the limit of the scale applies, `scale_limit` is the last group."
    )
    reasons: list[Reason] = Field(description="At most four reasons, largest gain first.")


class Explanation(ExplanationSummary):
    """The explanation: base_points plus the points of all groups, or of all contributions, is the score."""

    contributions: list[Contribution] = Field(
        description="One per scored feature in catalogue order; `scale_limit` is the last."
    )


class Shortfall(ResponseModel):
    """A requirement for a score that is not met."""

    what: str = Field(description="Name of the table or feature.", examples=["days_on_platform"])
    found: float | str | None = Field(description="The actual value; null if there is none.", examples=[41.0])
    needed: float | str = Field(description="The required value, at least.", examples=[90.0])


class TableGap(ResponseModel):
    """An optional table that the score does not use."""

    table: str = Field(description="Name of the table.", examples=["traffic"])
    data_through: Day | None = Field(
        description="Midnight (UTC) up to which the table is complete, which is too old; null if not delivered.",
        examples=["2026-01-03"],
    )


class ScaleDeclared(ResponseModel):
    """The scale of the score: `points` at odds of repayment of `odds`:1; `double` more points double the odds."""

    points: float = Field(description="Points at the stated odds.", examples=[600])
    odds: float = Field(description="Odds of repayment, to one.", examples=[30])
    double: float = Field(description="Points that double the odds.", examples=[40])
    min: int = Field(description="Lowest score.", examples=[300])
    max: int = Field(description="Highest score.", examples=[900])


class Versions(ResponseModel):
    """Versions of model, features and reasons of the assessment."""

    model: str = Field(description="Digest of the model.", examples=["sha256:0c1f"])
    bundle: str = Field(description="Digest of the model bundle.", examples=["sha256:9b02"])
    catalogue: str = Field(description="Digest of the feature definitions.", examples=["sha256:77aa"])
    reasons: str = Field(description="Version of the reason catalogue.", examples=["2026-01"])
    scale: ScaleDeclared = Field(description="The scale of the score.")


class AssessmentSummary(ResponseModel):
    """The assessment without the points of single features."""

    outcome: Outcome = Field(
        description="Only `scored` has a score. `insufficient_history`: new on the platform, or sales on too few days. "
        "`inactive`: earlier sales, but none in the last 60 days. `insufficient_data`: a required table was not "
        "delivered. `stale_data`: a required table ends too long before the request."
    )
    score: int | None = Field(description="300 to 900, higher is better.", examples=[625])
    band: str | None = Field(description="A (best) to E.", examples=["B"])
    probability_of_default: float | None = Field(description="Between 0 and 1.", examples=[0.0212])
    default_definition: str = Field(
        description="Definition of default.", examples=["90+ days past due within 12 months"]
    )
    requested_on: Day = Field(
        description="Day (UTC) of the request. The age of the data is measured against it.", examples=["2026-02-01"]
    )
    as_of: Day = Field(description="Midnight (UTC) up to which data are used.", examples=["2026-01-31"])
    data_through: Day | None = Field(
        description="Midnight (UTC) up to which all required tables are complete: 2026-01-31 includes 30 January.",
        examples=["2026-01-31"],
    )
    explanation: ExplanationSummary | None = Field(description="The explanation; null without a score.")
    shortfalls: list[Shortfall] = Field(description="Unmet requirements; empty if scored.")
    table_gaps: list[TableGap] = Field(
        description="Optional tables that are too old or were not delivered. Features that need them are missing."
    )
    versions: Versions = Field(description="Versions of the assessment.")


class AssessmentResponse(AssessmentSummary):
    """The assessment: a pure function of the seller's values, the date of the request and the model."""

    explanation: Explanation | None = Field(description="The explanation; null without a score.")


class LedgerPosition(ResponseModel):
    """The position of the score in the ledger. A later checkpoint proves that the row is unchanged."""

    chain: str = Field(description="Name of the chain: the bank's ID.", examples=["bank-3f9c2a7d5e1b0846"])
    position: int = Field(description="Position in the chain, from 1.", examples=[4812])
    head: str = Field(description="Head of the chain with this row, SHA-256.", examples=["5f70" * 16])


class DifferenceResponse(ResponseModel):
    """A value of the assessment that differs from the stored one."""

    path: str = Field(description="JSON pointer into the assessment.", examples=["/explanation/contributions/3/value"])
    stored: Any = Field(description="The stored value.", examples=[0.034])
    now: Any = Field(description="The value of the replay.", examples=[0.043])


class Replay(ResponseModel):
    """The result of a replay."""

    matches: bool = Field(description="Whether the assessment is equal to the byte.")
    differences: list[DifferenceResponse] = Field(description="All values that differ; empty if the replay matches.")


class ScoreSummary(ResponseModel):
    """A stored score without the points of single features, and without the receipt, which signs the whole score."""

    id: str = Field(description="ID of the score.", examples=["0b8f3f0e-2f0c-4e0b-9d3c-8a2b6a1f7c55"])
    seller_id: str = Field(description="ID of the scored seller.", examples=["S-000001"])
    bank_id: str = Field(description="The requesting bank.", examples=["bank-3f9c2a7d5e1b0846"])
    purpose: Purpose = Field(description="Purpose of the score.")
    consent_id: str = Field(
        description="The seller's consent to this score.", examples=["4a6f0d62-9d3f-4d8e-8a57-4f1f6b0f3c11"]
    )
    scored_at: Timestamp = Field(description="When the score was issued, UTC.", examples=["2026-02-01T09:30:00.000Z"])
    expires_at: Timestamp = Field(description="When the score expires, UTC.", examples=["2026-03-03T09:30:00.000Z"])
    assessment: AssessmentSummary = Field(description="The outcome and its explanation.")
    ledger: LedgerPosition = Field(description="Position in the ledger.")


class Score(ScoreSummary):
    """A stored score: the assessment in its envelope. Reading it returns the same bytes."""

    assessment: AssessmentResponse = Field(description="The outcome and its explanation.")
    receipt: str = Field(
        description="Compact JWS (Ed25519, typ `receipt+jws`) over the canonical JSON of all other fields, with its "
        "payload. /.well-known/jwks.json has the keys.",
        examples=["eyJhbGciOiJFZDI1NTE5Iiwia2lkIjoiLi4uIiwidHlwIjoicmVjZWlwdCtqd3MifQ.eyJhc3Nlc3NtZW50Ijp7fX0.c2ln"],
    )


class Basis(StrEnum):
    """How two scores are compared."""

    SAME_MODEL = "same_model"
    RESTATED = "restated"
    MODEL_ONLY = "model_only"
    NO_NUMBER = "no_number"


class Compared(ResponseModel):
    """One of the two scores."""

    id: str = Field(description="ID of the score.", examples=["0b8f3f0e-2f0c-4e0b-9d3c-8a2b6a1f7c55"])
    scored_at: Timestamp = Field(description="When the score was issued, UTC.", examples=["2026-02-01T09:30:00.000Z"])
    as_of: Day = Field(description="Midnight (UTC) up to which data are used.", examples=["2026-01-31"])
    outcome: Outcome = Field(description="Only `scored` has a score.")
    score: int | None = Field(description="The score; null unless scored.", examples=[612])
    band: str | None = Field(description="The band; null unless scored.", examples=["B"])
    bundle: str = Field(description="Digest of the model bundle of the score.", examples=["sha256:9b02"])


class FeatureMoved(ResponseModel):
    """The points of a feature's change."""

    feature: str = Field(
        description="Name of the feature; `scale_limit` for the limit of the scale.",
        examples=["refund_rate_90d"],
    )
    label: str = Field(description="Label of the feature.", examples=["Refund rate, 90 days"])
    unit: str = Field(description="Unit of before and now.", examples=["ratio"])
    before: float | None = Field(description="Value in the earlier score; null if missing.", examples=[0.051])
    now: float | None = Field(description="Value in the later score; null if missing.", examples=[0.034])
    points: int = Field(description="Change of the score in points; never 0.", examples=[14])


class ScoreChanges(ResponseModel):
    """The difference of two scores: by_model and the points of all features sum exactly to it."""

    seller_id: str = Field(description="ID of the scored seller.", examples=["S-000001"])
    before: Compared = Field(description="The earlier score.")
    now: Compared = Field(description="The later score.")
    basis: Basis = Field(
        description="`same_model`: one model issued both, so features explain the whole difference. `restated`: the "
        "later model also scored the earlier values, which separates model and features. `model_only`: the later model "
        "cannot score the earlier values, so the model explains the whole difference. `no_number`: one of the scores "
        "has no number, so there is no difference."
    )
    statement: str = Field(
        description="The basis in a sentence.",
        examples=["The same model issued both scores, so the features explain the whole difference."],
    )
    difference: int | None = Field(
        description="Points from the earlier to the later score; null if there is no difference.", examples=[13]
    )
    by_model: int | None = Field(
        description="Points of the difference due to another model; null if there is no difference.", examples=[0]
    )
    features: list[FeatureMoved] = Field(description="All features that changed the score, most points first.")


class ScoreState(StrEnum):
    """Whether a listed score can be read."""

    READABLE = "readable"
    ERASED = "erased"
    PAST_RETENTION = "past_retention"
    DAMAGED = "damaged"


class ScoreItem(ResponseModel):
    """A score in a list. If the score cannot be read, only the fields of the index are set."""

    id: str = Field(
        description="ID of the score. GET /v1/scores/{id} returns the whole score.",
        examples=["0b8f3f0e-2f0c-4e0b-9d3c-8a2b6a1f7c55"],
    )
    state: ScoreState = Field(
        description="`readable`; `erased`: the seller was erased, reading it returns 410; `past_retention`: the "
        "content was dropped after its retention period, reading it returns 410; `damaged`: the content does not match "
        "its commitment, reading it returns 500."
    )
    seller_id: str | None = Field(description="ID of the scored seller.", examples=["S-000001"])
    purpose: str = Field(description="Purpose of the score.", examples=["credit_application"])
    scored_at: Timestamp = Field(description="When the score was issued, UTC.", examples=["2026-02-01T09:30:00.000Z"])
    expires_at: Timestamp | None = Field(
        description="When the score expires, UTC.", examples=["2026-03-03T09:30:00.000Z"]
    )
    expired: bool | None = Field(description="Whether the score has expired.", examples=[False])
    as_of: Day | None = Field(description="Midnight (UTC) up to which data are used.", examples=["2026-01-31"])
    outcome: Outcome | None = Field(description="Only `scored` has a score.")
    score: int | None = Field(description="The score; null unless scored.", examples=[625])
    band: str | None = Field(description="A (best) to E; null unless scored.", examples=["B"])
    probability_of_default: float | None = Field(
        description="Probability of default; null unless scored.", examples=[0.0212]
    )


class ScorePage(ResponseModel):
    """A page of a bank's scores, newest first."""

    items: list[ScoreItem] = Field(description="The scores of this page, newest first.")
    next_cursor: str | None = Field(
        description="Cursor of the next page; null on the last page.",
        examples=["WyIyMDI2LTAyLTAxVDA5OjMwOjAwKzAwOjAwIiwiMGI4ZiJd"],
    )
