"""Run a mapping: open the files of an export, execute the mapping's SQL on DuckDB, write a delivery and its report.

The SQL of a mapping can read only the declared sources and parameters.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Mapping as ReadOnly
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from features.engines.duckdb import confine, open_engine
from features.errors import DeliveryError, MappingError
from features.importers.exports import View, find_files, open_view
from features.importers.mapping import Mapping
from features.importers.report import ImportReport, source_reports
from features.importers.sql import MappingSql, identifier, quote
from features.importers.terms import (
    check_rates,
    copy_rates,
    covered_through,
    expect_covered_orders,
    first_days,
    rate_of,
    write_labels,
    write_terms,
)
from features.ingest.delivery import latest_time, read_day
from features.ingest.sources import literal
from features.schema import BY_NAME, Need, Table
from features.store.folders import delete_abandoned_drafts, draft_folder

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend

    from features.schema import ConstantRate

Progress = Callable[[str], None]


@dataclass(frozen=True)
class ImportOptions:
    """The user's options of an import.

    Attributes:
        settings: values of the mapping's parameters by name.
        usd_per_unit: US dollars for one unit of the export's currency, on every day.
        fx_rates: a Parquet or CSV file of the contract's table `fx_rates`, in place of one rate.
        covers_through: the midnight through which the export is complete; by default that after its latest event.
    """

    settings: ReadOnly[str, str] = field(default_factory=dict)
    usd_per_unit: float | None = None
    fx_rates: Path | None = None
    covers_through: date | None = None


def import_delivery(
    mapping: Mapping, source: Path, out: Path, options: ImportOptions, progress: Progress | None = None
) -> ImportReport:
    """Write the export `source` as a delivery into the new folder `out`, by `mapping`.

    Equal exports give equal bytes. Every source row is counted in the report, as mapped or with a reason.

    Example: `import_delivery(find_mapping("koubei"), Path("export"), Path("out"), ImportOptions(usd_per_unit=0.15))`

    Args:
        mapping: see `find_mapping`.
        source: the folder of the export's files, or its only file.
        out: a folder that does not exist yet or is empty.
        options: parameters and rates.
        progress: receives a sentence before each step.

    Raises:
        DeliveryError: a file or column of the export is missing, a rate is missing, no row becomes an order, or `out`
            cannot be written. `out` does not change.
        MappingError: the mapping's SQL fails, or its counts do not add up.
    """
    values = mapping.values(options.settings)
    if options.covers_through is not None:
        read_day("--covers-through", str(options.covers_through), latest_time().date())
    if options.fx_rates is not None:
        check_rates(options.fx_rates)
    files = find_files(mapping, source)
    notify = progress or (lambda _: None)
    with _new_folder(out) as draft, open_engine() as engine:
        work = draft / "work"
        work.mkdir()
        views = _open(engine, mapping, files, work, notify)
        for name, value in values.items():
            engine.raw_sql(f"SET VARIABLE {identifier(name)} = {quote(value)}")
        if options.covers_through is not None:
            engine.raw_sql(f"SET VARIABLE covers_through = DATE '{options.covers_through}'")
        read = [path for view in views.values() for path in view.files]
        confine(engine, _as_text(read), _as_text([draft]))
        report = _write(MappingSql(mapping, engine), views, draft, options, notify)
        shutil.rmtree(work)
    return report


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """Yield a draft folder that replaces `out` at the end of the block, unless the block raises."""
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise DeliveryError(f"{out} is not empty. Name a new folder for the delivery.")
        delete_abandoned_drafts(out.parent)
        with draft_folder(out.parent) as draft:
            yield draft
            draft.chmod(0o755)
            draft.replace(out)
    except (FileExistsError, NotADirectoryError) as error:
        raise DeliveryError(f"{out} is inside a file. Name a new folder for the delivery.") from error
    except OSError as error:
        raise DeliveryError(
            f"{out} cannot be written: {error.strerror or error}. Name a new folder with write permission."
        ) from error


def _as_text(paths: Iterable[Path]) -> list[str]:
    """Return each path as text, and as a pattern with escaped wildcards."""
    return [text for path in paths for text in (str(path), literal(path))]


def _open(
    engine: Backend, mapping: Mapping, files: ReadOnly[str, list[Path]], work: Path, notify: Progress
) -> dict[str, View]:
    views = {}
    for source in mapping.sources:
        notify(f"Reading {source.name}")
        views[source.name] = open_view(engine, source, files.get(source.name, []), work, shipped=mapping.shipped)
    return views


def _write(
    sql: MappingSql, views: ReadOnly[str, View], draft: Path, options: ImportOptions, notify: Progress
) -> ImportReport:
    notify("Preparing")
    sql.prepare()
    columns = _columns(sql, views)
    written: dict[str, int] = {}
    rate: ConstantRate | None = None
    for name, selected in columns.items():
        notify(f"Writing {name}")
        path = draft / f"{name}.parquet"
        written[name] = _write_table(sql, BY_NAME[name], selected, path)
        if options.fx_rates is None and "currency" in selected:
            rate = rate_of(sql, path, rate, options.usd_per_unit)
    notify("Accounting for every source row")
    sources = source_reports(sql, views.values(), written)
    if not written["orders"]:
        lines = "; ".join(map(str, sources))
        raise DeliveryError(
            f"No row of the export becomes an order. {lines}. Export a period with orders, or correct the rows by the "
            "reasons."
        )
    covered = options.covers_through or covered_through(sql, draft, written)
    expect_covered_orders(sql, draft, covered)
    labels = write_labels(sql, draft, covered)
    copy_rates(options.fx_rates, draft)
    write_terms(sql.mapping, draft, covered, rate, first_days(sql, draft, written))
    return ImportReport(sources, written, labels, covered, sql.mapping.absent)


def _columns(sql: MappingSql, views: ReadOnly[str, View]) -> dict[str, list[str]]:
    """Return the selected columns of each table whose sources are in the export."""
    needs = sql.mapping.needs
    names = [
        name for name in BY_NAME if name in sql.mapping.sql and all(views[each].files for each in needs.get(name, ()))
    ]
    columns = {name: sql.columns(name) for name in names}
    lacking = []
    for name, selected in columns.items():
        missing = [each.name for each in BY_NAME[name].columns if not each.nullable and each.name not in selected]
        lacking += [f"{name}.sql lacks {', '.join(missing)}"] if missing else []
    if lacking:
        raise MappingError(f"{sql.mapping.name}: {'; '.join(lacking)}. The contract needs each of these columns.")
    required = [table.name for table in BY_NAME.values() if table.need is Need.REQUIRED and table.name not in columns]
    if required:
        raise MappingError(f"{sql.mapping.name}: {', '.join(required)} cannot be written without optional sources.")
    return columns


def _write_table(sql: MappingSql, table: Table, selected: list[str], path: Path) -> int:
    """Write the rows of a table in the order of their key, and return their number."""
    names = ", ".join(
        identifier(column.name) if column.name in selected else f"NULL::VARCHAR AS {identifier(column.name)}"
        for column in table.columns
    )
    order = ", ".join(map(identifier, dict.fromkeys((*table.key, *table.column_names))))
    query = f"SELECT {names} FROM {sql.select(table.name)} ORDER BY {order}"  # noqa: S608 - a checked SELECT
    sql.run(table.name, f"COPY ({query}) TO {quote(str(path))} (FORMAT parquet, COMPRESSION zstd)")
    return int(sql.value(f"SELECT count(*) FROM read_parquet({quote(literal(path))})"))  # noqa: S608 - our own file
