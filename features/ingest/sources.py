"""Table files: open Parquet, convert CSV to Parquet of text, and cast columns to the kinds of the contract.

A value that cannot be cast becomes null; `rules` distinguishes missing from unreadable values.
"""

from __future__ import annotations

import codecs
import glob
import io
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import BinaryIO, Final

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from features.errors import DeliveryError
from features.ingest.columns import CSV, REPLACED, TextFormat, extra_columns, readable
from features.schema import Kind, Table

MAX_ROWS: Final = 100_000_000
"""The maximum number of rows of a file."""
FREE_ROWS: Final = 1_000_000
"""The number of rows that a Parquet file may have in any case. With more, it has at most one row per byte: a small file
could otherwise state so many equal rows that reading it occupies the store for hours."""

_BATCH_BYTES: Final = 1 << 24
_NO_ROWS: Final = "Empty CSV file"
"""The start of the CSV reader's error if a file is one line of names without a line end."""

ROW_NUMBER: Final = "row_number"
"""The number of a row in the delivered file, counted from 1 after the header."""

_NUMBERED: Final = pa.field(ROW_NUMBER, pa.int64())


@dataclass(frozen=True)
class MalformedRow:
    """A row of a text file that cannot be split into fields or decoded: its number (see ROW_NUMBER) and its text.

    `short` is true if it has fewer fields than the header.
    """

    number: int
    text: str
    short: bool = False


@dataclass(frozen=True)
class Source:
    """A readable Parquet file of one table.

    Attributes:
        rows: the number of delivered rows, malformed ones included.
        malformed: CSV rows with a wrong number of fields or undecodable bytes, in order. They are not in the file.
        ignored_columns: columns that are not in the contract.
        numbered: whether the column ROW_NUMBER has the number of each row in the delivered file.
        cut: whether the last of the malformed rows is the end of a text file that seems to be cut: too few fields and
            no line end.
    """

    path: Path
    rows: int
    malformed: tuple[MalformedRow, ...]
    ignored_columns: tuple[str, ...]
    numbered: bool = False
    cut: bool = False


def open_source(table: Table, path: Path, work: Path, text: TextFormat = CSV, name: str | None = None) -> Source:
    """Return `path` as a Parquet file, converted into the folder `work` if it is a text file.

    `name` is that of the converted file, by default the table's.

    Raises:
        DeliveryError: the file cannot be read in the format of its suffix, lacks a column of the contract, or has too
            many rows.
    """
    ignored = extra_columns(table, path, text)
    with readable(path):
        if path.suffix != ".parquet":
            return _from_csv(table, path, work / f"{name or table.name}.csv.parquet", ignored, text)
        metadata = pq.read_metadata(path)
    groups = sum(metadata.row_group(number).num_rows for number in range(metadata.num_row_groups))
    _expect_few(max(metadata.num_rows, groups), path, min(MAX_ROWS, max(FREE_ROWS, path.stat().st_size)))
    return Source(path, metadata.num_rows, (), ignored)


def _expect_few(rows: int, path: Path, limit: int) -> None:
    if rows > limit:
        raise DeliveryError(
            f"{path} has at least {rows:,} rows in {path.stat().st_size:,} bytes. At most {MAX_ROWS:,} rows are read, "
            f"and from a Parquet file with more than {FREE_ROWS:,} rows at most one row per byte. Remove repeated "
            "rows, or split the table into several deliveries."
        )


def empty_source(table: Table, work: Path) -> Source:
    """Write a file of `table` without rows into the folder `work`, and return it."""
    schema = pa.schema([(name, pa.string()) for name in table.column_names])
    path = work / f"{table.name}.empty.parquet"
    pq.write_table(schema.empty_table(), path)
    return Source(path, 0, (), ())


def read_through(path: Path) -> None:
    """Decode every value of a Parquet file; raise DeliveryError if one is damaged. Opening a CSV does so already."""
    if path.suffix != ".parquet":
        return
    with readable(path):
        for _ in pq.ParquetFile(path, page_checksum_verification=True).iter_batches():
            pass


