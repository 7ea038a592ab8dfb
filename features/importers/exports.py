"""Files of an export: match their names, check their columns, and open them as views with trimmed text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from os.path import commonpath
from pathlib import Path
from typing import TYPE_CHECKING, Final

from features.errors import DeliveryError
from features.importers.mapping import Mapping, SourceFile
from features.importers.sql import identifier, quote
from features.ingest.columns import TextFormat, columns_of
from features.ingest.sources import literal, open_source
from features.regular_files import links_outside, open_regular
from features.schema import Column, Kind, Need, Table

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend

ROW: Final = "source_row"
"""A column of every view: the number of the row, counted from 0 over all files of the source."""

FILE: Final = "source_file"
"""A column of every view: the name of the row's file, with its folder if the files of the source are in several."""

_BLANKS: Final = "' \t\r\n\u00a0\ufeff'"


@dataclass(frozen=True)
class View:
    """One source of the export as a view of the engine.

    Attributes:
        files: the Parquet files that the view reads; none if an optional source is missing.
        rows: the rows of the export's files, malformed ones included.
        malformed: the rows that cannot be read.
        first_malformed: the row number of the first of them.
        cut: the names of the files that seem to be cut: their last row has too few fields and no line end.
        lacking: optional columns that a file lacks.
    """

    name: str
    files: tuple[Path, ...]
    rows: int
    malformed: int
    first_malformed: int | None = None
    lacking: tuple[str, ...] = ()
    cut: tuple[str, ...] = ()


def find_files(mapping: Mapping, source: Path) -> dict[str, list[Path]]:
    """Return the files of each source of the mapping in the folder `source`; a single file is that of the only source.

    Raises:
        DeliveryError: a required source has no file.
    """
    if source.exists() and not source.is_dir():
        _expect_regular(source)
        required = [each for each in mapping.sources if each.required]
        if len(required) != 1:
            names = ", ".join(each.files[0] for each in mapping.sources)
            raise DeliveryError(
                f"{source} is one file, but {mapping.name} reads several. Name the folder that contains {names}."
            )
        return {required[0].name: [source]}
    if not source.is_dir():
        raise DeliveryError(f"{source} is not a folder or file. Name the folder of the export.")
    files = {each.name: _matching(source, each) for each in mapping.sources}
    missing = [each for each in mapping.sources if each.required and not files[each.name]]
    if missing:
        patterns = "; ".join(f"{each.name} ({' or '.join(each.files)})" for each in missing)
        names = ", ".join(sorted(path.name for path in source.iterdir())[:20]) or "no files"
        raise DeliveryError(f"{source} lacks a file for {patterns}. It contains {names}.")
    return files


def _matching(folder: Path, source: SourceFile) -> list[Path]:
    paths = {path for pattern in source.files for path in folder.glob(pattern) if not path.is_dir()}
    for path in sorted(paths):
        if links_outside(path, folder):
            raise DeliveryError(f"{path} is a link to a file outside the export. Copy the file into the folder.")
        _expect_regular(path)
        if path.suffix == ".parquet" and path.with_suffix(".csv") in paths:
            raise DeliveryError(f"{path} exists as Parquet and as CSV. Keep one of the two.")
    return sorted(paths)


def _expect_regular(path: Path) -> None:
    try:
        open_regular(path).close()
    except OSError as error:
        raise DeliveryError(
            f"{path} cannot be read: {error.strerror or error}. Give each table of the export as a readable file."
        ) from error


def open_view(engine: Backend, source: SourceFile, files: list[Path], work: Path, *, shipped: bool) -> View:
    """Create the view of a source: declared columns, text trimmed and empty text as null, `source_row`, `source_file`.

    The errors of a `shipped` mapping do not suggest to edit it.

    Raises:
        DeliveryError: a file cannot be read or lacks a column.
    """
    parts: list[str] = []
    opened: list[Path] = []
    lacking: set[str] = set()
    cut: list[str] = []
    text = TextFormat(
        source.delimiter, source.encoding, source.quote, "" if shipped else f"[sources.{source.name}] in mapping.toml"
    )
    rows = malformed = 0
    first_malformed: int | None = None
    for number, path in enumerate(files):
        table = _table(source, columns_of(path, text))
        file = open_source(table, path, work, text, name=f"{source.name}.{number}")
        names = ", ".join(_selected(engine, source, file.path, table))
        origin = f"file_row_number + {rows} AS {ROW}, {quote(_name(path, files))} AS {FILE}"
        parts.append(f"SELECT {names}, {origin} FROM {_parquet(file.path)}")  # noqa: S608
        opened.append(file.path)
        lacking |= {*source.optional_columns} - {*table.column_names}
        if file.malformed and first_malformed is None:
            first_malformed = rows + file.malformed[0].number
        rows += file.rows
        malformed += len(file.malformed)
        cut += [path.name] if file.cut else []
    if not parts:
        empty = ", ".join(
            f"NULL::VARCHAR AS {identifier(each)}" for each in (*source.columns, *source.optional_columns)
        )
        parts.append(f"SELECT {empty}, NULL::BIGINT AS {ROW}, NULL::VARCHAR AS {FILE} LIMIT 0")
    engine.raw_sql(f"CREATE VIEW {identifier(source.name)} AS {' UNION ALL '.join(parts)}")
    absent = tuple(name for name in source.optional_columns if name in lacking)
    return View(source.name, tuple(opened), rows, malformed, first_malformed, absent, tuple(cut))


def _name(path: Path, files: list[Path]) -> str:
    return path.relative_to(commonpath(each.parent for each in files)).as_posix()


def _table(source: SourceFile, columns: list[str]) -> Table:
    names = (*source.columns, *(name for name in source.optional_columns if name in columns))
    return Table(source.name, (), tuple(Column(name, Kind.TEXT) for name in names), Need.OPTIONAL)


def _selected(engine: Backend, source: SourceFile, path: Path, table: Table) -> Iterator[str]:
    described = engine.raw_sql(f"DESCRIBE SELECT * FROM {_parquet(path)}").fetchall()  # noqa: S608 - a quoted path
    kinds = {row[0]: row[1] for row in described}
    for name in (*source.columns, *source.optional_columns):
        if name not in table.column_names:
            yield f"NULL::VARCHAR AS {identifier(name)}"
        elif kinds[name] == "VARCHAR":
            yield f"nullif(trim({identifier(name)}, {_BLANKS}), '') AS {identifier(name)}"
        else:
            yield identifier(name)


def _parquet(path: Path) -> str:
    return f"read_parquet({quote(literal(path))}, file_row_number=true)"
