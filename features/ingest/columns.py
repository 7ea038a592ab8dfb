"""Column names of a delivered file: read from the header and compared with the columns that are needed.

If columns are missing, the error lists the columns found and the likely cause: delimiter, encoding or names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from features.errors import DeliveryError
from features.ingest.report import shorten
from features.schema import Table

ROW: Final = "file_row_number"
"""The engine's name for the position of a row in its file, counted from 0."""
REPLACED: Final = "\N{REPLACEMENT CHARACTER}"
"""Stands for undecodable bytes of a text file."""

_DELIMITERS: Final = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a vertical bar"}
_MAX_NAMES: Final = 12


@dataclass(frozen=True)
class TextFormat:
    """The format of a text file: delimiter, encoding and quote (empty for none).

    `declared_in` is where the user can change the format and the column names, such as `[sources.orders] in
    mapping.toml`; empty if they are fixed, as in the contract.
    """

    delimiter: str = ","
    encoding: str = "utf-8"
    quote: str = '"'
    declared_in: str = ""


CSV: Final = TextFormat()
"""The format of the contract."""


def columns_of(path: Path, text: TextFormat = CSV) -> list[str]:
    """Return the column names of a Parquet or text file; raise DeliveryError if it cannot be read."""
    with readable(path):
        return list(pq.read_schema(path).names) if path.suffix == ".parquet" else _header(path, text)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Convert the errors of a damaged file into a DeliveryError."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        kind = path.suffix.removeprefix(".")
        raise DeliveryError(
            f"{path} cannot be read as {kind}: {_first_sentence(error)}. Deliver a complete file."
        ) from error


def _first_sentence(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].split(". ")[0].rstrip(".")


def extra_columns(table: Table, path: Path, text: TextFormat) -> tuple[str, ...]:
    """Return the names of the columns of a file that the table does not have.

    Raises:
        DeliveryError: the file lacks a column of the table, or names one twice.
    """
    names = columns_of(path, text)
    missing = [name for name in table.column_names if name not in names]
    if missing:
        raise DeliveryError(
            f"{path} lacks {', '.join(missing)}. It has {_list_names(names)}. The columns of {table.name} are "
            f"{', '.join(table.column_names)}. {_remedy(path, names, text)}"
        )
    # Engines ignore case in names, so a file with both `Amount` and `amount` is ambiguous.
    counts = Counter(name.casefold() for name in names)
    for name in table.column_names:
        if counts[name.casefold()] > 1:
            raise DeliveryError(f"{path} has the column {name} more than once. Name each column once.")
    if ROW in (name.casefold() for name in names):
        raise DeliveryError(f"{path} has a column {ROW}, which is reserved. Leave the column out.")
    return tuple(sorted({shorten(name) for name in set(names) - set(table.column_names)}))


def _list_names(names: list[str]) -> str:
    first = [repr(shorten(name))[1:-1] for name in names[:_MAX_NAMES]]
    if len(names) == 1:
        return f"the one column '{first[0]}'"
    more = f" and {len(names) - len(first):,} more" if len(names) > len(first) else ""
    return f"the columns {', '.join(first)}{more}"


def _remedy(path: Path, names: list[str], text: TextFormat) -> str:
    """Return how to fix missing columns. A wrong delimiter or encoding is more likely than wrong names."""
    if path.suffix != ".parquet":
        if delimiter := _other_delimiter(names, text):
            actual, expected = (_DELIMITERS.get(each, repr(each)) for each in (delimiter, text.delimiter))
            return (
                f"Its fields seem to be separated by {actual}, not {expected}. Save the file with {expected} between "
                f"fields{_or_set('delimiter', delimiter, text)}"
            )
        if encoding := _other_encoding(names, text):
            return (
                f"Its text does not seem to be {text.encoding}. Save the file as {text.encoding}"
                f"{_or_set('encoding', encoding, text)}"
            )
    return f"Add or rename columns in the file{f', or correct those of {text.declared_in}' if text.declared_in else ''}"


def _or_set(setting: str, value: str, text: TextFormat) -> str:
    return f', or set {setting} = "{repr(value)[1:-1]}" under {text.declared_in}' if text.declared_in else ""


def _other_delimiter(names: list[str], text: TextFormat) -> str | None:
    header = text.delimiter.join(names)
    most = max((text.delimiter, *_DELIMITERS), key=header.count)
    return None if most == text.delimiter else most


def _other_encoding(names: list[str], text: TextFormat) -> str | None:
    header = "".join(names)
    if REPLACED in header:
        return "cp1252" if text.encoding.casefold().replace("-", "") == "utf8" else "utf-8"
    try:
        return None if header.encode(text.encoding).decode("utf-8") == header else "utf-8"
    except UnicodeError:
        return None


def _header(path: Path, text: TextFormat) -> list[str]:
    try:
        with path.open(encoding=text.encoding, errors="replace", newline="\n") as stream:
            first = stream.readline().encode()
    except UnicodeError as error:
        raise DeliveryError(
            f"{path} is not {text.encoding.upper()}: {error}. Set encoding to utf-16-le or utf-16-be if it is UTF-16 "
            "without a byte order mark, or save it as UTF-8."
        ) from error
    if not first.strip():
        raise DeliveryError(f"{path} is empty. A CSV begins with a line of column names.")
    if b"\0" in first:
        raise DeliveryError(
            f"{path} is not {text.encoding.upper()} but looks like UTF-16. Save it as {text.encoding.upper()}"
            f"{_or_set('encoding', 'utf-16', text)}"
        )
    table = pacsv.read_csv(
        pa.BufferReader(first + b"\n"),  # the reader takes one line without a line end for an empty file
        read_options=pacsv.ReadOptions(autogenerate_column_names=True),
        parse_options=pacsv.ParseOptions(delimiter=text.delimiter, quote_char=text.quote or False),
    )
    return [str(column[0]).removeprefix("\ufeff") for column in table.to_pydict().values()]
