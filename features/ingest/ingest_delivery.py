"""Every table of one delivery, each taken or set aside as a whole; `ingestion` says what becomes of the result.

A table that cannot be read keeps no other out. Only one that the store cannot do without refuses the delivery.

Take a delivery into the store: whole or not at all, each row with one fate, the same delivery once.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from features.engines.duckdb import engine_errors, open_engine
from features.errors import DeliveryError
from features.ingest.delivery import TERMS_FILE, Delivery, open_delivery, reject_table
from features.ingest.erasure import finish_erasure, read_erased, resolve_erased_ids, without_erased, write_erased
from features.ingest.report import IngestReport, RejectedTable, TableReport
from features.schema import BY_NAME, FX_RATES, ORDERS, TABLES, Need, Table
from features.store.operating import OperatingStore, StoredDelivery, commit, open_for_writing, read_store

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend

    from features.ingest.sources import Source
    from features.ingest.validation import IngestContext, IngestFolders


Progress = Callable[[str], None]


@dataclass(frozen=True)
class IngestRun:
    """One delivery being taken: the id of its entry in the store, the store before it, the last moment of a row."""

    delivery: Delivery
    entry_id: str
    store: OperatingStore
    latest: datetime


def ingest_tables(intake: IngestRun, incoming: Path, tell: Progress) -> IngestReport:
    """Write accepted and quarantined rows and the report into `incoming`.

    Raises:
        DeliveryError: a table that the store cannot do without is missing, empty or cannot be read, or no table can.
    """
    from features.ingest.validation import IngestFolders

    folders = IngestFolders(incoming / "accepted", incoming / "quarantined", incoming / "work")
    for folder in (folders.accepted, folders.quarantined, folders.work):
        folder.mkdir()
    sources, aside = _open_tables(intake.delivery, folders.work)
    _expect_required(intake, sources, aside)
    _expect_absent(intake.delivery, sources)
    reports: list[TableReport] = []
    with open_engine() as engine:
        for name, source in sources.items():
            tell(f"{name}: {source.rows:,} rows to read")
            complete = None if FX_RATES.name in aside else _rates_complete(engine, intake, reports, folders)
            taken = _ingest_table(_Ingesting(engine, intake, folders, complete), BY_NAME[name], source)
            if isinstance(taken, RejectedTable):
                aside[name] = taken
                _expect_required(intake, sources, aside)
            else:
                taken = _without_erased(intake.store, taken, folders)
                _expect_no_buyers(engine, intake.delivery, taken, folders)
                reports.append(taken)
                tell(_sentence(taken))
        covers = _covers(engine, intake, reports, folders)
    covers = {name: day for name, day in covers.items() if name not in aside}
    _expect_any(intake.delivery, reports, aside.values())
    shutil.rmtree(folders.work)
    spoilt = tuple(aside[name] for name in BY_NAME if name in aside)
    report = IngestReport(
        intake.entry_id,
        tuple(reports),
        covers,
        intake.delivery.ignored,
        set_aside=spoilt,
        absent=intake.delivery.terms.absent,
    )
    (incoming / "report.json").write_text(report.to_json(), encoding="utf-8")
    return report


def _without_erased(store: OperatingStore, taken: TableReport, folders: IngestFolders) -> TableReport:
    """Remove the rows of sellers who were erased, and find out which stores and loans of theirs are new."""
    erased = read_erased(store.folder)
    if not erased:
        return taken
    file = f"{taken.table}.parquet"
    accepted, quarantined = folders.accepted / file, folders.quarantined / file
    if taken.table in {"stores", "loans"}:
        known, erased = erased, resolve_erased_ids(erased, store.folder)
        if erased is not known:
            write_erased(store.folder, erased)
    return without_erased(taken, accepted, quarantined, erased)


@dataclass(frozen=True)
class _Ingesting:
    """What every table of a delivery is taken with; `rates_complete`: see `money.Rates`."""

    engine: Backend
    intake: IngestRun
    folders: IngestFolders
    rates_complete: date | None


def _open_tables(delivery: Delivery, work: Path) -> tuple[dict[str, Source], dict[str, RejectedTable]]:
    from features.ingest.sources import empty_source, open_source

    sources: dict[str, Source] = {}
    aside = {each.table: each for each in delivery.set_aside}
    for name, path in delivery.files.items():
        try:
            sources[name] = open_source(BY_NAME[name], path, work)
        except DeliveryError as error:
            aside[name] = reject_table(name, [path], error)
    # a table that the platform does not have is one without rows, and known to be
    sources |= {
        name: empty_source(BY_NAME[name], work)
        for name in delivery.terms.absent
        if name in BY_NAME and name not in delivery.files
    }
    return {name: sources[name] for name in BY_NAME if name in sources}, aside


def _expect_required(intake: IngestRun, sources: Mapping[str, Source], aside: Mapping[str, RejectedTable]) -> None:
    """Refuse a delivery without what neither it nor the store has: other rows would refer to nothing."""
    folder = intake.delivery.folder
    for table in TABLES:
        if table.need is not Need.REQUIRED or intake.store.files(table.name):
            continue
        if table.name in aside:
            raise DeliveryError(
                f"{folder} was not taken, for no {table.name} were delivered before: {aside[table.name].why}"
            )
        if table.name not in sources:
            raise DeliveryError(
                f"{folder} holds no {table.name} and none were delivered before; "
                f"add {table.name}.parquet or {table.name}.csv"
            )
        if sources[table.name].rows == 0:
            raise DeliveryError(
                f"{intake.delivery.files[table.name]} has no rows and no {table.name} were delivered before; "
                f"a first delivery needs {table.name}"
            )


def _expect_absent(delivery: Delivery, sources: Mapping[str, Source]) -> None:
    """Refuse a delivery that declares a table absent and holds rows of it."""
    for name in delivery.terms.absent:
        if name in sources and sources[name].rows:
            raise DeliveryError(
                f"{delivery.folder / TERMS_FILE} declares that the platform has no {name}, but "
                f"{delivery.files[name].name} holds {sources[name].rows:,} rows; take {name} out of absent, or leave "
                "the file out"
            )


def _expect_no_buyers(engine: Backend, delivery: Delivery, taken: TableReport, folders: IngestFolders) -> None:
    """Refuse a delivery that declares that orders name no buyer, and names some."""
    from features.ingest.validation import read_files

    if taken.table != ORDERS.name or "buyer_ids" not in delivery.terms.absent:
        return
    named = read_files(engine, [folders.accepted / f"{taken.table}.parquet"]).buyer_id.count().to_pyarrow().as_py()
    if named:
        raise DeliveryError(
            f"{delivery.folder / TERMS_FILE} declares that the platform has no buyer_ids, but {named:,} orders have a "
            "buyer_id; take buyer_ids out of absent, or leave the ids out"
        )


def _expect_any(delivery: Delivery, reports: list[TableReport], aside: Iterable[RejectedTable]) -> None:
    if not reports:
        raise DeliveryError(f"{delivery.folder} was not taken: {'; '.join(each.why for each in aside)}")


def _ingest_table(taking: _Ingesting, table: Table, source: Source) -> TableReport | RejectedTable:
    """Take one table; set it aside where its file turns out to be damaged further on than its beginning and end."""
    from features.ingest.sources import read_through
    from features.ingest.validation import ingest_table

    path = taking.intake.delivery.files.get(table.name, source.path)
    try:
        return ingest_table(taking.engine, table, source, _context(taking, table), taking.folders)
    except engine_errors() as error:
        try:
            read_through(path)
        except DeliveryError as damage:
            for folder in (taking.folders.accepted, taking.folders.quarantined):
                (folder / f"{table.name}.parquet").unlink(missing_ok=True)
            return reject_table(table.name, [path], damage)
        # The file is sound, so the fault is the machine's (room, memory): the same delivery may go in another time.
        words = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DeliveryError(f"{path} could not be taken, nothing was stored: {words}") from error


def _context(taking: _Ingesting, table: Table) -> IngestContext:
    """Return what a table's rows are held against: what the store has, and what this delivery has given so far."""
    from features.ingest.money import Rates
    from features.ingest.rules import references_of
    from features.ingest.validation import IngestContext, read_files

    store, terms = taking.intake.store, taking.intake.delivery.terms

    def files(name: str) -> tuple[Path, ...]:
        here = taking.folders.accepted / f"{name}.parquet"
        return (*store.files(name), *([here] if here.exists() else []))

    fx = files(FX_RATES.name) if table.money else ()
    return IngestContext(
        stored=store.files(table.name),
        references={target.name: files(target.name) for _, target in references_of(table)},
        rates=Rates(read_files(taking.engine, fx) if fx else None, terms.constant_rate, taking.rates_complete),
        latest=taking.intake.latest,
    )


