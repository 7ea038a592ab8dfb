"""Schemas of the profile. Fields have no defaults, and each null has a reason."""

from __future__ import annotations

from pydantic import Field

from api.kit.fields import Day, ResponseModel
from features.profile.peers import LEAST
from features.profile.profile import MissingReason
from features.store.profiles import PeerScope

_MISSING = (
    "Reason for a null value, else null. `not_delivered`: the platform has not delivered a required table. `no_rows`: "
    f"that table has no rows of this seller. `too_few_peers`: fewer than {LEAST} peers have a value. `no_value`: it "
    "cannot be computed, for example a rate without a base. `no_direction`: no feature of the family has a direction."
)
Figure = int | float | None


class Peers(ResponseModel):
    """The peer group: other sellers with settled sales in 12 months, at least thirty."""

    scope: PeerScope = Field(
        description="`category_and_size`: same category and third by settled net sales of 12 months. If there are too "
        "few, `category`; if still too few, `all`; else `none`."
    )
    category: str | None = Field(description="Category of the peers; null for all.", examples=["home"])
    size: str | None = Field(
        description="Third of the category by settled net sales: smaller, middle or larger; null if the size does not "
        "matter.",
        examples=["middle"],
    )
    others: int = Field(description="Number of peers.", examples=[212])


class FamilyIndex(ResponseModel):
    """The index of a feature family, 0 to 100: the mean of `no_better` of its features with a direction."""

    family: str = Field(description="Stable name of the family.", examples=["quality"])
    label: str = Field(description="Label of the family.", examples=["Quality"])
    index: int | None = Field(
        description="100: no peer does better in any feature. 0: every peer does. Rounded half up.", examples=[71]
    )
    counted: int = Field(description="Number of features in the mean.", examples=[10])
    of: int = Field(description="Number of features of the family with a direction.", examples=[11])
    missing: MissingReason | None = Field(description=_MISSING, examples=[None])


class Step(ResponseModel):
    """One of the twelve periods of thirty days before as_of."""

    begins: Day = Field(description="Start of the period, midnight UTC.", examples=["2025-12-02"])
    ends: Day = Field(description="End of the period, midnight UTC.", examples=["2026-01-01"])
    settled: bool = Field(
        description="Whether the period ended at least 30 days ago, so that refunds have arrived.", examples=[True]
    )


class Series(ResponseModel):
    """One value per period."""

    series: str = Field(description="Stable name of the series.", examples=["net_sales"])
    label: str = Field(description="Label of the series.", examples=["Net sales"])
    meaning: str = Field(description="Meaning of a value.", examples=["Number of orders."])
    unit: str = Field(
        description="`micro-USD` (millionths of a US dollar), `count`, `ratio` or `stars`.", examples=["micro-USD"]
    )
    values: list[Figure] = Field(
        description="One value per period, oldest first; an integer for amounts and counts. Null before the seller's "
        "first row, after the last delivery, and for a rate without a base.",
        examples=[[None, 1246179374, 1831857224]],
    )
    settles: bool = Field(
        description="Whether refunds or late parcels can change periods that are not settled.", examples=[True]
    )
    data_through: Day | None = Field(
        description="Midnight through which its tables are delivered.", examples=["2026-01-01"]
    )
    missing: MissingReason | None = Field(description=_MISSING, examples=[None])


class FeatureStanding(ResponseModel):
    """A feature of the seller, compared with the peers."""

    feature: str = Field(description="Stable name of the feature.", examples=["return_rate_90d"])
    label: str = Field(description="Label of the feature.", examples=["Return rate, 90 settled days"])
    meaning: str = Field(description="Meaning of the value.", examples=["Number of orders in the last 90 days."])
    family: str = Field(description="Stable name of its family.", examples=["quality"])
    value: float | None = Field(description="The seller's value.", examples=[0.034])
    unit: str = Field(description="`ratio`, `USD`, `days`, `hours`, `count` or `stars`.", examples=["ratio"])
    direction: str = Field(
        description="Safer direction: `lower`, `higher` or `neither`.",
        examples=["lower"],
    )
    percentile: int | None = Field(
        description="Percentage of peers whose value is at most this one, rounded down.", examples=[22]
    )
    no_better: int | None = Field(
        description="Percentage of peers who do no better, rounded down; null without a direction.",
        examples=[81],
    )
    others: int = Field(description="Number of peers with a value.", examples=[210])
    missing: MissingReason | None = Field(description=_MISSING, examples=[None])


