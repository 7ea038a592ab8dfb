"""Configuration and summary of a simulation."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from training.errors import SimulationError

HISTORY_DAYS: Final = 365
"""Days of operating data before the first loan, and days of outcomes that a label needs after the last loan."""

_MOST_SELLERS: Final = 999_999
"""Seller numbers have six digits in every ID."""


@dataclass(frozen=True)
class SimulationConfig:
    """Configuration of a simulation. The same values give the same data, byte for byte.

    Example: `SimulationConfig(sellers=200, seed=1)` is 200 sellers over four years from 2022-01-01 with about
    200 x 1,000 orders; about 16 of the sellers inflate their sales.

    Attributes:
        sellers: number of sellers, 1 to 999,999.
        days: length of the period; at least 366, because loans start on day 365. The default is four years: one of
            history, one of outcomes after the last labelled loan, and a market shock in between.
        seed: random seed, at least 0.
        start: first day of the period.
        orders_per_seller: mean number of orders per seller over the whole period; sizes have a heavy tail.
        faker_share: share of sellers who place fake orders, 0 to 1.

    Raises:
        SimulationError: a value is out of its range.
    """

    sellers: int = 2000
    days: int = 1461
    seed: int = 7
    start: date = date(2022, 1, 1)
    orders_per_seller: int = 1000
    faker_share: float = 0.08

    def __post_init__(self) -> None:
        self._require("sellers", 1, _MOST_SELLERS)
        self._require("days", HISTORY_DAYS + 1, 3660)
        self._require("seed", 0, 2**63 - 1)
        self._require("orders_per_seller", 20, 100_000)
        self._require("faker_share", 0.0, 1.0)
        if not date(1995, 1, 1) <= self.start <= date(2080, 1, 1):
            raise SimulationError(
                f"The first day {self.start} is not allowed. Use a day from 1995-01-01 to 2080-01-01."
            )

    def _require(self, name: str, least: float, most: float) -> None:
        value = getattr(self, name)
        if not least <= value <= most:
            raise SimulationError(f"{name} is {value}. Use a value from {least} to {most}.")

    @property
    def end(self) -> date:
        """The day after the last. Its midnight is the time of the delivery and its `covers_through`."""
        return self.start + timedelta(days=self.days)


@dataclass(frozen=True)
class SimulationSummary:
    """Counts of what a simulation wrote.

    Attributes:
        rows: rows by table, including malformed rows and duplicates.
        malformed: rows by table that violate the contract; they are added to the valid rows.
        duplicates: rows by table that repeat another row exactly.
        conflicts: rows by table that have the key of another row with other content.
        late: rows by table that became known more than a day late.
        loans: disbursed loans.
        defaults: loans that were 90 days past due within 12 months of disbursement and within the period.
        fakers: sellers who place fake orders.
    """

    rows: dict[str, int]
    malformed: dict[str, int]
    duplicates: dict[str, int]
    conflicts: dict[str, int]
    late: dict[str, int]
    loans: int
    defaults: int
    fakers: int
