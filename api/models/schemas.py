"""Response schemas of the model card and the reason catalogue."""

from datetime import date
from typing import Literal

from pydantic import AwareDatetime, Field

from api.kit.fields import ResponseModel


class CardScale(ResponseModel):
    """The scale of the score."""

    points: float = Field(description="Points at the stated odds.", examples=[600.0])
    odds: float = Field(description="Odds of repaying, to one.", examples=[30.0])
    double: float = Field(description="Points that double the odds.", examples=[40.0])
    min: int = Field(description="Lowest score.", examples=[300])
    max: int = Field(description="Highest score.", examples=[900])


class CardBand(ResponseModel):
    """A band, and the outcomes of the test loans in it."""

    name: str = Field(description="The letter; the first is best.", examples=["B"])
    up_to: float = Field(description="Highest probability of default of the band, inclusive.", examples=[0.035])
    tested_loans: int | None = Field(description="Test loans in the band.", examples=[212])
    tested_bad: int | None = Field(description="Number of them that defaulted.", examples=[5])
    observed_default_rate: float | None = Field(
        description="Share that defaulted; null without loans.", examples=[0.0236]
    )


class CardTested(ResponseModel):
    """The test loans, predicted by a model that was not trained on them.

    The current model may be the same recipe, fitted again on all matured loans; then `loans` states it.
    """

    loans: str = Field(
        description="Description of the loans.",
        examples=["812 loans as of 2025-01-03 to 2025-04-30, of sellers that the tested model never saw"],
    )
    count: int = Field(description="Number of loans.", examples=[812])
    score_percentiles: list[int] = Field(
        description="101 scores: the lowest, each percentile from the 1st to the 99th, the highest.",
        examples=[[412, 455, 470]],
    )


class CardFeature(ResponseModel):
    """One feature of the model."""

    name: str = Field(description="Name, as in contributions.", examples=["refund_rate_90d"])
    label: str = Field(description="Label of the feature.", examples=["Refund rate, 90 days"])
    unit: str = Field(description="Unit of its values.", examples=["ratio"])
    sign: int = Field(
        ge=-1,
        le=1,
        description="+1: a higher value never lowers risk; -1: never raises it; 0: no direction, never scored.",
        examples=[1],
    )
    scored: bool = Field(description="Whether the model uses it.", examples=[True])
    actionable: bool = Field(description="Whether a seller can change it.", examples=[True])
    structural: bool = Field(description="Whether it counts stores, marketplaces or currencies.", examples=[False])
    reason_group: str = Field(description="Reason group of the feature.", examples=["refunds"])
    typical: float | None = Field(description="Median of the reference population.", examples=[0.05])
    missing: Literal["riskiest", "as_trained"] = Field(
        description="Treatment of a missing value: as the riskiest value, so that withholding data never pays, or as "
        "learned in training.",
        examples=["riskiest"],
    )


class CardHistory(ResponseModel):
    """The minimum of a feature that a seller needs for a score."""

    feature: str = Field(description="Name of the feature.", examples=["days_since_first_order"])
    least: float = Field(description="Minimum.", examples=[90.0])


class CardValidity(ResponseModel):
    """The conditions for a score; otherwise the outcome states which is not met."""

    history: list[CardHistory] = Field(description="The outcome is `insufficient_history` below any of these minimums.")
    most_days_since_last_sale: float | None = Field(
        description="The outcome is `inactive` beyond this number of days, if the seller had sales before; null "
        "without a limit.",
        examples=[60.0],
    )
    required_tables: list[str] = Field(
        description="The outcome is `insufficient_data` if one of these was not delivered.",
        examples=[["orders", "refunds"]],
    )
    optional_tables: list[str] = Field(
        description="If one of these was not delivered, its features count as missing.",
        examples=[["traffic", "purchases"]],
    )
    max_age_days: int = Field(
        description="The outcome is `stale_data` if a required table ends more days before the request. An optional "
        "table of that age is ignored.",
        examples=[7],
    )


class CardInterval(ResponseModel):
    """A value with its 95% interval."""

    value: float = Field(description="The value.", examples=[0.83])
    low: float = Field(description="Lower end of the 95% interval.", examples=[0.71])
    high: float = Field(description="Upper end of the 95% interval.", examples=[0.93])


