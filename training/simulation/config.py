"""What a simulated marketplace is asked to be, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date, timedelta
from typing import Final

from training.errors import SimulationError

HISTORY_DAYS: Final = 365
"""Days of operating data before the first loan; also the months of outcome that a label needs after the last."""

_MOST_SELLERS: Final = 999_999
"""Seller numbers have six digits in every id."""


@dataclass(frozen=True)
class SimulationConfig:
    """A marketplace to simulate; the same values give the same data, byte for byte.

    Example: `SimulationConfig(sellers=200, seed=1)` is 200 sellers over four years from 2022-01-01, with about
    200 x 1,000 orders, of whom some 16 inflate their sales.

    Attributes:
        sellers: how many sellers ever join, 1 to 999,999.
        days: length of the record; loans start on day 365, so at least 366. The default is four years: one of
            history, outcomes for a year after the last loan that is judged, and a market shock in between.
        seed: any whole number from 0.
        start: first day of the record.
        orders_per_seller: mean number of orders of a seller over the whole record; the sizes are heavy-tailed.
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
        self._need("sellers", 1, _MOST_SELLERS)
        self._need("days", HISTORY_DAYS + 1, 3660)
        self._need("seed", 0, 2**63 - 1)
        self._need("orders_per_seller", 20, 100_000)
        self._need("faker_share", 0.0, 1.0)
        if not date(1995, 1, 1) <= self.start <= date(2080, 1, 1):
            raise SimulationError(
                f"The data would begin on {self.start}; they may begin between 1995-01-01 and 2080-01-01."
            )

    def _need(self, name: str, least: float, most: float) -> None:
        value = getattr(self, name)
        if not least <= value <= most:
            raise SimulationError(f"{name} is {value}; give a value from {least} to {most}.")

    @property
    def end(self) -> date:
        """The day after the last: its midnight is when the delivery is made, and what it covers through."""
        return self.start + timedelta(days=self.days)


@dataclass(frozen=True)
class SimulationSummary:
    """What a simulation wrote.

    Attributes:
        rows: rows by table, malformed rows and duplicates included.
        malformed: rows by table that no reader of the contract may accept; each was added beside the good rows.
        duplicates: rows by table that repeat another row exactly.
        conflicts: rows by table that carry the key of another row with other content.
        late: rows by table that became known a day or more after they normally would.
        loans: loans disbursed.
        defaults: loans that fell 90 days past due within 12 months of disbursement, within the record.
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

    def to_json(self) -> dict[str, object]:
        """The same as plain values, ready for `json.dumps`."""
        return {field.name: getattr(self, field.name) for field in fields(self)}
