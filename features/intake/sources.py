"""One table's file, opened: its columns held against the contract, its rows counted, a CSV made into Parquet of text.

Nothing is judged here but whether there are rows to judge.
"""

from __future__ import annotations

import codecs
import functools
import io
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from features.errors import DeliveryError
from features.schema import Table

_BATCH_BYTES: Final = 1 << 24
_REPLACED: Final = "\N{REPLACEMENT CHARACTER}"
ROW: Final = "file_row_number"
"""The engine's name for the place of a row in its file, counted from 0."""


@dataclass(frozen=True)
class TextFormat:
    """How a text file is written: what separates its fields and encloses them (nothing if empty), and its encoding."""

    delimiter: str = ","
    encoding: str = "utf-8"
    quote: str = '"'


CSV: Final = TextFormat()
"""The format of the contract."""


@dataclass(frozen=True)
class Source:
    """A readable Parquet file of one table.

    `rows` counts its rows; `malformed` holds the text of CSV rows that had another number of fields than the header or
    were not UTF-8, and are not in the file; `ignored_columns` names what the contract does not know.
    """

    path: Path
    rows: int
    malformed: tuple[str, ...]
    ignored_columns: tuple[str, ...]


def open_source(table: Table, path: Path, work: Path, text: TextFormat = CSV, name: str | None = None) -> Source:
    """Return `path` as a Parquet file, converted into the folder `work` if it is a text file.

    `name` is that of the converted file, by default the table's.

    Raises:
        DeliveryError: the file is not readable as what its name says, or lacks a column of the contract.
    """
    ignored = _extra_columns(table, path, columns_of(path, text))
    with _readable(path):
        if path.suffix != ".parquet":
            return _from_csv(table, path, work / f"{name or table.name}.csv.parquet", ignored, text)
        return Source(path, pq.read_metadata(path).num_rows, (), ignored)


def empty_source(table: Table, work: Path) -> Source:
    """Return a file of `table` without rows, written into the folder `work`."""
    schema = pa.schema([(name, pa.string()) for name in table.column_names])
    path = work / f"{table.name}.empty.parquet"
    pq.write_table(schema.empty_table(), path)
    return Source(path, 0, (), ())


def columns_of(path: Path, text: TextFormat = CSV) -> list[str]:
    """Return the column names of a Parquet or text file; DeliveryError where it is not readable as such."""
    with _readable(path):
        return list(pq.read_schema(path).names) if path.suffix == ".parquet" else _header(path, text)


def read_through(path: Path) -> None:
    """Decode every value of a Parquet file; DeliveryError where one cannot be. A CSV was read through when opened."""
    if path.suffix != ".parquet":
        return
    with _readable(path):
        for _ in pq.ParquetFile(path, page_checksum_verification=True).iter_batches():
            pass


def literal(path: Path) -> str:
    """Return `path` so that an engine that expands wildcards takes each character as itself."""
    return re.sub(r"([*?\[])", r"[\1]", str(path))


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        kind = path.suffix.removeprefix(".")
        raise DeliveryError(
            f"{path} cannot be read as {kind}: {_first_sentence(error)}; deliver the file again, whole"
        ) from error


def _first_sentence(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].split(". ")[0].rstrip(".")


def _extra_columns(table: Table, path: Path, names: list[str]) -> tuple[str, ...]:
    missing = [name for name in table.column_names if name not in names]
    if missing:
        raise DeliveryError(
            f"{path} lacks {', '.join(missing)}; the columns of {table.name} are {', '.join(table.column_names)}"
        )
    # Engines do not tell names apart by case, so `Amount` beside `amount` would be a guess.
    twice = [name for name, count in Counter(name.casefold() for name in names).items() if count > 1]
    for name in table.column_names:
        if name in twice:
            raise DeliveryError(f"{path} has the column {name} more than once; name each column once")
    if ROW in (name.casefold() for name in names):
        raise DeliveryError(f"{path} has a column {ROW}, a name kept for intake itself; leave the column out")
    return tuple(sorted(set(names) - set(table.column_names)))


def _from_csv(table: Table, path: Path, out: Path, ignored: tuple[str, ...], text: TextFormat) -> Source:
    """Write the well-formed rows of a CSV as Parquet of text columns, and keep the text of the others."""
    malformed: list[str] = []

    def set_aside(row: pacsv.InvalidRow) -> str:
        malformed.append(row.text)
        return "skip"

    schema = pa.schema([(name, pa.string()) for name in table.column_names])
    rows = 0
    with (
        path.open("rb") as stream,
        pacsv.open_csv(
            Utf8(stream, text.encoding),
            read_options=pacsv.ReadOptions(block_size=_BATCH_BYTES),
            parse_options=pacsv.ParseOptions(
                delimiter=text.delimiter,
                quote_char=text.quote or False,
                newlines_in_values=bool(text.quote),
                invalid_row_handler=set_aside,
            ),
            convert_options=pacsv.ConvertOptions(column_types=schema, include_columns=schema.names),
        ) as reader,
        pq.ParquetWriter(out, schema, compression="zstd") as writer,
    ):
        for batch in reader:
            intact = _intact(batch, malformed)
            writer.write_batch(intact)
            rows += intact.num_rows
    return Source(out, rows + len(malformed), tuple(malformed), ignored)


class Utf8(io.RawIOBase):
    """A stream as UTF-8, in which every byte that is not of its encoding reads as the replacement character.

    The reader of CSV would refuse a whole file for one such byte.
    """

    def __init__(self, stream: BinaryIO, encoding: str = "utf-8") -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)("replace")

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes, none at the end; at most `size` of them where `size` is 12 or more."""
        # Each byte may grow to three, and up to three bytes of a begun character wait from the block before.
        while raw := self._stream.read(max(size // 3 - 3, 1)):
            if text := self._decoder.decode(raw):  # nothing yet where all that came begins a character
                return text.encode()
        return self._decoder.decode(b"", final=True).encode()


def _intact(batch: pa.RecordBatch, malformed: list[str]) -> pa.RecordBatch:
    """Return the rows of `batch` without a replacement character; the others join `malformed`."""
    spoilt = [pc.match_substring(column, _REPLACED) for column in batch.columns]
    bad = functools.reduce(pc.or_, spoilt)
    if not pc.any(bad).as_py():
        return batch
    malformed += [",".join(row.values()) for row in batch.filter(bad).to_pylist()]
    return batch.filter(pc.invert(bad))


def _header(path: Path, text: TextFormat) -> list[str]:
    """Return the names in a text file's first line."""
    with path.open(encoding=text.encoding, errors="replace", newline="\n") as stream:
        first = stream.readline().encode()
    if not first.strip():
        raise DeliveryError(f"{path} is empty; a CSV begins with a line of column names")
    if b"\0" in first:
        raise DeliveryError(f"{path} is not UTF-8 but looks like UTF-16; save it as UTF-8 and deliver it again")
    table = pacsv.read_csv(
        pa.BufferReader(first),
        read_options=pacsv.ReadOptions(autogenerate_column_names=True),
        parse_options=pacsv.ParseOptions(delimiter=text.delimiter, quote_char=text.quote or False),
    )
    return [str(column[0]).removeprefix("\ufeff") for column in table.to_pydict().values()]
