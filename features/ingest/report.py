"""The ingest report: counts of accepted, duplicate, quarantined and erased rows by table, as a value and as JSON."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Final, Self

from pydantic import TypeAdapter

from features.errors import FeaturesError, StoreError

RULE_SEPARATOR = ","
"""Separates the names of the rules that a quarantined row breaks."""

_MAX_LENGTH: Final = 40


def shorten(text: str) -> str:
    """Return at most 40 characters of a delivered text, with an ellipsis if it is longer.

    Messages and reports are passed on, and a file that is not a table may contain a secret.
    """
    return text if len(text) <= _MAX_LENGTH else f"{text[: _MAX_LENGTH - 1]}\N{HORIZONTAL ELLIPSIS}"


@dataclass(frozen=True)
class TableReport:
    """The number of rows of one table by status.

    Example: `TableReport("orders", read=10, accepted=7, duplicates=1, quarantined={"amount_negative": 2})`.

    Attributes:
        quarantined: quarantined rows by the first rule that each row breaks.
        broken: quarantined rows by every rule that they break; one row may count several times.
        erased: rows of erased sellers. None of them is stored.

    Raises:
        FeaturesError: the counts do not add up to `read`.
    """

    table: str
    read: int
    accepted: int
    duplicates: int
    quarantined: Mapping[str, int]
    ignored_columns: tuple[str, ...] = ()
    erased: int = 0
    broken: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        counted = self.accepted + self.duplicates + self.rejected + self.erased
        if counted != self.read:
            raise FeaturesError(
                f"{self.table}: {self.read} rows were read but {counted} have a status. Nothing was stored. "
                "Report this as a defect of ingest."
            )

    @property
    def rejected(self) -> int:
        """Rows in quarantine, over all rules."""
        return sum(self.quarantined.values())


@dataclass(frozen=True)
class RejectedTable:
    """A table that was rejected as a whole: the names of its files and the error.

    Example: `RejectedTable("orders", ("orders.parquet",), "orders.parquet lacks amount. ...")`.
    """

    table: str
    files: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class IngestReport:
    """The result of ingesting one delivery.

    Attributes:
        covers_through: the midnight through which each table of this delivery is complete.
        ignored_files: names of files that are not tables of the contract.
        already_ingested: whether the store already held the delivery.
        rejected_tables: tables that could not be read. The delivery does not cover them.
        absent: what the delivery declares that its platform does not have.
    """

    delivery_id: str
    tables: tuple[TableReport, ...]
    covers_through: Mapping[str, date]
    ignored_files: tuple[str, ...] = ()
    already_ingested: bool = False
    rejected_tables: tuple[RejectedTable, ...] = ()
    absent: tuple[str, ...] = ()

    def table(self, name: str) -> TableReport:
        """Return the report of one table; raise KeyError if the delivery does not contain it."""
        return {report.table: report for report in self.tables}[name]

    def as_repeated(self) -> Self:
        """Return this report, marked as already ingested."""
        return replace(self, already_ingested=True)

    def to_json(self) -> str:
        """Return the report as JSON text."""
        return json.dumps(asdict(self), default=date.isoformat, indent=2, sort_keys=True) + "\n"


def read_report(store: Path, delivery_id: str) -> IngestReport:
    """Return the report of a delivery in the store folder `store`; raise StoreError if it cannot be read.

    Example: `read_report(Path("var/operating"), store.deliveries[-1].delivery_id).table("orders").accepted`.
    """
    path = store / "deliveries" / delivery_id / "report.json"
    try:
        return TypeAdapter(IngestReport).validate_json(path.read_bytes())
    except (OSError, ValueError, FeaturesError) as error:
        raise StoreError(f"{path} cannot be read as an ingest report. Restore it from a backup.") from error