def _covers(engine: Backend, intake: IngestRun, reports: list[TableReport], folders: IngestFolders) -> dict[str, date]:
    """Return through which midnight each table is complete: as the delivery says, else as its rows were known.

    A table of which no row was usable is not covered, whatever the delivery says.
    """
    covers = dict(intake.delivery.terms.covers_through)
    for report in reports:
        if report.read and report.rejected == report.read:
            covers.pop(report.table, None)
        elif report.accepted and report.table not in covers:
            covers[report.table] = _last_midnight(engine, folders.accepted / f"{report.table}.parquet")
    if ORDERS.name in covers:
        # that there are no refunds is known as long as all orders are
        covers |= {name: covers[ORDERS.name] for name in intake.delivery.terms.absent if name in BY_NAME}
    return {name: covers[name] for name in BY_NAME if name in covers}


def _rates_complete(
    engine: Backend, intake: IngestRun, reports: list[TableReport], folders: IngestFolders
) -> date | None:
    """Return the midnight through which exchange rates are there, by the store and by this delivery so far."""
    name = FX_RATES.name
    here = _covers(engine, intake, [report for report in reports if report.table == name], folders)
    days = [covers[name] for covers in (intake.store.covers_through, here) if name in covers]
    return max(days, default=None)


def _last_midnight(engine: Backend, accepted: Path) -> date:
    """Return the midnight at or before the last `known_at`: through it, the platform knew what it delivered."""
    from features.ingest.validation import read_files

    last = read_files(engine, [accepted]).known_at.max().to_pyarrow().as_py()
    day: date = last.date()
    return day