class CardSample(ResponseModel):
    """The loans that the tested model was trained and tested on. With few defaults, every value is uncertain.

    The current model may have been fitted again on all matured loans; then `limits` states it.
    """

    train_loans: int | None = Field(description="Training loans; null if not recorded.", examples=[1325])
    train_defaults: int | None = Field(description="Training loans that defaulted.", examples=[158])
    test_loans: int = Field(description="Test loans.", examples=[177])
    test_defaults: int = Field(description="Test loans that defaulted.", examples=[16])
    test_from: date | None = Field(description="First day of the test period.", examples=["2024-09-04"])
    default_rate: CardInterval | None = Field(description="Default rate of the test loans.")
    auc: CardInterval | None = Field(
        description="AUC on the test loans, with its 95% bootstrap interval over sellers: half its width is the "
        "uncertainty."
    )


class CardData(ResponseModel):
    """The origin of the data, as stated by the deliveries."""

    origin: str = Field(
        description="Origin of the operating data; several are separated by semicolons.",
        examples=["simulated by sellerscore, seed 7"],
    )
    outcomes: str = Field(
        description="Source of the outcomes.", examples=["loans, instalments and payments of the operating data"]
    )


class CardGap(ResponseModel):
    """A gap between groups of sellers, with its 95% interval."""

    by: str = Field(description="What groups the sellers: `country` or `size`.", examples=["size"])
    measure: str = Field(
        description="`four_fifths_ratio`: lowest acceptance rate over the highest, where bands A and B count as "
        "accepted; `score_gap`: highest mean score less the lowest; `false_refusal_gap`: the same for the share of "
        "repaid loans outside of bands A and B.",
        examples=["four_fifths_ratio"],
    )
    value: float = Field(description="The value.", examples=[0.615])
    low: float = Field(description="Lower end of the 95% interval.", examples=[0.419])
    high: float = Field(description="Upper end of the 95% interval.", examples=[0.861])
    limit: float | None = Field(description="Smallest ratio allowed; null if no limit is published.", examples=[0.8])
    notes: list[str] = Field(
        description="Alarms, why a figure beyond the limit raises none, and groups that could not be compared.",
        examples=[["3 of 6 groups by country are not compared (fewer than 30 test loans each): DE, GB, IN."]],
    )


class CardFairness(ResponseModel):
    """Gaps between groups of sellers. A gap may be one of risk; compare the default rates on the full model card."""

    measured_on: str = Field(
        description="The loans that the gaps were measured on.",
        examples=["177 test loans with 16 defaults, as of 2024-09-04 or later"],
    )
    gaps: list[CardGap] = Field(description="Every gap that could be measured.")


class CardAlarm(ResponseModel):
    """An alarm of a study of the model."""

    study: str = Field(description="Name of the study.", examples=["drift"])
    text: str = Field(
        description="The figure, its limit and what to do.",
        examples=["PSI of the score is 0.412 (0.305 to 0.533), above the limit of 0.25. Retrain on later loans."],
    )
    accepted: bool = Field(description="Whether the approval of the model accepted it.", examples=[True])


class CardApproval(ResponseModel):
    """Who approved the model: another person than its trainer."""

    by: str = Field(description="Name of the approver.", examples=["Wei Zhang"])
    reason: str = Field(description="Reason for the approval.", examples=["Ranks new sellers better than version 2."])
    at: AwareDatetime = Field(description="Time of the approval.", examples=["2026-11-30T10:00:00Z"])


class CardDates(ResponseModel):
    """Dates of the model; null if not recorded."""

    trained_at: AwareDatetime | None = Field(description="End of the training.", examples=["2026-11-29T16:20:00Z"])
    data_through: date | None = Field(
        description="Last midnight that the training data cover.", examples=["2026-11-29"]
    )
    promoted_at: AwareDatetime | None = Field(
        description="Time at which it was last approved.", examples=["2026-11-30T10:00:00Z"]
    )
    rolled_back_at: AwareDatetime | None = Field(
        description="Time at which a rollback last brought it back; null if none did.", examples=[None]
    )