def literal(path: Path) -> str:
    """Return `path` with its wildcard characters escaped."""
    return glob.escape(str(path))


def _from_csv(table: Table, path: Path, out: Path, ignored: tuple[str, ...], text: TextFormat) -> Source:
    """Write the well-formed rows of a CSV as Parquet of text columns and ROW_NUMBER."""
    schema = pa.schema([(name, pa.string()) for name in table.column_names])
    malformed: list[MalformedRow] = []
    rows = 0
    with pq.ParquetWriter(out, schema.append(_NUMBERED), compression="zstd") as writer:
        for batch in _batches(path, text, schema, malformed):
            writer.write_batch(batch)
            rows += batch.num_rows
            _expect_few(rows, path, MAX_ROWS)
    malformed.sort(key=lambda row: row.number)
    rows += len(malformed)
    cut = bool(malformed) and malformed[-1].number == rows and malformed[-1].short and not _ends_line(path, text)
    return Source(out, rows, tuple(malformed), ignored, numbered=True, cut=cut)


def _ends_line(path: Path, text: TextFormat) -> bool:
    with path.open("rb") as stream:
        stream.seek(max(path.stat().st_size - 4, 0))  # a character has at most four bytes
        return stream.read().decode(text.encoding, "ignore")[-1:] in {"\n", "\r"}


def _batches(
    path: Path, text: TextFormat, schema: pa.Schema, malformed: list[MalformedRow]
) -> Iterator[pa.RecordBatch]:
    """Yield the well-formed rows of a CSV with their numbers, and append the others to `malformed`."""
    unsplit: list[int] = []

    def skip(row: pacsv.InvalidRow) -> str:
        unsplit.append(row.number - 1)  # the reader counts the header too
        malformed.append(MalformedRow(unsplit[-1], row.text, short=row.actual_columns < row.expected_columns))
        return "skip"

    with path.open("rb") as stream, _open(stream, text, schema, skip) as reader:
        first = 0
        for batch in reader:
            numbers = _numbers(np.arange(first, first + batch.num_rows), unsplit)
            first += batch.num_rows
            undecodable = reduce(pc.or_, [pc.match_substring(column, REPLACED) for column in batch.columns])
            lines = [",".join(row.values()) for row in batch.filter(undecodable).to_pylist()]
            malformed += map(MalformedRow, numbers[undecodable.to_numpy(zero_copy_only=False)].tolist(), lines)
            yield batch.append_column(_NUMBERED, pa.array(numbers)).filter(pc.invert(undecodable))


def _open(
    stream: BinaryIO, text: TextFormat, schema: pa.Schema, on_malformed: Callable[[pacsv.InvalidRow], str]
) -> AbstractContextManager[Iterable[pa.RecordBatch]]:
    """Return the reader of a CSV; it has no batches if the file is one line without a line end."""
    try:
        reader: AbstractContextManager[Iterable[pa.RecordBatch]] = pacsv.open_csv(
            Utf8(stream, text.encoding),
            # rows are numbered only on one thread; that is as fast, since decoding the stream takes one thread anyway
            read_options=pacsv.ReadOptions(block_size=_BATCH_BYTES, use_threads=False),
            parse_options=pacsv.ParseOptions(
                delimiter=text.delimiter,
                quote_char=text.quote or False,
                newlines_in_values=bool(text.quote),
                invalid_row_handler=on_malformed,
            ),
            convert_options=pacsv.ConvertOptions(column_types=schema, include_columns=schema.names),
        )
    except pa.ArrowInvalid as error:
        if _NO_ROWS not in str(error):
            raise
        return nullcontext(())
    return reader