class TableCoverage(ResponseModel):
    """The seller's rows in one table of the operating data, and the age of the table."""

    table: str = Field(description="Name of the table.", examples=["orders"])
    need: str = Field(description="`required`, `expected` or `optional` in a delivery.", examples=["required"])
    covers_through: Day | None = Field(
        description="Midnight (UTC) through which the table is delivered for all sellers.", examples=["2026-01-01"]
    )
    age_days: int | None = Field(description="Days from covers_through to today.", examples=[1])
    first_day: Day | None = Field(description="First day with a row of this seller.", examples=["2022-01-10"])
    last_day: Day | None = Field(
        description="Last day with a row of this seller before as_of.", examples=["2025-12-31"]
    )
    months_of_history: int | None = Field(
        description="Whole months of 30 days from the first day to as_of.", examples=[48]
    )
    days_with_rows: int = Field(description="Days with a row in the twelve periods.", examples=[330])
    days_by_step: list[int] = Field(
        description="Days with a row in each period, at most 30; empty if there are no rows. Refunds and parcels count "
        "on the day of their order.",
        examples=[[28, 30, 27]],
    )
    missing: MissingReason | None = Field(description=_MISSING, examples=[None])


class Flag(ResponseModel):
    """An integrity question, raised if the value exceeds the threshold. It is not a verdict."""

    flag: str = Field(description="Stable name of the question.", examples=["own_store_orders"])
    question: str = Field(
        description="Question to the seller.", examples=["Why does the seller order from their own stores?"]
    )
    raised: bool | None = Field(description="Whether the value exceeds the threshold.", examples=[False])
    feature: str = Field(description="Feature of the value.", examples=["own_store_share_180d"])
    label: str = Field(description="Label of the feature.", examples=["Orders from own stores, 180 days"])
    value: float | None = Field(description="The seller's value.", examples=[0.004])
    unit: str = Field(description="Unit of value and threshold.", examples=["ratio"])
    threshold: float = Field(
        description="The question is raised above this value; a stated convention.", examples=[0.01]
    )
    why: str = Field(description="Rationale of the threshold.", examples=["Trying one's own shop takes one order."])
    missing: MissingReason | None = Field(description=_MISSING, examples=[None])


class Profile(ResponseModel):
    """The profile of a seller as of one midnight, computed when data are delivered."""

    seller_id: str = Field(description="ID of the seller.", examples=["S-000001"])
    consent_id: str = Field(description="Consent of this view.", examples=["4a6f0d62-9d3f-4d8e-8a57-4f1f6b0f3c11"])
    as_of: Day = Field(description="Midnight (UTC) up to which data are used.", examples=["2026-01-01"])
    data_version: str = Field(description="Version of the operating data.", examples=["sha256:5c1b"])
    catalogue: str = Field(description="Digest of the feature definitions.", examples=["sha256:77aa"])
    peers: Peers = Field(description="The peer group.")
    families: list[FamilyIndex] = Field(description="One index per feature family.")
    steps: list[Step] = Field(description="The twelve periods of every series, oldest first.")
    series: list[Series] = Field(description="Series of twelve values.")
    features: list[FeatureStanding] = Field(description="All features in catalogue order.")
    coverage: list[TableCoverage] = Field(description="Coverage of the seller by each table.")
    flags: list[Flag] = Field(description="Integrity questions, raised or not.")
