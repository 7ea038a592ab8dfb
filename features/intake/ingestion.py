"""Take a delivery into the store: whole or not at all, each row with one fate, the same delivery once."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from features.engines.duckdb import engine_errors, open_engine
from features.errors import DeliveryError
from features.intake.delivery import Delivery, open_delivery
from features.intake.report import IntakeReport, TableReport
from features.intake.store import OperatingStore, StoredDelivery, commit, read_store, writing
from features.schema import BY_NAME, FX_RATES, TABLES, Need, Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ibis.backends.duckdb import Backend

    from features.intake.sources import Source
    from features.intake.take import Known

Progress = Callable[[str], None]


@dataclass(frozen=True)
class _Intake:
    """One delivery being taken: the id of its entry in the store, the store before it, the last moment of a row."""

    delivery: Delivery
    entry_id: str
    store: OperatingStore
    latest: datetime


def ingest(delivery: Path, store: Path, progress: Progress | None = None, now: datetime | None = None) -> IntakeReport:
    """Validate every row of the folder `delivery` and add what is accepted to the folder `store`.

    A row is accepted, dropped as the copy of an accepted one, or quarantined with the rule that it broke. A delivery
    that the store holds already changes nothing and returns its last report, marked. But where rows of it wait for
    others (a rate, a store) and the store has grown since, it is judged again, and is added as `<id>-2` if that lets
    rows in. A second ingest into one store waits for the first. `progress` is told of each table in a sentence. `now`
    is the moment of intake, by default the clock's: no row may be known more than a day after it.

    Example:
        >>> report = ingest(Path("delivery"), Path("var/operating"))  # doctest: +SKIP
        >>> report.table("orders").quarantined  # doctest: +SKIP
        {'amount_negative': 3, 'currency_unknown': 1}

    Raises:
        DeliveryError: the delivery as a whole cannot be taken; the store is as it was.
        StoreError: `store` is not a folder that can be written, or what it holds cannot be read.
    """
    tell = progress or (lambda _: None)
    latest = (now or datetime.now(UTC)).astimezone(UTC).replace(tzinfo=None) + timedelta(days=1)
    found = open_delivery(delivery, latest.date())
    with writing(store) as incoming:
        present = read_store(store)
        digest = found.digest()
        takes = present.takes(digest)
        earlier = present.report(takes[-1]) if takes else None
        if earlier is not None and not _may_let_in_more(earlier, present):
            tell(f"this delivery is in the store already: {digest[:12]}")
            return earlier.repeated()
        entry_id = f"{digest}-{len(takes) + 1}" if takes else digest
        report = _take_all(_Intake(found, entry_id, present, latest), incoming, tell)
        if earlier is not None and not any(table.accepted for table in report.tables):
            tell(f"this delivery is in the store already, and no more of its rows can be let in: {digest[:12]}")
            return earlier.repeated()
        rows = {table.table: table.accepted for table in report.tables}
        commit(present, incoming, StoredDelivery(entry_id, report.covers_through, rows))
        return report


def _may_let_in_more(earlier: IntakeReport, store: OperatingStore) -> bool:
    """Return whether rows of an earlier take wait for what has perhaps come since."""
    from features.intake.rules import WAITING

    waits = any(WAITING & table.quarantined.keys() for table in earlier.tables)
    return waits and store.deliveries[-1].delivery_id != earlier.delivery_id


def _take_all(intake: _Intake, incoming: Path, tell: Progress) -> IntakeReport:
    """Write accepted and quarantined rows and the report into `incoming`."""
    from features.intake.sources import open_source
    from features.intake.take import Folders, take

    folders = Folders(incoming / "accepted", incoming / "quarantined", incoming / "work")
    for folder in (folders.accepted, folders.quarantined, folders.work):
        folder.mkdir()
    delivery = intake.delivery
    sources = {name: open_source(BY_NAME[name], path, folders.work) for name, path in delivery.files.items()}
    _expect_required(delivery, intake.store, sources)
    reports: list[TableReport] = []
    covers: dict[str, date] = dict(delivery.terms.covers_through)
    with open_engine() as engine:
        for name, source in sources.items():
            tell(f"{name}: {source.rows:,} rows to read")
            with _named(delivery.files[name]):
                known = _known(engine, BY_NAME[name], intake, folders.accepted)
                reports.append(take(engine, BY_NAME[name], source, known, folders))
                if name not in covers and reports[-1].accepted:
                    covers[name] = _last_midnight(engine, folders.accepted / f"{name}.parquet")
            tell(_sentence(reports[-1]))
    shutil.rmtree(folders.work)
    report = IntakeReport(intake.entry_id, tuple(reports), _ordered(covers), delivery.ignored)
    (incoming / "report.json").write_text(report.to_json(), encoding="utf-8")
    return report


def _expect_required(delivery: Delivery, store: OperatingStore, sources: Mapping[str, Source]) -> None:
    for table in TABLES:
        if table.need is not Need.REQUIRED or store.files(table.name):
            continue
        if table.name not in sources:
            raise DeliveryError(
                f"{delivery.folder} holds no {table.name} and none were delivered before; "
                f"add {table.name}.parquet or {table.name}.csv"
            )
        if sources[table.name].rows == 0:
            raise DeliveryError(
                f"{delivery.files[table.name]} has no rows and no {table.name} were delivered before; "
                f"a first delivery needs {table.name}"
            )


def _known(engine: Backend, table: Table, intake: _Intake, accepted: Path) -> Known:
    """Return what a table's rows are held against: what the store has, and what this delivery has given so far."""
    from features.intake.money import Rates
    from features.intake.rules import references_of
    from features.intake.take import Known, read_files

    def files(name: str) -> tuple[Path, ...]:
        here = accepted / f"{name}.parquet"
        return (*intake.store.files(name), *([here] if here.exists() else []))

    fx = files(FX_RATES.name) if table.money else ()
    return Known(
        stored=intake.store.files(table.name),
        references={target.name: files(target.name) for _, target in references_of(table)},
        rates=Rates(read_files(engine, fx) if fx else None, intake.delivery.terms.constant_rate),
        latest=intake.latest,
    )


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turn the engine's refusal to read on into a sentence that names the file."""
    try:
        yield
    except engine_errors() as error:
        words = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DeliveryError(f"{path} could not be taken, nothing was stored: {words}") from error


def _last_midnight(engine: Backend, accepted: Path) -> date:
    """Return the midnight at or before the last `known_at`: through it, the platform knew what it delivered."""
    from features.intake.take import read_files

    last = read_files(engine, [accepted]).known_at.max().to_pyarrow().as_py()
    day: date = last.date()
    return day


def _ordered(covers: Mapping[str, date]) -> dict[str, date]:
    return {name: covers[name] for name in BY_NAME if name in covers}


def _sentence(report: TableReport) -> str:
    return (
        f"{report.table}: {report.accepted:,} accepted, {report.duplicates:,} duplicates, "
        f"{report.rejected:,} quarantined of {report.read:,}"
    )
