"""What a feature is: a frozen definition in words and data, with no engine code."""

import hashlib
from dataclasses import dataclass

from features.errors import CatalogueError
from features.expressions import (
    ActiveDays,
    Buyers,
    BuyerSquares,
    DaysSinceFirst,
    DaysSinceLast,
    Expr,
    Measure,
    PeakDay,
    SquareTotal,
    Total,
    measures_of,
)
from features.facts import BY_NAME, FACTS, QUICK_REFUND_HOURS


@dataclass(frozen=True)
class Feature:
    """One feature of the catalogue.

    Attributes:
        name: stable identifier, `refund_rate_90d`.
        label: what a credit officer reads, `Refund rate, 90 days`.
        meaning: one sentence that says exactly what the number is.
        unit: `ratio`, `USD`, `days`, `count`.
        window: how many days back the definition looks; None for the whole history.
        expression: the definition itself.
        sign: +1 a higher value raises risk, -1 lowers it, 0 the model is free.
        sign_reason: why, in one sentence.
        reason_group: features that say the same thing to a person share one.
        actionable: the seller can change it within months, honestly.
        structural: it counts stores, marketplaces or currencies, so splitting a store changes it.
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

    def __post_init__(self) -> None:
        if self.sign not in (-1, 0, 1):
            raise CatalogueError(f"{self.name} has the sign {self.sign}; allowed are -1, 0 and +1.")
        unknown = sorted(facts_of(self) - set(BY_NAME))
        if unknown:
            raise CatalogueError(f"{self.name} uses facts that are not defined: {', '.join(unknown)}.")

    @property
    def tables(self) -> frozenset[str]:
        """The tables without which the value is missing."""
        return frozenset().union(*(tables_of(measure) for measure in measures_of(self.expression)))


def facts_of(feature: Feature) -> frozenset[str]:
    """Return the names of the daily facts that a feature adds up."""
    found: set[str] = set()
    for measure in measures_of(feature.expression):
        match measure:
            case Total(fact, _, _, net) | SquareTotal(fact, _, _, net):
                found |= {fact} | ({net} if net else set())
            case PeakDay(fact) | ActiveDays(fact) | DaysSinceLast(fact):
                found.add(fact)
    return frozenset(found)


def tables_of(measure: Measure) -> frozenset[str]:
    """Return the event tables that a measure reads; an absent one makes it missing."""
    match measure:
        case Total(fact, _, _, net) | SquareTotal(fact, _, _, net):
            return frozenset({BY_NAME[fact].table} | ({BY_NAME[net].table} if net else set()))
        case PeakDay(fact) | ActiveDays(fact) | DaysSinceLast(fact):
            return frozenset({BY_NAME[fact].table})
        case Buyers() | BuyerSquares() | DaysSinceFirst():
            return frozenset({"orders"})
        case _:
            return frozenset()


def digest(catalogue: tuple[Feature, ...]) -> str:
    """Return the SHA-256 over all definitions as data, facts included; any change of meaning changes it.

    Example: `digest(CATALOGUE)` is `sha256:…`, 64 hexadecimal digits.
    """
    text = "\n".join(repr(item) for item in (QUICK_REFUND_HOURS, *FACTS, *catalogue))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
