"""Reads rows as they lie in the database, though they be damaged: what is no text any more must not stop who looks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Integer, LargeBinary, cast

from api.ledger.chain import Header, Row, written


def raw(connection: Connection, columns: Sequence[ColumnElement[Any]]) -> list[ColumnElement[Any]]:
    """Return the columns as they are to be selected; PostgreSQL itself holds to a column's type, SQLite does not."""
    if connection.dialect.name != "sqlite":
        return list(columns)
    return [cast(each, each.type if isinstance(each.type, Integer) else LargeBinary) for each in columns]


def text_of(found: object) -> str:
    """Return what was read as text, with signs for the bytes that are none."""
    return found.decode("utf-8", "backslashreplace") if isinstance(found, bytes) else str(found)


def moment_of(found: object) -> str:
    """Return what was read of a moment as rows of the ledger write it; what is none any more, as it is."""
    if isinstance(found, datetime):
        return written(found)
    try:
        return written(datetime.fromisoformat(text_of(found) + "+00:00"))
    except ValueError:
        return text_of(found)


def row_of(found: Sequence[Any]) -> Row:
    """Return a row of the ledger from its raw columns, in the order of the table."""
    chain, position, kind, recorded_at, subject, *rest = found
    header = Header(text_of(chain), position, text_of(kind), text_of(recorded_at), text_of(subject))
    return Row(header, *(bytes(each) for each in rest))
