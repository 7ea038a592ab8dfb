"""The report of an import: the outcome of each source row, in counts. Counts that do not add up are refused."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date

from features.errors import FeaturesError


@dataclass(frozen=True)
class SourceReport:
    """The outcomes of the rows of one source.

    `mapped` counts rows by what they are mapped to, `not_mapped` by the reason why they are not; `details` explains
    some of these outcomes. Counts that do not add up to the rows read raise FeaturesError.

    Example: `SourceReport("payments", read=10, mapped={"order": 9}, not_mapped={"amount missing": 1})`.
    """

    source: str
    read: int
    mapped: Mapping[str, int]
    not_mapped: Mapping[str, int]
    details: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        counted = sum(self.mapped.values()) + sum(self.not_mapped.values())
        if counted != self.read:
            raise FeaturesError(
                f"{self.source}: {self.read:,} rows were read but accounts.sql counts {counted:,}. Nothing was "
                "written. Every row must be counted once, as mapped or with a reason."
            )

    def __str__(self) -> str:
        if not self.read:
            return f"{self.source}: no rows, only column names"
        counts, reasons = (
            [
                f"{count:,} {name}{f' ({self.details[name]})' if name in self.details else ''}"
                for name, count in outcomes.items()
            ]
            for outcomes in (self.mapped, self.not_mapped)
        )
        rest = f"; not mapped: {', '.join(reasons)}" if reasons else ""
        return f"{self.source}: {self.read:,} rows read; {', '.join(counts) or 'none mapped'}{rest}"


@dataclass(frozen=True)
class ImportReport:
    """What an import wrote: the account of each source, rows by table, labels, and the midnight covered.

    `absent` is what the delivery declares that the platform does not have.
    """

    sources: tuple[SourceReport, ...]
    written: Mapping[str, int]
    labels: int
    covers_through: date
    absent: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Return the report as JSON text."""
        return json.dumps(asdict(self), default=date.isoformat, indent=2, sort_keys=True) + "\n"

    def __str__(self) -> str:
        written = ", ".join(f"{count:,} {table}" for table, count in self.written.items())
        labels = f", {self.labels:,} labels" if self.labels else ""
        lines = [*map(str, self.sources), f"written: {written}{labels}", f"covered through {self.covers_through}"]
        if self.absent:
            lines.append(f"declared absent: {', '.join(self.absent)}")
        return "\n".join(lines)
