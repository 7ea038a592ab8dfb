"""What became of a ledger of invoices, in counts. Every row read has exactly one fate, or there is no report."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date

from features.errors import FeaturesError


@dataclass(frozen=True)
class LedgerReport:
    """What became of one source file's rows.

    `mapped` counts rows by what they became (a `cancelled_order` gives an order and its cancel), `not_mapped` by the
    reason why the contract has no place for them. Counts that do not add up raise FeaturesError.
    """

    source: str
    read: int
    mapped: Mapping[str, int]
    not_mapped: Mapping[str, int]

    def __post_init__(self) -> None:
        fates = sum(self.mapped.values()) + sum(self.not_mapped.values())
        if fates != self.read:
            raise FeaturesError(
                f"{self.source}: {self.read} rows were read but {fates} have a fate; nothing was written"
            )

    def __str__(self) -> str:
        counts = [f"{count:,} {name}" for name, count in self.mapped.items()]
        reasons = [f"{count:,} {name}" for name, count in self.not_mapped.items()]
        left = f"; not mapped: {', '.join(reasons)}" if reasons else ""
        return f"{self.source}: {self.read:,} rows read; {', '.join(counts) or 'none mapped'}{left}"


@dataclass(frozen=True)
class InvoiceReport:
    """What an import wrote: the fates of each source's rows, rows by table, labels, and the midnight covered."""

    ledgers: tuple[LedgerReport, ...]
    written: Mapping[str, int]
    labels: int
    covers_through: date

    def to_json(self) -> str:
        """Return the report as JSON text."""
        return json.dumps(asdict(self), default=date.isoformat, indent=2, sort_keys=True) + "\n"

    def __str__(self) -> str:
        written = ", ".join(f"{count:,} {table}" for table, count in self.written.items())
        lines = [*map(str, self.ledgers), f"written: {written}, {self.labels:,} labels"]
        return "\n".join([*lines, f"covered through {self.covers_through}"])
