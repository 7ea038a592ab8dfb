"""One table of a delivery being taken: what is known meanwhile, and where intermediate rows lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import ibis
import ibis.expr.types as ir
import pyarrow.parquet as pq
from ibis.backends.duckdb import Backend

from features.intake import money, rules
from features.intake.sources import literal
from features.schema import Table


@dataclass(frozen=True)
class Known:
    """What is known when a table is taken: accepted files by table, this delivery's and all before, and the rates.

    No row can have been known after `latest`, in UTC without a zone.
    """

    stored: Sequence[Path]
    references: Mapping[str, Sequence[Path]]
    rates: money.Rates
    latest: datetime


@dataclass(frozen=True)
class Job:
    """One table being taken; `raw` are the delivered rows as they are, each with the number of its place."""

    engine: Backend
    table: Table
    raw: ir.Table
    known: Known
    work: Path
    codes: rules.Codes

    @property
    def stored(self) -> ir.Table | None:
        """The table's accepted rows of earlier deliveries, if it has any."""
        return read_files(self.engine, self.known.stored) if self.known.stored else None

    def named(self, rows: ir.Table) -> ir.Table:
        """Return `rows` as a view of the engine, so that what is asked of them often is compiled once."""
        name = ibis.util.gen_name(self.table.name)
        self.engine.create_view(name, rows)
        return self.engine.table(name)

    def kept(self, name: str, rows: ir.Table) -> ir.Table | None:
        """Return `rows` computed, to be read more than once, from disk, where there is room; None if there are none."""
        path = self.work / f"{self.table.name}.{name}.parquet"
        write(rows, path)
        return read_files(self.engine, [path]) if rows_in(path) else None


def read_files(engine: Backend, paths: Sequence[Path]) -> ir.Table:
    """Return the rows of several Parquet files of one table."""
    return engine.read_parquet([literal(path) for path in paths])


def write(rows: ir.Table, path: Path) -> None:
    """Write rows as a Parquet file."""
    rows.to_parquet(path, compression="zstd", compression_level=1)  # the default is 2% smaller and a third slower


def rows_in(path: Path) -> int:
    """Return how many rows a Parquet file says that it has."""
    return int(pq.read_metadata(path).num_rows)
