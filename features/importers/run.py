"""Run a mapping: open the export's files, execute the mapping's SQL on DuckDB, write a delivery and its account.

The SQL of a mapping reads the declared sources and parameters, nothing else on the machine.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from collections.abc import Mapping as ReadOnly
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from features.engines.duckdb import confine, engine_errors, open_engine, statements
from features.errors import DeliveryError, MappingError
from features.importers.exports import View, find_files, open_view
from features.importers.folder import new_folder
from features.importers.mapping import ACCOUNTS, LABELS, PREPARE, TABLES_WRITTEN, Mapping
from features.importers.report import ImportReport, SourceReport
from features.intake.delivery import BASE_CURRENCY, TERMS_FILE, ConstantRate, constant_rate, table_file
from features.intake.rules import ROW_MALFORMED
from features.schema import BY_NAME, FX_RATES, Table

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend

LABELS_FILE: Final = "labels.csv"
"""Next to the tables, for training: seller_id, bad (true or false), as_of. `ingest` does not read it."""

_LABEL_COLUMNS: Final = ("seller_id", "bad", "as_of")
_ACCOUNT_COLUMNS: Final = ("source", "became", "reason", "rows")

Progress = Callable[[str], None]


@dataclass(frozen=True)
class ImportOptions:
    """What the user sets for one import.

    Attributes:
        settings: values of the mapping's parameters by name.
        usd_per_unit: US dollars for one unit of the export's currency, on every day.
        fx_rates: a Parquet or CSV file of the contract's table `fx_rates`, in place of one rate.
        covers_through: the midnight through which the export is complete; by default that after its latest event.
    """

    settings: ReadOnly[str, str] = field(default_factory=lambda: MappingProxyType({}))
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
        progress: is called with a sentence before each step.

    Raises:
        DeliveryError: a file or column of the export is missing, a rate is missing, nothing becomes an order, or `out`
            cannot be written. `out` is then as it was before.
        MappingError: the mapping's SQL fails, or its account does not add up.
    """
    values = mapping.values(options.settings)
    files = find_files(mapping, source)
    with new_folder(out) as draft, open_engine() as engine:
        work = draft / "work"
        work.mkdir()
        run = _Run(mapping, source, draft, options, engine, progress or (lambda _: None))
        report = run.write(files, work, values)
        shutil.rmtree(work)
    return report


