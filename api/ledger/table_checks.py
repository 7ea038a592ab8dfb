"""Comparison of table rows with the ledger, for the checks of a verification."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, String, Table, cast, select, type_coerce

from api.kit.database import UtcDateTime
from api.kit.fields import format_timestamp

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?")


def stored_rows(connection: Connection, table: Table, *where: ColumnElement[bool]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table by column name, with times formatted as in the ledger.

    A damaged time is returned as it is stored, so that it differs from the ledger and does not stop the check.
    """
    times = {column.name for column in table.c if isinstance(column.type, UtcDateTime)}
    columns = [type_coerce(column, String) if column.name in times else cast(column, column.type) for column in table.c]
    for row in connection.execute(select(*columns).where(*where)):
        values = zip(table.c.keys(), row, strict=True)
        yield {name: _format_stored(value) if name in times else value for name, value in values}


def _format_stored(stored: object) -> str | None:
    if stored is None:
        return None
    # the parser ignores some characters after a time
    if _TIME.fullmatch(str(stored)) is None:
        return str(stored)
    try:
        return format_timestamp(datetime.fromisoformat(f"{stored}+00:00"))
    except ValueError:
        return str(stored)


def compare_row(table: str, expected: Mapping[str, Any], stored: Mapping[str, Any] | None, what: str) -> Iterator[str]:
    """Yield the fault of a table row that the ledger records.

    Example: the fault is `the consent is missing in the table of consents` if `stored` is None.

    Args:
        table: Name of the table for the message, such as `the table of consents`.
        expected: The columns that the ledger records.
        stored: The stored row, or None.
        what: What the row holds, such as `the consent`.
    """
    if stored is None:
        yield f"{what} is missing in {table}"
    elif differing := sorted(name for name, value in expected.items() if stored[name] != value):
        yield f"{table} differs from the ledger in {', '.join(differing)}"