def _sentence(report: TableReport) -> str:
    return (
        f"{report.table}: {report.accepted:,} accepted, {report.duplicates:,} duplicates, "
        f"{report.rejected:,} quarantined of {report.read:,}"
    )


def ingest(delivery: Path, store: Path, progress: Progress | None = None, now: datetime | None = None) -> IngestReport:
    """Validate every row of the folder `delivery` and add what is accepted to the folder `store`.

    A row is accepted, dropped as the copy of an accepted one, or quarantined with the rule that it broke. A file that
    cannot be read or lacks a column is set aside as a whole and named in the report; the other tables go in. A delivery
    that the store holds already changes nothing and returns its last report, marked. But where rows of it wait for
    others (a rate, a store) and the store has grown since, it is judged again, and is added as `<id>-2` if that lets
    rows in. A second ingest into one store waits for the first. `progress` is told of each table in a sentence. `now`
    is the moment of intake, by default the clock's: no row may be known more than a day after it.

    Example:
        >>> report = ingest(Path("delivery"), Path("var/operating"))  # doctest: +SKIP
        >>> report.table("orders").quarantined  # doctest: +SKIP
        {'amount_negative': 3, 'currency_unknown': 1}

    Raises:
        DeliveryError: the delivery as a whole cannot be taken, for instance since it is the first and its orders cannot
            be read; the store is as it was.
        StoreError: `store` is not a folder that can be written, or what it holds cannot be read.
    """
    tell = progress or (lambda _: None)
    latest = (now or datetime.now(UTC)).astimezone(UTC).replace(tzinfo=None) + timedelta(days=1)
    found = open_delivery(delivery, latest.date())
    with open_for_writing(store) as incoming:
        finish_erasure(read_store(store))
        present = read_store(store)
        digest = found.digest()
        takes = present.takes(digest)
        earlier = present.report(takes[-1]) if takes else None
        if earlier is not None and not _may_let_in_more(earlier, present):
            tell(f"this delivery is in the store already: {digest[:12]}")
            return earlier.repeated()
        entry_id = f"{digest}-{len(takes) + 1}" if takes else digest
        report = ingest_tables(IngestRun(found, entry_id, present, latest), incoming, tell)
        if earlier is not None and not any(table.accepted for table in report.tables):
            tell(f"this delivery is in the store already, and no more of its rows can be let in: {digest[:12]}")
            return earlier.repeated()
        rows = {table.table: table.accepted for table in report.tables}
        terms = found.terms
        stored = StoredDelivery(
            entry_id, report.covers_through, rows, terms.constant_rate, terms.source, terms.absent, terms.begins
        )
        commit(present, incoming, stored)
        # rows that waited in quarantine for what turned out to be an erased seller's
        finish_erasure(read_store(store))
        return report


def _may_let_in_more(earlier: IngestReport, store: OperatingStore) -> bool:
    """Return whether rows of an earlier take wait for what has perhaps come since."""
    from features.ingest.rules import WAITING

    waits = any(WAITING & table.quarantined.keys() for table in earlier.tables)
    return waits and store.deliveries[-1].delivery_id != earlier.delivery_id