@dataclass(frozen=True)
class _Run:
    """One import in progress; `draft` becomes the delivery."""

    mapping: Mapping
    source: Path
    draft: Path
    options: ImportOptions
    engine: Backend
    progress: Progress

    def write(self, files: ReadOnly[str, list[Path]], work: Path, values: ReadOnly[str, str]) -> ImportReport:
        views = self._open(files, work, values)
        self._prepare()
        rate = self._write_tables(views)
        written = {name: self._count(name) for name in TABLES_WRITTEN if self._path(name).exists()}
        sources = self._accounts(views, written)
        if not written["orders"]:
            reasons = "; ".join(map(str, sources))
            raise DeliveryError(f"{self.source} holds nothing that becomes an order. {reasons}.")
        covered = self._covered(written)
        labels = self._labels(covered)
        self._write_fx_rates()
        self._write_terms(written, covered, rate)
        return ImportReport(sources, written, labels, covered, self.mapping.absent)

    def _open(self, files: ReadOnly[str, list[Path]], work: Path, values: ReadOnly[str, str]) -> dict[str, View]:
        views = {}
        for source in self.mapping.sources:
            self.progress(f"Reading {source.name}")
            views[source.name] = open_view(self.engine, source, files.get(source.name, []), work)
        for name, value in values.items():
            self._query(f"SET VARIABLE {name} = {_quoted(value)}")
        confine(self.engine, [path for view in views.values() for path in view.files], self.draft)
        return views

    def _prepare(self) -> None:
        if PREPARE not in self.mapping.sql:
            return
        self.progress("Preparing")
        with self._failing(PREPARE):
            for kind, text in statements(self.engine, self.mapping.sql[PREPARE]):
                if kind != "CREATE":
                    raise MappingError(
                        f"{self.mapping.name}: prepare.sql holds a {kind} statement. Only CREATE is allowed."
                    )
                self._query(text)

    def _select(self, name: str) -> str:
        """Return the one SELECT of a file of the mapping."""
        with self._failing(name):
            found = statements(self.engine, self.mapping.sql[name])
        kinds = [kind for kind, _ in found]
        if kinds != ["SELECT"]:
            raise MappingError(
                f"{self.mapping.name}: {name}.sql holds {' and '.join(kinds) or 'no statement'}. "
                "It must be exactly one SELECT."
            )
        return found[0][1].strip().removesuffix(";")

    def _columns(self, name: str) -> list[str]:
        with self._failing(name):
            return [str(row[0]) for row in self._query(f"DESCRIBE {self._select(name)}").fetchall()]

    def _write_tables(self, views: ReadOnly[str, View]) -> ConstantRate | None:
        names = [name for name in TABLES_WRITTEN if name in self.mapping.sql and self._has_sources(name, views)]
        columns = {name: self._columns(name) for name in names}
        lacking = {name: _lacking(BY_NAME[name], columns[name]) for name in names}
        if any(lacking.values()):
            lines = "; ".join(f"{name}.sql lacks {', '.join(those)}" for name, those in lacking.items() if those)
            raise MappingError(f"{self.mapping.name}: {lines}. The contract needs every one of these columns.")
        rate = None
        for name in names:
            self.progress(f"Writing {name}")
            self._write(BY_NAME[name], columns[name])
            rate = self._rate(BY_NAME[name], rate)
        return rate

    def _has_sources(self, name: str, views: ReadOnly[str, View]) -> bool:
        return all(views[source].files for source in self.mapping.needs.get(name, ()))

    def _write(self, table: Table, there: list[str]) -> None:
        names = ", ".join(
            f'"{column.name}"' if column.name in there else f'NULL::VARCHAR AS "{column.name}"'
            for column in table.columns
        )
        by = (*table.key, *(name for name in table.column_names if name not in table.key))
        order = ", ".join(f'"{name}"' for name in by)
        with self._failing(table.name):
            self._query(
                f"COPY (SELECT {names} FROM ({self._select(table.name)}) ORDER BY {order}) "  # noqa: S608 - checked
                f"TO {_quoted(str(self._path(table.name)))} (FORMAT parquet, COMPRESSION zstd)"
            )

    def _rate(self, table: Table, rate: ConstantRate | None) -> ConstantRate | None:
        """Return the constant rate of the delivery after one more table of it is written."""
        if "currency" not in table.column_names or self.options.fx_rates is not None:
            return rate
        found = self._query(f"SELECT DISTINCT currency FROM {self._read(table.name)} ORDER BY 1").fetchall()  # noqa: S608
        currencies = {str(row[0]) for row in found if row[0] is not None} | ({rate.currency} if rate else set())
        foreign = sorted(currencies - {BASE_CURRENCY})
        if len(foreign) > 1:
            raise DeliveryError(
                f"{table.name} are in {', '.join(foreign)}, and one rate converts one currency. Give the rates by day "
                "with --fx-rates FILE, a Parquet or CSV file with the columns day, currency, usd_per_unit, known_at."
            )
        if not foreign:
            return rate
        if self.options.usd_per_unit is None:
            raise DeliveryError(
                f"{table.name} are in {foreign[0]}. Give the US dollars for one {foreign[0]} with --usd-per-unit, or "
                "rates by day with --fx-rates FILE."
            )
        return constant_rate(foreign[0], self.options.usd_per_unit)

    def _accounts(self, views: ReadOnly[str, View], written: ReadOnly[str, int]) -> tuple[SourceReport, ...]:
        self.progress("Accounting for every source row")
        with self._failing(ACCOUNTS):
            cursor = self._query(self._select(ACCOUNTS))
            names = [column[0] for column in cursor.description]
            rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        missing = [name for name in _ACCOUNT_COLUMNS if name not in names]
        if missing:
            raise MappingError(
                f"{self.mapping.name}: accounts.sql lacks {', '.join(missing)}; it needs {', '.join(_ACCOUNT_COLUMNS)}."
            )
        self._expect_written(rows, [name for name in names if name in BY_NAME], written)
        return tuple(self._account(view, rows) for view in views.values() if view.files)

    def _expect_written(self, rows: list[dict[str, Any]], tables: list[str], written: ReadOnly[str, int]) -> None:
        for table in tables:
            counted = sum(int(row[table] or 0) for row in rows)
            if counted != written.get(table, 0):
                raise MappingError(
                    f"{self.mapping.name}: accounts.sql counts {counted:,} rows of {table}, but {table}.sql gave "
                    f"{written.get(table, 0):,}. Nothing was written."
                )

    def _account(self, view: View, rows: list[dict[str, Any]]) -> SourceReport:
        mapped: dict[str, int] = {}
        not_mapped: dict[str, int] = {}
        for row in rows:
            if row["source"] != view.name:
                continue
            if (row["became"] is None) == (row["reason"] is None):
                raise MappingError(
                    f"{self.mapping.name}: accounts.sql has a row of {view.name} with became {row['became']!r} and "
                    f"reason {row['reason']!r}. Exactly one of the two must be set."
                )
            counts, name = (mapped, row["became"]) if row["reason"] is None else (not_mapped, row["reason"])
            counts[name] = counts.get(name, 0) + int(row["rows"])
        if view.malformed:
            not_mapped[ROW_MALFORMED] = view.malformed
        return SourceReport(view.name, view.rows, dict(sorted(mapped.items())), dict(sorted(not_mapped.items())))

    def _covered(self, written: ReadOnly[str, int]) -> date:
        """Return the midnight through which the export is complete: that after its latest event, unless set."""
        if self.options.covers_through is not None:
            return self.options.covers_through
        found: dict[str, date] = {}
        for name in written:
            event = BY_NAME[name].event_time
            if event is not None and name != FX_RATES.name:
                day = self._query(
                    f'SELECT max(greatest(try_cast("{event}" AS TIMESTAMP)::DATE + 1, '  # noqa: S608 - of the contract
                    f"(try_cast(known_at AS TIMESTAMP) - INTERVAL 1 MICROSECOND)::DATE + 1))::DATE "
                    f"FROM {self._read(name)}"
                ).fetchone()[0]
                if day is not None:
                    found[name] = day
        latest, tomorrow = max(found.values()), datetime.now(UTC).date() + timedelta(days=1)
        if latest > tomorrow:
            table = max(found, key=lambda name: found[name])
            raise DeliveryError(
                f"The latest row of {table} is of {latest - timedelta(days=1)}, which is in the future. Correct the "
                "export, or set the midnight through which it is complete with --covers-through."
            )
        return latest

    def _labels(self, covered: date) -> int:
        if LABELS not in self.mapping.sql:
            return 0
        self._query(f"SET VARIABLE covers_through = DATE '{covered}'")
        columns = ", ".join(_LABEL_COLUMNS)
        with self._failing(LABELS):
            rows = self._query(f"SELECT {columns} FROM ({self._select(LABELS)}) ORDER BY {columns}").fetchall()  # noqa: S608
        if rows:
            with (self.draft / LABELS_FILE).open("w", encoding="utf-8", newline="") as stream:
                writer = csv.writer(stream, lineterminator="\n")
                writer.writerow(_LABEL_COLUMNS)
                writer.writerows((seller, str(bad).lower(), str(day)) for seller, bad, day in rows)
        return len(rows)

    def _write_fx_rates(self) -> None:
        file = self.options.fx_rates
        if file is None:
            return
        if file.suffix not in {".csv", ".parquet"} or not file.is_file():
            raise DeliveryError(f"{file} is not a Parquet or CSV file. Give rates as fx_rates.csv or fx_rates.parquet.")
        if table_file(self.draft, FX_RATES.name) is not None:
            raise DeliveryError(f"{self.mapping.name} writes fx_rates itself. Leave out --fx-rates.")
        shutil.copyfile(file, self.draft / f"{FX_RATES.name}{file.suffix}")

    def _write_terms(self, written: ReadOnly[str, int], covered: date, rate: ConstantRate | None) -> None:
        tables = [*written, *([FX_RATES.name] if self.options.fx_rates is not None else [])]
        terms: dict[str, object] = {
            "source": self.mapping.source,
            "covers_through": {table: covered.isoformat() for table in tables},
        }
        if rate is not None:
            terms["constant_rate"] = asdict(rate)
        if self.mapping.absent:
            terms["absent"] = list(self.mapping.absent)
        (self.draft / TERMS_FILE).write_text(json.dumps(terms, indent=2) + "\n", encoding="utf-8")

    def _path(self, table: str) -> Path:
        return self.draft / f"{table}.parquet"

    def _read(self, table: str) -> str:
        return f"read_parquet({_quoted(str(self._path(table)))})"

    def _count(self, table: str) -> int:
        return int(self._query(f"SELECT count(*) FROM {self._read(table)}").fetchone()[0])  # noqa: S608

    def _query(self, text: str) -> Any:
        return self.engine.raw_sql(text)

    @contextmanager
    def _failing(self, file: str) -> Iterator[None]:
        """Turn an error of the engine into one that names the file of the mapping."""
        try:
            yield
        except engine_errors() as error:
            text = str(error).strip()
            raise MappingError(f"{self.mapping.name}: {file}.sql: {text}") from error


def _lacking(table: Table, columns: list[str]) -> list[str]:
    return [column.name for column in table.columns if not column.nullable and column.name not in columns]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