def _numbers(positions: np.ndarray, skipped: Sequence[int]) -> np.ndarray:
    """Return the row numbers in the file, counted from 1, of positions among the rows that were not skipped.

    Example: if rows 2 and 3 are skipped, the positions 0 and 1 have the row numbers 1 and 4.
    """
    before = np.asarray(skipped, dtype=np.int64) - 1 - np.arange(len(skipped))
    return np.asarray(positions + 1 + np.searchsorted(before, positions, side="right"))


class Utf8(io.RawIOBase):
    """A stream recoded to UTF-8, with the replacement character for undecodable bytes.

    The CSV reader would reject the whole file for one such byte.
    """

    def __init__(self, stream: BinaryIO, encoding: str = "utf-8") -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)("replace")

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes, none at the end; at most `size` of them if `size` is 12 or more."""
        # each byte may grow to three, and up to three bytes of an incomplete character remain from the block before
        while raw := self._stream.read(max(size // 3 - 3, 1)):
            if text := self._decoder.decode(raw):  # empty if the block ends within its only character
                return text.encode()
        return self._decoder.decode(b"", final=True).encode()


TIMESTAMP: Final = dt.Timestamp(scale=6)
"""The type of all stored times: UTC without a zone, in microseconds."""

_INSTANT: Final = dt.Timestamp(timezone="UTC")
_ISO_8601: Final = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}(:?\d{2})?)?)?$"
_CAST_BLANKS: Final = (" ", "\t", "\n", "\r")
_NUMBER: Final = r"(?i)^[+-]?((\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?|nan|inf|infinity)$"


def trim(raw: ir.Value) -> ir.Value:
    """Return text without surrounding blanks, empty text as null; return other types unchanged."""
    if raw.type().is_string():
        # few values have blanks, and searching for blanks takes a third of the time of stripping
        return ibis.ifelse(reduce(operator.or_, map(raw.contains, _CAST_BLANKS)), raw.strip(), raw).nullif("")
    if raw.type().is_unknown():  # a Parquet column of type null
        return ibis.null(dt.string)
    return raw


def cast_column(raw: ir.Value, kind: Kind) -> ir.Value:
    """Return a trimmed value as `kind`, null if it cannot be cast.

    Example: text `2024-05-01T08:00:00+08:00` as TIME is 2024-05-01 00:00:00. The number 7.5 as COUNT stays 7.5, so that
    a rule can report it as not whole. A boolean is never a number, and a fraction is never an id.
    """
    return _CASTS[kind](raw)


def _text(raw: ir.Value) -> ir.Value:
    if raw.type().is_string() or raw.type().is_integer() or raw.type().is_uuid():
        return raw.cast(dt.string)
    return ibis.null(dt.string)


def _time(raw: ir.Value) -> ir.Value:
    kind = raw.type()
    if kind.is_string():
        return ibis.ifelse(raw.re_search(_ISO_8601), raw.try_cast(_INSTANT), ibis.null(_INSTANT)).cast(TIMESTAMP)
    if kind.is_timestamp() or kind.is_date():
        return raw.cast(TIMESTAMP)
    return ibis.null(TIMESTAMP)


def _day(raw: ir.Value) -> ir.Value:
    if raw.type().is_date():
        return raw
    time = _time(raw)
    return time.date().nullif(ibis.ifelse(time == time.truncate("D"), ibis.null(dt.date), time.date()))


def _number(raw: ir.Value) -> ir.Value:
    kind = raw.type()
    if kind.is_string():
        return ibis.ifelse(raw.re_search(_NUMBER), raw.try_cast(dt.float64), ibis.null(dt.float64))
    if kind.is_numeric() and not kind.is_boolean():
        return raw.cast(dt.float64)
    return ibis.null(dt.float64)


_CASTS: Final[Mapping[Kind, Callable[[ir.Value], ir.Value]]] = {
    **dict.fromkeys((Kind.ID, Kind.TEXT, Kind.CURRENCY, Kind.COUNTRY), _text),
    **dict.fromkeys((Kind.MONEY, Kind.NUMBER, Kind.COUNT), _number),
    Kind.TIME: _time,
    Kind.DAY: _day,
}