class ModelCard(ResponseModel):
    """The current model: intended use, limits, evidence, approval, and the settings of its scores."""

    name: str = Field(description="Name in the model registry.", examples=["sellerscore"])
    version: str = Field(description="Version in the model registry.", examples=["3"])
    bundle: str = Field(
        description="Digest of the bundle; every score names the one that issued it.", examples=["sha256:9b02"]
    )
    model: str = Field(description="Digest of the model without its settings.", examples=["sha256:0c1f"])
    catalogue: str = Field(description="Digest of the feature definitions.", examples=["sha256:77aa"])
    reasons: str = Field(description="Version of the reason catalogue; see GET /v1/reasons.", examples=["2026-01"])
    intended_use: list[str] = Field(
        description="Intended and excluded uses, one paragraph each.", examples=[["Ranks online sellers by risk."]]
    )
    limits: list[str] = Field(
        description="Known limits, a sentence or two each; empty if not recorded.",
        examples=[["Only loans that were paid out have outcomes."]],
    )
    data: CardData | None = Field(description="Origin of the data; null if not recorded.")
    sample: CardSample | None = Field(description="Loans that it was trained and tested on; null if not recorded.")
    fairness: CardFairness | None = Field(description="Gaps between groups of sellers; null if not recorded.")
    alarms: list[CardAlarm] = Field(description="Every alarm of the studies; empty if none was raised or recorded.")
    approval: CardApproval | None = Field(description="Who approved it; null if not recorded.")
    dates: CardDates = Field(description="When it was trained and promoted.")
    default_definition: str = Field(
        description="What counts as default.", examples=["90+ days past due within 12 months"]
    )
    reference_population: str = Field(
        description="Population that contributions compare with.", examples=["Borrowers of 2024, 4,812 loans"]
    )
    explained_by: Literal["tables", "pred_contrib"] = Field(
        description="Computation of contributions (exact SHAP values): from tables, or by LightGBM.",
        examples=["tables"],
    )
    scale: CardScale = Field(description="The scale of its scores.")
    bands: list[CardBand] = Field(description="Bands, best first.")
    validation: dict[str, float] = Field(
        description="Validation metrics on the test loans by name, such as auc, gini, ks, brier, log_loss.",
        examples=[{"auc": 0.79, "gini": 0.58}],
    )
    tested: CardTested | None = Field(description="The test loans; null if not recorded.")
    validity: CardValidity = Field(description="The conditions for a score.")
    features: list[CardFeature] = Field(description="Every feature, in catalogue order.")
    libraries: dict[str, str] = Field(
        description="Versions of the libraries of the training.", examples=[{"lightgbm": "4.7.0"}]
    )


class Statement(ResponseModel):
    """One statement in each language."""

    en: str = Field(description="English.", examples=["Share of sales that is refunded is high"])
    zh: str = Field(description="Chinese.", examples=["退款率偏高"])


class Texted(ResponseModel):
    """A statement for each reader, with the placeholders `{value}` and `{typical}`, or `{table}` and `{through}`."""

    bank: Statement = Field(description="Text for credit officers.")
    seller: Statement = Field(description="Text for the seller.")
    letter: Statement = Field(description="Text for an adverse-action letter.")


class CatalogueGroup(ResponseModel):
    """A reason group: features with a common meaning."""

    name: str = Field(description="Stable name, as in a score's groups.", examples=["returns"])
    label: Statement = Field(description="Label of the group.")


class CatalogueReason(Texted):
    """A reason that a score may give: one feature on its risky side, or missing."""

    code: str = Field(description="Stable code, as in a score's reasons.", examples=["RETURN_RATE_90D_HIGH"])
    group: str = Field(description="The feature's reason group.", examples=["returns"])
    feature: str = Field(description="Name of the feature.", examples=["return_rate_90d"])
    side: Literal["high", "low", "missing"] = Field(
        description="Side of the value: above typical, below typical, or missing.", examples=["high"]
    )


class Reasons(ResponseModel):
    """The current reason catalogue."""

    version: str = Field(
        description="Version of the catalogue; every score names its version.", examples=["2026-11-30"]
    )
    bundle: str = Field(description="Digest of the bundle that holds it.", examples=["sha256:9b02"])
    most: int = Field(description="Maximum number of reasons of a score.", examples=[4])
    least_gain: int = Field(
        description="Minimum number of points that the score must gain with the feature at its typical value.",
        examples=[2],
    )
    groups: list[CatalogueGroup] = Field(description="The reason groups, in display order.")
    reasons: list[CatalogueReason] = Field(description="Two for each feature that the model uses.")
    not_delivered: Texted = Field(description="Used instead if a value is missing because a table was not delivered.")
    too_old: Texted = Field(description="Used instead if a value is missing because a table is too old.")
