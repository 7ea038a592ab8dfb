"""Every table of one delivery, each taken or set aside as a whole; `ingestion` says what becomes of the result.

A table that cannot be read keeps no other out. Only one that the store cannot do without refuses the delivery.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from features.engines.duckdb import engine_errors, open_engine
from features.errors import DeliveryError
from features.intake.delivery import TERMS_FILE, Delivery, set_aside
from features.intake.erased import read_erased, write_erased
from features.intake.erasing import found_out, swept
from features.intake.report import IntakeReport, SetAside, TableReport
from features.intake.store import OperatingStore
from features.schema import BY_NAME, FX_RATES, ORDERS, TABLES, Need, Table

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend

    from features.intake.job import Known
    from features.intake.sources import Source
    from features.intake.take import Folders

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Intake:
    """One delivery being taken: the id of its entry in the store, the store before it, the last moment of a row."""

    delivery: Delivery
    entry_id: str
    store: OperatingStore
    latest: datetime


def take_all(intake: Intake, incoming: Path, tell: Progress) -> IntakeReport:
    """Write accepted and quarantined rows and the report into `incoming`.

    Raises:
        DeliveryError: a table that the store cannot do without is missing, empty or cannot be read, or no table can.
    """
    from features.intake.take import Folders

    folders = Folders(incoming / "accepted", incoming / "quarantined", incoming / "work")
    for folder in (folders.accepted, folders.quarantined, folders.work):
        folder.mkdir()
    sources, aside = _opened(intake.delivery, folders.work)
    _expect_required(intake, sources, aside)
    _expect_absent(intake.delivery, sources)
    reports: list[TableReport] = []
    with open_engine() as engine:
        for name, source in sources.items():
            tell(f"{name}: {source.rows:,} rows to read")
            complete = None if FX_RATES.name in aside else _rates_complete(engine, intake, reports, folders)
            taken = _taken(_Taking(engine, intake, folders, complete), BY_NAME[name], source)
            if isinstance(taken, SetAside):
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
    report = IntakeReport(
        intake.entry_id,
        tuple(reports),
        covers,
        intake.delivery.ignored,
        set_aside=spoilt,
        absent=intake.delivery.terms.absent,
    )
    (incoming / "report.json").write_text(report.to_json(), encoding="utf-8")
    return report


def _without_erased(store: OperatingStore, taken: TableReport, folders: Folders) -> TableReport:
    """Remove the rows of sellers who were erased, and find out which stores and loans of theirs are new."""
    erased = read_erased(store.folder)
    if not erased:
        return taken
    file = f"{taken.table}.parquet"
    accepted, quarantined = folders.accepted / file, folders.quarantined / file
    if taken.table in {"stores", "loans"}:
        known, erased = erased, found_out(erased, store.folder)
        if erased is not known:
            write_erased(store.folder, erased)
    return swept(taken, accepted, quarantined, erased)


@dataclass(frozen=True)
class _Taking:
    """What every table of a delivery is taken with; `rates_complete`: see `money.Rates`."""

    engine: Backend
    intake: Intake
    folders: Folders
    rates_complete: date | None


def _opened(delivery: Delivery, work: Path) -> tuple[dict[str, Source], dict[str, SetAside]]:
    from features.intake.sources import empty_source, open_source

    sources: dict[str, Source] = {}
    aside = {each.table: each for each in delivery.set_aside}
    for name, path in delivery.files.items():
        try:
            sources[name] = open_source(BY_NAME[name], path, work)
        except DeliveryError as error:
            aside[name] = set_aside(name, [path], error)
    # a table that the platform does not have is one without rows, and known to be
    sources |= {
        name: empty_source(BY_NAME[name], work)
        for name in delivery.terms.absent
        if name in BY_NAME and name not in delivery.files
    }
    return {name: sources[name] for name in BY_NAME if name in sources}, aside


def _expect_required(intake: Intake, sources: Mapping[str, Source], aside: Mapping[str, SetAside]) -> None:
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


def _expect_no_buyers(engine: Backend, delivery: Delivery, taken: TableReport, folders: Folders) -> None:
    """Refuse a delivery that declares that orders name no buyer, and names some."""
    from features.intake.job import read_files

    if taken.table != ORDERS.name or "buyer_ids" not in delivery.terms.absent:
        return
    named = read_files(engine, [folders.accepted / f"{taken.table}.parquet"]).buyer_id.count().to_pyarrow().as_py()
    if named:
        raise DeliveryError(
            f"{delivery.folder / TERMS_FILE} declares that the platform has no buyer_ids, but {named:,} orders have a "
            "buyer_id; take buyer_ids out of absent, or leave the ids out"
        )


def _expect_any(delivery: Delivery, reports: list[TableReport], aside: Iterable[SetAside]) -> None:
    if not reports:
        raise DeliveryError(f"{delivery.folder} was not taken: {'; '.join(each.why for each in aside)}")


def _taken(taking: _Taking, table: Table, source: Source) -> TableReport | SetAside:
    """Take one table; set it aside where its file turns out to be damaged further on than its beginning and end."""
    from features.intake.sources import read_through
    from features.intake.take import take

    path = taking.intake.delivery.files.get(table.name, source.path)
    try:
        return take(taking.engine, table, source, _known(taking, table), taking.folders)
    except engine_errors() as error:
        try:
            read_through(path)
        except DeliveryError as damage:
            for folder in (taking.folders.accepted, taking.folders.quarantined):
                (folder / f"{table.name}.parquet").unlink(missing_ok=True)
            return set_aside(table.name, [path], damage)
        # The file is sound, so the fault is the machine's (room, memory): the same delivery may go in another time.
        words = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DeliveryError(f"{path} could not be taken, nothing was stored: {words}") from error


def _known(taking: _Taking, table: Table) -> Known:
    """Return what a table's rows are held against: what the store has, and what this delivery has given so far."""
    from features.intake.job import Known, read_files
    from features.intake.money import Rates
    from features.intake.rules import references_of

    store, terms = taking.intake.store, taking.intake.delivery.terms

    def files(name: str) -> tuple[Path, ...]:
        here = taking.folders.accepted / f"{name}.parquet"
        return (*store.files(name), *([here] if here.exists() else []))

    fx = files(FX_RATES.name) if table.money else ()
    return Known(
        stored=store.files(table.name),
        references={target.name: files(target.name) for _, target in references_of(table)},
        rates=Rates(read_files(taking.engine, fx) if fx else None, terms.constant_rate, taking.rates_complete),
        latest=taking.intake.latest,
    )


def _covers(engine: Backend, intake: Intake, reports: list[TableReport], folders: Folders) -> dict[str, date]:
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


def _rates_complete(engine: Backend, intake: Intake, reports: list[TableReport], folders: Folders) -> date | None:
    """Return the midnight through which exchange rates are there, by the store and by this delivery so far."""
    name = FX_RATES.name
    here = _covers(engine, intake, [report for report in reports if report.table == name], folders)
    days = [covers[name] for covers in (intake.store.covers_through, here) if name in covers]
    return max(days, default=None)


def _last_midnight(engine: Backend, accepted: Path) -> date:
    """Return the midnight at or before the last `known_at`: through it, the platform knew what it delivered."""
    from features.intake.job import read_files

    last = read_files(engine, [accepted]).known_at.max().to_pyarrow().as_py()
    day: date = last.date()
    return day


def _sentence(report: TableReport) -> str:
    return (
        f"{report.table}: {report.accepted:,} accepted, {report.duplicates:,} duplicates, "
        f"{report.rejected:,} quarantined of {report.read:,}"
    )
