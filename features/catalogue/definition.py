"""What a feature is: a frozen definition in words and data, with no engine code.

Where a seller's silence in a delivered table is unknown, not zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from features.errors import CatalogueError
from features.expressions import (
    BuyerOrders,
    Buyers,
    BuyerSales,
    BuyerSquares,
    DaysSinceFirst,
    Expr,
    HomeTotal,
    Instalments,
    LateInstalments,
    LoansRepaid,
    Marketplaces,
    Measure,
    Number,
    OldestStore,
    Owed,
    PastDueDays,
    ReturningBuyers,
    RushOrders,
    Stores,
    TopBuyer,
    Total,
    WorstPastDue,
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
from features.semantics import digest_of

_OF_ORDERS = BuyerOrders | Buyers | BuyerSales | BuyerSquares | DaysSinceFirst | ReturningBuyers | RushOrders | TopBuyer


_OF_LOANS = Instalments | LateInstalments | LoansRepaid | PastDueDays | WorstPastDue


_GAMEABLE = ("no", "up", "down", "both")


@dataclass(frozen=True)
class Feature:
    """One feature of the catalogue.

    Attributes:
        name: stable identifier, `refund_rate_90d`.
        label: what a credit officer reads, `Refund rate, 90 days`.
        meaning: one sentence that says exactly what the number is.
        unit: `ratio`, `pp` (percentage points, a difference of two ratios), `USD`, `days`, `hours`, `count`, `stars`.
        window: how many days back the definition looks; None for the whole history.
        expression: the definition itself.
        sign: +1 a higher value raises risk, -1 lowers it, 0 it may do either: then no model reads it.
        sign_reason: the credit rationale of the sign, or why there is none, in one sentence.
        reason_group: features that say the same thing to a person share one.
        actionable: the seller can change it within months, honestly.
        structural: it counts stores, marketplaces or currencies, so splitting a store changes it.
        bought: which way fake orders for a twentieth of a month's sales, with visits, parcels and ratings, move it
            by more than their money weighs: `up`, `down`, `both` or `no`. A model may not reward such a move.
    """

    name: str
    label: str
    meaning: str
    unit: str
    window: int | None
    expression: Expr
    sign: int
    sign_reason: str
    reason_group: str
    actionable: bool = False
    structural: bool = False
    bought: str = "no"

    def __post_init__(self) -> None:
        if self.sign not in (-1, 0, 1):
            raise CatalogueError(f"{self.name} has the sign {self.sign}; allowed are -1, 0 and +1.")
        if self.bought not in _GAMEABLE:
            raise CatalogueError(f"{self.name} is bought {self.bought!r}; allowed are {', '.join(_GAMEABLE)}.")
        measures = measures_of(self.expression)
        unknown = sorted(frozenset().union(*map(facts_of, measures)) - set(BY_NAME))
        if unknown:
            raise CatalogueError(f"{self.name} uses facts that are not defined: {', '.join(unknown)}.")
        for measure in measures:
            self._expect_key(measure)

    def _expect_key(self, measure: Measure) -> None:
        key, fact = getattr(measure, "key", None), getattr(measure, "fact", "")
        if key is not None and key not in TILE_KEYS[BY_NAME[fact].table]:
            raise CatalogueError(f"{self.name} groups {fact} by {key}, which its tiles do not keep.")

    @property
    def scored(self) -> bool:
        """Whether a model may read it: it has one direction, and fake orders cannot buy a better value.

        Features that are not scored serve the seller's profile and the integrity checks.
        """
        better = "down" if self.sign > 0 else "up"
        return self.sign != 0 and self.bought not in (better, "both")

    @property
    def tables(self) -> frozenset[str]:
        """The tables without which the value is missing."""
        return frozenset().union(*(tables_of(measure) for measure in measures_of(self.expression)))


def measures_in(catalogue: Sequence[Feature]) -> frozenset[Measure]:
    """Return every measure that the features are made of."""
    return frozenset().union(*(measures_of(feature.expression) for feature in catalogue))


def facts_of(measure: Measure) -> frozenset[str]:
    """Return the names of the daily facts that a measure adds up.

    Example: `facts_of(Total("gross", 90, net="refunded"))` is `{"gross", "refunded"}`.
    """
    named = (getattr(measure, attribute, None) for attribute in ("fact", "other", "net"))
    return frozenset(name for name in named if name)


def tables_of(measure: Measure) -> frozenset[str]:
    """Return the event tables that a measure reads; an absent one makes it missing."""
    if isinstance(measure, _OF_ORDERS):
        return frozenset({"orders"})
    if isinstance(measure, _OF_LOANS):
        return frozenset(LOAN_TABLES)
    if isinstance(measure, Owed):
        return frozenset({"loans", "payments"})
    return frozenset(BY_NAME[fact].table for fact in facts_of(measure))


def parties_of(measure: Measure) -> frozenset[str]:
    """Return the tables of parties that a measure reads: what nobody had told yet of them is unknown too."""
    match measure:
        case Stores() | Marketplaces() | OldestStore():
            return frozenset({"stores"})
        case HomeTotal():
            return frozenset({"sellers"})
    return frozenset()


def digest(catalogue: tuple[Feature, ...]) -> str:
    """Return the SHA-256 over what the features mean; it names the catalogue in vectors and in models.

    Labels, meanings and sign reasons are not part of it: better wording needs no retraining.

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
    """Return the SHA-256 over what stored tiles are computed from; tiles of another digest are built again."""
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
    return {
        "name": feature.name,
        "unit": feature.unit,
        "window": feature.window,
        "expression": feature.expression,
        "sign": feature.sign,
        "reason_group": feature.reason_group,
        "actionable": feature.actionable,
        "structural": feature.structural,
        "gameable": feature.bought,
    }


def if_any(fact: str, days: int) -> Expr:
    """One where the seller has some of a fact in a window, else missing; a value times it is missing with it.

    No advertising says something beside visits. Beside sales without a single visit, nobody has told of the traffic.

    Example: `Total("ad_spend", 90) / Total("gross", 90) * if_any("visits", 90)`.
    """
    return Total(fact, days) / Total(fact, days)


def if_buyers(days: int) -> Expr:
    """One where an order of a window names its buyer, else missing; a value times it is missing with it.

    A platform that records no buyer ids says nothing about loyal buyers, dependence on one, or own accounts.

    Example: `TopBuyer(180) / Total("gross", 180) * if_buyers(180)`.
    """
    return Buyers(days) / Buyers(days)


def if_sold_since(days: int) -> Expr:
    """One where the first order is at least so many days ago, else missing; a value times it is missing with it.

    Months before a seller began are no months without sales.

    Example: `Least(months) * if_sold_since(390)`.
    """
    beyond = DaysSinceFirst() - Number(days - 1.0)
    return beyond / beyond
