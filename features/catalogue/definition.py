"""The definition of a feature, conditions that make values missing, and the digests of definitions."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

from features.catalogue.semantics import digest_of
from features.errors import CatalogueError
from features.expressions import (
    BuyerMeasure,
    Buyers,
    DaysSinceFirst,
    Expr,
    HomeTotal,
    LoanMeasure,
    Marketplaces,
    Measure,
    OldestStore,
    Owed,
    Stores,
    Total,
    measures_of,
)
from features.facts import (
    BY_NAME,
    COVERED,
    FACTS,
    LATE_DAYS,
    LATE_DELIVERY_HOURS,
    LATE_SHIPPING_HOURS,
    LOAN_TABLES,
    QUICK_REFUND_HOURS,
    TILE_KEYS,
    WEEKEND,
)
from features.festivals import festivals

_GAMEABLE = ("no", "up", "down", "both")
_WORDING = ("label", "meaning", "sign_reason")


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One feature of the catalogue. Its window and tables are derived from its expression.

    Attributes:
        name: stable identifier, `refund_rate_90d`.
        label: short label for credit officers and sellers, `Refund rate, last 90 days`.
        meaning: one sentence with the exact definition.
        expression: the definition itself.
        sign: +1 if a higher value raises risk, -1 if it lowers risk, 0 if it may do either: then no model uses it.
        sign_reason: the credit rationale of the sign, or the reason for sign 0, in one sentence.
        reason_group: features with the same message to a person share one.
        unit: `ratio`, `pp` (percentage points, a difference of two ratios), `USD`, `days`, `hours`, `count`, `stars`.
        actionable: the seller can honestly change it within months.
        structural: it counts stores, marketplaces or currencies, so that splitting a store changes it.
        gameable: the direction in which fake orders worth 5% of a month's sales, with visits, parcels and ratings,
            move it by more than their share of sales: `up`, `down`, `both` or `no`. No model rewards such a move.

    Raises:
        CatalogueError: the sign, the direction of `gameable`, a fact or a key of the expression does not exist.
    """

    name: str
    label: str
    meaning: str
    expression: Expr
    sign: int
    sign_reason: str
    reason_group: str
    unit: str = "ratio"
    actionable: bool = False
    structural: bool = False
    gameable: str = "no"

    def __post_init__(self) -> None:
        if self.sign not in (-1, 0, 1):
            raise CatalogueError(f"{self.name} has the sign {self.sign}. Use -1, 0 or +1.")
        if self.gameable not in _GAMEABLE:
            raise CatalogueError(f"{self.name} is gameable {self.gameable!r}. Use one of {', '.join(_GAMEABLE)}.")
        measures = measures_of(self.expression)
        unknown = sorted(frozenset().union(*(measure.facts for measure in measures)) - set(BY_NAME))
        if unknown:
            raise CatalogueError(f"{self.name} uses unknown facts: {', '.join(unknown)}. See features.facts.")
        for measure in measures:
            key, fact = getattr(measure, "key", None), getattr(measure, "fact", "")
            if key is not None and key not in TILE_KEYS[BY_NAME[fact].table]:
                raise CatalogueError(f"{self.name} groups {fact} by {key}, which is not a key of its tiles.")

    @property
    def window(self) -> int | None:
        """The number of days that the definition looks back; None if it uses the whole history."""
        return max((measure.reach for measure in measures_of(self.expression)), default=0) or None

    @property
    def scored(self) -> bool:
        """Whether a model may use it: it has one direction, and fake orders cannot improve it cheaply.

        Features that are not scored serve the seller's profile and the integrity checks.
        """
        better = "down" if self.sign > 0 else "up"
        return self.sign != 0 and self.gameable not in (better, "both")

    @property
    def tables(self) -> frozenset[str]:
        """The tables without which the value is missing."""
        return frozenset().union(*map(tables_of, measures_of(self.expression)))


def measures_in(catalogue: Sequence[Feature]) -> frozenset[Measure]:
    """Return every measure that the features use."""
    return frozenset().union(*(measures_of(feature.expression) for feature in catalogue))


def tables_of(measure: Measure) -> frozenset[str]:
    """Return the event tables that a measure reads; if one is absent, the measure is missing."""
    match measure:
        case BuyerMeasure() | DaysSinceFirst():
            return frozenset({"orders"})
        case Owed():
            return frozenset({"loans", "payments"})
        case LoanMeasure():
            return frozenset(LOAN_TABLES)
    return frozenset(BY_NAME[fact].table for fact in measure.facts)


def parties_of(measure: Measure) -> frozenset[str]:
    """Return which of the tables `sellers` and `stores` a measure reads."""
    match measure:
        case Stores() | Marketplaces() | OldestStore():
            return frozenset({"stores"})
        case HomeTotal():
            return frozenset({"sellers"})
    return frozenset()


def digest(catalogue: Sequence[Feature]) -> str:
    """Return the SHA-256 over the semantics of the features; it identifies the catalogue in vectors and models.

    Labels, meanings and sign reasons are not part of it, so that better wording needs no retraining.

    Example: `digest(CATALOGUE)` is `sha256:…`, 64 hexadecimal digits.
    """
    return digest_of(
        {
            "tiles": _tile_semantics(),
            "loans": {"late_days": LATE_DAYS, "covered": COVERED},
            "features": [_feature_semantics(feature) for feature in catalogue],
        }
    )


def tile_digest() -> str:
    """Return the SHA-256 over the semantics of tiles; stored tiles with another digest are computed again."""
    return digest_of(_tile_semantics())


def _tile_semantics() -> dict[str, object]:
    return {
        "facts": FACTS,
        "keys": TILE_KEYS,
        "quick_refund_hours": QUICK_REFUND_HOURS,
        "late_shipping_hours": LATE_SHIPPING_HOURS,
        "late_delivery_hours": LATE_DELIVERY_HOURS,
        "weekend": WEEKEND,
        "festivals_2024": festivals(2024),  # one year stands for the rule of all years
        "loan_tables": LOAN_TABLES,
    }


def _feature_semantics(feature: Feature) -> dict[str, object]:
    names = (field.name for field in fields(feature) if field.name not in _WORDING)
    return {"window": feature.window, **{name: getattr(feature, name) for name in names}}


def if_any(fact: str, days: int) -> Expr:
    """Return 1 if a fact of a window is above zero, else missing, to be multiplied with a value.

    Zero advertising means something if there are visits. With sales but no visit at all, traffic was not reported.

    Example: `Total("ad_spend", 90) / Total("gross", 90) * if_any("visits", 90)`.
    """
    return Total(fact, days) / Total(fact, days)


def if_buyers(days: int) -> Expr:
    """Return 1 if an order of a window names its buyer, else missing, to be multiplied with a value.

    Without buyer ids nothing is known about repeat buyers, dependence on one buyer or related parties.

    Example: `TopBuyer(180) / Total("gross", 180) * if_buyers(180)`.
    """
    return Buyers(days) / Buyers(days)


def if_sold_since(days: int) -> Expr:
    """Return 1 if the first order is at least `days` ago, else missing, to be multiplied with a value.

    Months before the first order are not months without sales.

    Example: `Least(months) * if_sold_since(390)`.
    """
    beyond = DaysSinceFirst() - (days - 1)
    return beyond / beyond
