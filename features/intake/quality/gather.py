"""Everything the page says of one delivery, gathered from the store: one frozen value, and no word of HTML."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from features.engines.duckdb import open_engine
from features.errors import StoreError
from features.intake.job import read_files
from features.intake.quality.coverage import MissingTable, TableCoverage, coverage, missing_tables, rows_by_day
from features.intake.quality.drift import Sides, TableDrift, drift
from features.intake.quality.lateness import Lateness, lateness
from features.intake.quality.profile import ColumnProfile, profile
from features.intake.quality.quarantine import Reason, reasons
from features.intake.report import IntakeReport, TableReport
from features.intake.store import OperatingStore, StoredDelivery
from features.schema import BY_NAME

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend


@dataclass(frozen=True)
class TableQuality:
    """One table that was taken; what rests on accepted rows is empty or None where there are none.

    `backdated` counts accepted rows that say they were known by `complete`, the midnight through which an earlier
    delivery said that the table was complete: features made since would have had to see them.
    """

    fates: TableReport
    reasons: tuple[Reason, ...]
    columns: tuple[ColumnProfile, ...] = ()
    coverage: TableCoverage | None = None
    lateness: Lateness | None = None
    drift: TableDrift | None = None
    complete: date | None = None
    backdated: int = 0

    @property
    def name(self) -> str:
        """The table's name."""
        return self.fates.table


@dataclass(frozen=True)
class Quality:
    """One delivery: `name` is what its folder was called, `first` that nothing was stored before it."""

    name: str
    report: IntakeReport
    first: bool
    tables: tuple[TableQuality, ...]
    missing: tuple[MissingTable, ...]


@dataclass(frozen=True)
class _Stored:
    """A delivery of the store, and what was there before it."""

    folder: Path
    before: OperatingStore

    def file(self, room: str, table: str) -> Path:
        return self.folder / room / f"{table}.parquet"


@dataclass(frozen=True)
class _Reading:
    """What every table of the delivery is read with."""

    engine: Backend
    stored: _Stored
    work: Path
    covers: Mapping[str, date]


def gather(store: OperatingStore, report: IntakeReport, name: str) -> Quality:
    """Return what there is to say of the delivery that `report` is about; StoreError where the store lacks it."""
    ids = [each.delivery_id for each in store.deliveries]
    if report.delivery_id not in ids:
        raise StoreError(f"{store.folder} does not hold the delivery {report.delivery_id}; ingest it first")
    earlier = store.deliveries[: ids.index(report.delivery_id)]
    stored = _Stored(store.folder / "deliveries" / report.delivery_id, OperatingStore(store.folder, earlier))
    with open_engine() as engine, tempfile.TemporaryDirectory(prefix="sellerscore-") as work:
        reading = _Reading(engine, stored, Path(work), report.covers_through)
        tables = tuple(_table(reading, each) for each in report.tables)
    return Quality(name, report, not earlier, tables, missing_tables(report, _stored_through(earlier)))


def _stored_through(deliveries: tuple[StoredDelivery, ...]) -> dict[str, date | None]:
    """Return the tables with rows, each with the midnight through which it is covered."""
    covered = OperatingStore(Path(), deliveries).covers_through
    return {name: covered.get(name) for name in BY_NAME if any(each.rows.get(name) for each in deliveries)}


def _table(reading: _Reading, fates: TableReport) -> TableQuality:
    engine, stored = reading.engine, reading.stored
    table, aside = BY_NAME[fates.table], stored.file("quarantined", fates.table)
    why = reasons(engine, fates, aside)
    if not fates.accepted:
        return TableQuality(fates, why)
    now = read_files(engine, [stored.file("accepted", table.name)])
    by_day = rows_by_day(table, now)
    different = None
    if stored.before.rows(table.name):
        before = read_files(engine, stored.before.files(table.name))
        different = drift(engine, table, Sides(before, now, rows_by_day(table, before), by_day), reading.work)
    complete = stored.before.covers_through.get(table.name)
    return TableQuality(
        fates,
        why,
        profile(table, now, read_files(engine, [aside])),
        coverage(table, by_day, reading.covers.get(table.name)),
        lateness(table, now),
        different,
        complete,
        0 if complete is None else now.filter(now.visible_from <= complete).count().to_pyarrow().as_py(),
    )
