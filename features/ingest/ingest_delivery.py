"""Ingest of a delivery: read and validate each table, then commit accepted and quarantined rows in one step.

A table that cannot be read is rejected as a whole; the other tables are ingested. Only a table that the store cannot do
without stops the delivery.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from features.engines.duckdb import engine_errors, open_engine, read_parquet
from features.errors import DeliveryError
from features.ingest.delivery import Delivery, latest_time, open_delivery, reject_table
from features.ingest.delivery_checks import (
    expect_files_of_covered,
    expect_no_buyers,
    expect_no_rows_of_absent,
    expect_required,
)
from features.ingest.erasure import (
    current_report,
    finish_erasure,
    read_erased,
    resolve_erased_ids,
    without_erased,
    write_erased,
)
from features.ingest.report import IngestReport, RejectedTable, TableReport
from features.schema import BY_NAME, FX_RATES, ORDERS, Table
from features.store.operating import LISTED_FILE, OperatingStore, StoredDelivery, commit, open_for_writing, read_store
from features.wording import count_of

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

    from features.ingest.sources import Source
    from features.ingest.validation import IngestFolders


Progress = Callable[[str], None]


@dataclass(frozen=True)
class IngestRun:
    """The ingest of one delivery: its id in the store, the store before it, and the latest allowed `known_at` (UTC)."""

    delivery: Delivery
    entry_id: str
    store: OperatingStore
    latest: datetime


def ingest(delivery: Path, store: Path, progress: Progress | None = None, now: datetime | None = None) -> IngestReport:
    """Validate every row of the folder `delivery` and add the accepted rows to the folder `store`.

    Each row is accepted, dropped as a duplicate, or quarantined. A file that cannot be read or lacks a column is
    rejected as a whole; the other tables are ingested. A second ingest into the same store waits for the first.

    A repeated delivery changes nothing and returns its last report.

    Exception: If some rows of a repeated delivery wait for other rows (a rate, a store) and the store has grown since,
    the delivery is validated again, and stored as `<id>-2` if that accepts rows.

    All rows are read from a copy in the store, which is deleted at the end: a delivered file may be replaced meanwhile.

    Args:
        delivery: a folder with one Parquet or CSV file per table.
        store: the folder of the operating store; created if it does not exist.
        progress: receives a sentence about each table.
        now: the time of ingest, by default the current time. Rows with `known_at` more than a day later are invalid.

    Example:
        >>> report = ingest(Path("delivery"), Path("var/operating"))  # doctest: +SKIP
        >>> report.table("orders").quarantined  # doctest: +SKIP
        {'amount_negative': 3, 'currency_unknown': 1}

    Raises:
        DeliveryError: the delivery cannot be ingested, such as a first one without orders. The store does not change.
        StoreError: `store` cannot be read or written.
    """
    notify = progress or (lambda _: None)
    latest = latest_time(now)
    opened = open_delivery(delivery, latest.date())
    with open_for_writing(store) as draft:
        finish_erasure(read_store(store))
        before = read_store(store)
        copies = draft / "delivered"
        copies.mkdir()
        copied, digest = opened.copy(copies)
        ids = before.ids_of(digest)
        earlier = current_report(store, ids[-1]) if ids else None
        if earlier is not None and not _can_accept_more(earlier, before):
            notify(f"this delivery is already in the store: {digest[:12]}")
            return earlier.as_repeated()
        run = IngestRun(copied, f"{digest}-{len(ids) + 1}" if ids else digest, before, latest)
        report = ingest_tables(run, draft, notify)
        if earlier is not None and not any(table.accepted for table in report.tables):
            notify(f"this delivery is already in the store, and no further row can be accepted: {digest[:12]}")
            return earlier.as_repeated()
        shutil.rmtree(copies)
        commit(before, draft, _stored_delivery(run, report))
        # rows that waited in quarantine may turn out to belong to an erased seller
        finish_erasure(read_store(store))
        return report


def _stored_delivery(run: IngestRun, report: IngestReport) -> StoredDelivery:
    terms = run.delivery.terms
    return StoredDelivery(
        delivery_id=run.entry_id,
        covers_through=report.covers_through,
        rows={table.table: table.accepted for table in report.tables},
        constant_rate=terms.constant_rate,
        source=terms.source,
        absent=terms.absent,
        begins=terms.begins,
        covers_stores=terms.covers_stores or "all",
    )


def _can_accept_more(earlier: IngestReport, store: OperatingStore) -> bool:
    """Return whether rows of an earlier ingest wait for other rows, and the store has grown since."""
    from features.ingest.rules import WAITING

    waiting = any(WAITING & table.quarantined.keys() for table in earlier.tables)
    return waiting and store.deliveries[-1].delivery_id != earlier.delivery_id


def ingest_tables(run: IngestRun, draft: Path, notify: Progress) -> IngestReport:
    """Write accepted and quarantined rows and the report into the folder `draft`.

    Raises:
        DeliveryError: a required table is missing, empty or cannot be read, or no table can be read.
    """
    from features.ingest.validation import IngestFolders

    folders = IngestFolders(draft / "accepted", draft / "quarantined", draft / "work")
    for folder in (folders.accepted, folders.quarantined, folders.work):
        folder.mkdir()
    sources, rejected = _open_tables(run.delivery, folders.work)
    expect_required(run.delivery, run.store, sources, rejected)
    expect_no_rows_of_absent(run.delivery, sources)
    expect_files_of_covered(run.delivery)
    reports: list[TableReport] = []
    with open_engine() as engine:
        session = _Session(engine, run, folders)
        for name, source in sources.items():
            notify(f"{name}: {count_of(source.rows, 'row')} to read")
            rates_complete = None if FX_RATES.name in rejected else session.rates_complete(reports)
            result = _ingest_table(session, BY_NAME[name], source, rates_complete)
            if isinstance(result, RejectedTable):
                rejected[name] = result
                expect_required(run.delivery, run.store, sources, rejected)
            else:
                reports.append(_without_erased(session, result))
                if name == ORDERS.name:
                    expect_no_buyers(run.delivery, session.read([session.accepted(name)]))
                notify(
                    f"{name}: {reports[-1].accepted:,} accepted, {reports[-1].duplicates:,} duplicates, "
                    f"{reports[-1].rejected:,} quarantined of {reports[-1].read:,}"
                )
        covers = session.covers(reports)
        _list_stores(session, sources, reports, draft, covers.get(ORDERS.name))
    if not reports:
        reasons = "; ".join(table.why for table in rejected.values())
        raise DeliveryError(f"{run.delivery.folder} was not ingested: {reasons}")
    shutil.rmtree(folders.work)
    report = IngestReport(
        run.entry_id,
        tuple(reports),
        {name: day for name, day in covers.items() if name not in rejected},
        run.delivery.ignored,
        rejected_tables=tuple(rejected[name] for name in BY_NAME if name in rejected),
        absent=run.delivery.terms.absent,
    )
    (draft / "report.json").write_text(report.to_json(), encoding="utf-8")
    return report


@dataclass(frozen=True)
class _Session:
    """The inputs that all tables of a delivery share."""

    engine: Backend
    run: IngestRun
    folders: IngestFolders

    def accepted(self, table: str) -> Path:
        return self.folders.accepted / f"{table}.parquet"

    def read(self, files: Sequence[Path]) -> ir.Table:
        return read_parquet(self.engine, files)

    def files(self, table: str) -> tuple[Path, ...]:
        """Return the accepted files of a table, of the store and of this delivery so far."""
        here = self.accepted(table)
        return (*self.run.store.files(table), *([here] if here.exists() else []))

    def covers(self, reports: Iterable[TableReport]) -> dict[str, date]:
        """Return the midnight through which each table is complete: as declared, else that of the latest `known_at`.

        A table without a usable row is not covered, whatever the delivery declares.
        """
        terms = self.run.delivery.terms
        covers = dict(terms.covers_through)
        for report in reports:
            if report.read and report.rejected == report.read:
                covers.pop(report.table, None)
            elif report.accepted and report.table not in covers:
                last = self.read([self.accepted(report.table)]).known_at.max().to_pyarrow().as_py()
                covers[report.table] = last.date()
        if ORDERS.name in covers:
            # if the platform has no refunds, they are complete as long as orders are
            covers |= {name: covers[ORDERS.name] for name in terms.absent if name in BY_NAME}
        return {name: covers[name] for name in BY_NAME if name in covers}

    def rates_complete(self, reports: Iterable[TableReport]) -> date | None:
        """Return the midnight through which exchange rates are complete, by the store and by this delivery."""
        name = FX_RATES.name
        delivered = self.covers([report for report in reports if report.table == name])
        return max((days[name] for days in (self.run.store.covers_through, delivered) if name in days), default=None)


def _list_stores(
    session: _Session, sources: Mapping[str, Source], reports: Sequence[TableReport], draft: Path, through: date | None
) -> None:
    """List the stores that the delivery names, and check that its coverage may hold for all of them.

    The list is left out if no delivery is `listed`. `through` is the midnight through which orders are complete.
    """
    from features.ingest.listed_stores import DeliveredRows, expect_rows_of_others

    stated = session.run.delivery.terms.covers_stores
    usable = {each.table: sources[each.table] for each in reports if each.read > each.rejected}
    rows = DeliveredRows(session.engine, usable, session.files)
    if stated == "listed" or not session.run.store.covers_all_stores:
        rows.write_listed(draft / LISTED_FILE)
    if stated is None and through is not None:
        expect_rows_of_others(rows, session.run.store, session.run.delivery, through)


def _open_tables(delivery: Delivery, work: Path) -> tuple[dict[str, Source], dict[str, RejectedTable]]:
    from features.ingest.sources import empty_source, open_source

    sources: dict[str, Source] = {}
    rejected = {table.table: table for table in delivery.rejected}
    for name, path in delivery.files.items():
        try:
            sources[name] = open_source(BY_NAME[name], path, work)
        except DeliveryError as error:
            rejected[name] = reject_table(name, [path], error)
    # a table that the platform does not have is a table without rows
    sources |= {
        name: empty_source(BY_NAME[name], work)
        for name in delivery.terms.absent
        if name in BY_NAME and name not in delivery.files
    }
    return {name: sources[name] for name in BY_NAME if name in sources}, rejected


def _ingest_table(
    session: _Session, table: Table, source: Source, rates_complete: date | None
) -> TableReport | RejectedTable:
    """Ingest one table, or reject it if its file turns out to be damaged."""
    from features.ingest.money import Rates
    from features.ingest.rules import references_of
    from features.ingest.sources import read_through
    from features.ingest.validation import IngestContext, ingest_table

    run, folders = session.run, session.folders
    path = run.delivery.files.get(table.name, source.path)
    fx = session.files(FX_RATES.name) if table.money else ()
    context = IngestContext(
        stored=run.store.files(table.name),
        references={target.name: session.files(target.name) for _, target in references_of(table)},
        rates=Rates(session.read(fx) if fx else None, run.delivery.terms.constant_rate, rates_complete),
        latest=run.latest,
        begins=run.delivery.terms.begins.get(table.name),
    )
    try:
        return ingest_table(session.engine, table, source, context, folders)
    except engine_errors() as error:
        try:
            read_through(path)
        except DeliveryError as damage:
            for folder in (folders.accepted, folders.quarantined):
                (folder / f"{table.name}.parquet").unlink(missing_ok=True)
            return reject_table(table.name, [path], damage)
        # the file is valid, so the machine failed (disk, memory); a retry may succeed
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DeliveryError(
            f"{run.delivery.folder / path.name} could not be ingested, nothing was stored: {reason}"
        ) from error


def _without_erased(session: _Session, report: TableReport) -> TableReport:
    """Remove the rows of erased sellers, and add the ids of their new stores and loans to the list."""
    folder = session.run.store.folder
    erased = read_erased(folder)
    if not erased:
        return report
    if report.table in {"stores", "loans"}:
        earlier, erased = erased, resolve_erased_ids(erased, folder)
        if erased is not earlier:
            write_erased(folder, erased)
    quarantined = session.folders.quarantined / f"{report.table}.parquet"
    return without_erased(report, session.accepted(report.table), quarantined, erased)
