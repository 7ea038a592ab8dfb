"""The picture on the wire; no field has a default, and what is null says why."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from features.profile.peers import LEAST
from features.profile.profile import MissingReason
from features.store.profiles import PeerScope

_WHY = (
    "Why it is null, else null. `not_delivered`: the platform has not delivered a table that it rests on; `no_rows`: "
    f"that table tells nothing of this seller; `too_few_peers`: fewer than {LEAST} others have a value to compare "
    "with; `no_value`: it cannot be computed, such as a rate of nothing; `no_direction`: no feature of the family is "
    "better higher or lower."
)
Figure = int | float | None


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Peers(_Answer):
    """Whom the seller is compared with: sellers with settled sales in 12 months, never fewer than thirty others."""

    scope: PeerScope = Field(
        description="`category_and_size`: of the same category and third by settled net sales of 12 months; where "
        "these are too few `category`; where these are, `all`; where these are too, `none`."
    )
    category: str | None = Field(description="The category compared within; null for all.", examples=["home"])
    size: str | None = Field(
        description="Third of the category by settled net sales: smaller, middle or larger; null where not compared "
        "by size.",
        examples=["middle"],
    )
    others: int = Field(description="How many other sellers they are.", examples=[212])


class FamilyIndex(_Answer):
    """A family of features at a glance: 0 to 100, the mean of `no_better` of those with a good direction."""

    family: str = Field(description="Stable name of the family.", examples=["quality"])
    label: str = Field(description="The family in words.", examples=["Quality"])
    index: int | None = Field(
        description="100: no peer does better in anything; 0: every peer does. Rounded, halves up.", examples=[71]
    )
    counted: int = Field(description="Features that it is the mean of.", examples=[10])
    of: int = Field(description="Features of the family with a good direction.", examples=[11])
    missing: MissingReason | None = Field(description=_WHY, examples=[None])


class Step(_Answer):
    """Thirty days of the twelve steps before as_of, oldest first."""

    begins: str = Field(description="Its first midnight, UTC.", examples=["2025-12-02"])
    ends: str = Field(description="The midnight at which it ends, UTC.", examples=["2026-01-01"])
    settled: bool = Field(description="Whether refunds have had 30 days to come since it ended.", examples=[True])


class Series(_Answer):
    """One figure of each step."""

    series: str = Field(description="Stable name of the series.", examples=["net_sales"])
    label: str = Field(description="The series in words.", examples=["Net sales"])
    meaning: str = Field(description="What the figure of a step is.", examples=["Number of orders."])
    unit: str = Field(
        description="`micro-USD` (millionths of a US dollar), `count`, `ratio` or `stars`.", examples=["micro-USD"]
    )
    values: list[Figure] = Field(
        description="A figure a step, oldest first: whole where it is a sum of money or a count. Null before the "
        "seller's first row, after the last delivery, and for a rate of nothing.",
        examples=[[None, 1246179374, 1831857224]],
    )
    settles: bool = Field(
        description="Whether refunds or late parcels still move a step that is not settled.", examples=[True]
    )
    data_through: str | None = Field(
        description="The midnight through which its tables were delivered.", examples=["2026-01-01"]
    )
    missing: MissingReason | None = Field(description=_WHY, examples=[None])


class FeatureStanding(_Answer):
    """One feature of the seller and where it stands among peers."""

    feature: str = Field(description="Stable name of the feature.", examples=["return_rate_90d"])
    label: str = Field(description="The feature in words.", examples=["Return rate, 90 settled days"])
    meaning: str = Field(description="What the number is.", examples=["Number of orders in the last 90 days."])
    family: str = Field(description="Stable name of its family.", examples=["quality"])
    value: float | None = Field(description="The seller's value.", examples=[0.034])
    unit: str = Field(description="`ratio`, `USD`, `days`, `hours`, `count` or `stars`.", examples=["ratio"])
    direction: str = Field(
        description="`lower` is safer, `higher` is safer, or `neither`.",
        examples=["lower"],
    )
    percentile: int | None = Field(
        description="Percent of the other sellers whose value is at most this one, rounded down.", examples=[22]
    )
    no_better: int | None = Field(
        description="Percent of the other sellers who do no better, rounded down; null without a direction.",
        examples=[81],
    )
    others: int = Field(description="Peers with a value to compare with.", examples=[210])
    missing: MissingReason | None = Field(description=_WHY, examples=[None])


class TableCoverage(_Answer):
    """What one table of the operating data holds of the seller, and how fresh it is."""

    table: str = Field(description="Name of the table.", examples=["orders"])
    need: str = Field(description="`required`, `expected` or `optional` in a delivery.", examples=["required"])
    covers_through: str | None = Field(
        description="The midnight (UTC) through which it was delivered, for all sellers.", examples=["2026-01-01"]
    )
    age_days: int | None = Field(description="Days from there to today.", examples=[1])
    first_day: str | None = Field(description="First day with a row of this seller.", examples=["2022-01-10"])
    last_day: str | None = Field(description="Last day with one, before as_of.", examples=["2025-12-31"])
    months_of_history: int | None = Field(
        description="Whole months of 30 days from the first day to as_of.", examples=[48]
    )
    days_with_rows: int = Field(description="Days with a row in the twelve steps.", examples=[330])
    days_by_step: list[int] = Field(
        description="Days with a row in each step, at most 30; empty where there is none at all. Refunds and parcels "
        "count on their order's day.",
        examples=[[28, 30, 27]],
    )
    missing: MissingReason | None = Field(description=_WHY, examples=[None])


class Flag(_Answer):
    """A question of integrity: where the value is more than the threshold there is something to ask. Not a verdict."""

    flag: str = Field(description="Stable name of the question.", examples=["own_store_orders"])
    question: str = Field(
        description="What to ask the seller.", examples=["Why does the seller order from their own stores?"]
    )
    raised: bool | None = Field(description="Whether the value is more than the threshold.", examples=[False])
    feature: str = Field(description="The feature that it looks at.", examples=["own_store_share_180d"])
    label: str = Field(description="The feature in words.", examples=["Orders from own stores, 180 days"])
    value: float | None = Field(description="The seller's value.", examples=[0.004])
    unit: str = Field(description="Unit of value and threshold.", examples=["ratio"])
    threshold: float = Field(description="Raised where the value is more; a stated convention.", examples=[0.01])
    why: str = Field(
        description="Why the threshold is where it is.", examples=["Trying one's own shop takes one order."]
    )
    missing: MissingReason | None = Field(description=_WHY, examples=[None])


class Profile(_Answer):
    """What the platform knows of a seller: computed when data landed, as of one midnight, under the one time rule."""

    seller_id: str = Field(description="Whom it is of.", examples=["S-000001"])
    consent_id: str = Field(
        description="The consent under which it was shown.", examples=["4a6f0d62-9d3f-4d8e-8a57-4f1f6b0f3c11"]
    )
    as_of: str = Field(description="The midnight (UTC) up to which data was used.", examples=["2026-01-01"])
    data_version: str = Field(description="Version of the operating data.", examples=["sha256:5c1b"])
    catalogue: str = Field(description="Digest of the feature definitions.", examples=["sha256:77aa"])
    peers: Peers = Field(description="Whom the seller is compared with.")
    families: list[FamilyIndex] = Field(description="An index a family.")
    steps: list[Step] = Field(description="The twelve steps of every series, oldest first.")
    series: list[Series] = Field(description="Twelve steps of each figure.")
    features: list[FeatureStanding] = Field(description="Every feature of the catalogue, in its order.")
    coverage: list[TableCoverage] = Field(description="How much of the seller each table holds.")
    flags: list[Flag] = Field(description="Questions of integrity, raised or not.")
