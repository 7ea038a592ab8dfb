"""Column summaries (empty, distinct, least, median, greatest, most frequent) and drift against earlier deliveries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import ibis
import numpy as np

from features.engines.duckdb import read_parquet
from features.ingest.deduplication import key_hash
from features.ingest.money import MICROS
from features.quality.coverage import rows_by_day
from features.quality.psi import Stability, stability
from features.schema import Column, Kind, Table

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend


CATEGORICAL: Final = frozenset({Kind.TEXT, Kind.CURRENCY, Kind.COUNTRY})
ORDERED: Final = frozenset({Kind.TIME, Kind.DAY, Kind.MONEY, Kind.COUNT, Kind.NUMBER})

EXACT_ROWS: Final = 5_000_000
"""With more rows, distinct values are estimated, within some percent."""

MOST_FREQUENT: Final = 5
_MAX_LENGTH: Final = 40

Value = float | int | date | datetime | None


@dataclass(frozen=True)
class Category:
    """One value of a column and how many accepted rows have it."""

    value: str
    rows: int


@dataclass(frozen=True)
class ColumnSummary:
    """One column; `empty` is of the `delivered` rows (accepted or quarantined), all other figures of accepted rows.

    If `estimated`, `distinct` is an estimate within some percent.
    """

    name: str
    kind: Kind
    delivered: int
    empty: int
    filled: int
    distinct: int
    estimated: bool
    least: Value = None
    median: Value = None
    greatest: Value = None
    frequent: tuple[Category, ...] = ()

    @property
    def rest(self) -> int:
        """Rows with none of the most frequent values."""
        return self.filled - sum(each.rows for each in self.frequent)


def summarize_columns(table: Table, rows: ir.Table, quarantined: ir.Table) -> tuple[ColumnSummary, ...]:
    """Return the summary of every column of `table`, from accepted and quarantined rows.

    Malformed lines of a CSV are not counted.
    """
    count = int(rows.count().to_pyarrow().as_py())
    exact = count <= EXACT_ROWS
    statistics = {name: value for column in table.columns for name, value in _statistics(column, rows, exact).items()}
    numbers = rows.agg(**statistics).to_pyarrow().to_pylist()[0]
    split = quarantined.filter(quarantined.row.isnull())
    empties = split.agg(delivered=split.count(), **{name: split[name].isnull().sum() for name in table.column_names})
    rejected = {name: int(value or 0) for name, value in empties.to_pyarrow().to_pylist()[0].items()}
    return tuple(
        ColumnSummary(
            name=column.name,
            kind=column.kind,
            delivered=count + rejected["delivered"],
            empty=count - numbers[f"{column.name}:filled"] + rejected[column.name],
            filled=numbers[f"{column.name}:filled"],
            distinct=numbers[f"{column.name}:distinct"],
            estimated=not exact,
            least=numbers.get(f"{column.name}:least"),
            median=numbers.get(f"{column.name}:median"),
            greatest=numbers.get(f"{column.name}:greatest"),
            frequent=_frequent(column, rows),
        )
        for column in table.columns
    )


def _statistics(column: Column, rows: ir.Table, exact: bool) -> dict[str, ir.Value]:
    values = rows[column.name]
    statistics = {
        f"{column.name}:filled": values.count(),
        f"{column.name}:distinct": values.nunique() if exact else values.approx_nunique(),
    }
    if column.kind not in ORDERED:
        return statistics
    ends = {"least": values.min(), "median": values.median(), "greatest": values.max()}
    return statistics | {f"{column.name}:{name}": value for name, value in ends.items()}


def _frequent(column: Column, rows: ir.Table) -> tuple[Category, ...]:
    if column.kind not in CATEGORICAL:
        return ()
    values = rows.filter(rows[column.name].notnull())
    counts = values.group_by(value=values[column.name]).agg(rows=values.count())
    most = counts.order_by(counts.rows.desc(), counts.value).limit(MOST_FREQUENT).to_pyarrow().to_pylist()
    return tuple(Category(row["value"][:_MAX_LENGTH], row["rows"]) for row in most)


GROUPS: Final = 200
"""The number of groups of stores, which are resampled for the intervals."""


CATEGORIES: Final = 20
"""The number of most frequent earlier values with a bin of their own; all others share one bin."""

_DECILES: Final = tuple(tenth / 10 for tenth in range(1, 10))
_OWNERS: Final = ("store_id", "seller_id", "loan_id", "currency")
OTHER: Final = "all others"


@dataclass(frozen=True)
class Bin:
    """A range or value with its shares of the earlier rows and of the delivery's rows."""

    label: str
    before: float
    now: float


@dataclass(frozen=True)
class ColumnDrift:
    """The drift of one column; `label` is what is compared, such as "amount, US dollars"."""

    label: str
    stability: Stability
    bins: tuple[Bin, ...]

    @property
    def most_moved(self) -> Bin:
        """The bin whose share changed most."""
        return max(self.bins, key=lambda each: abs(each.now - each.before))


@dataclass(frozen=True)
class TableDrift:
    """The drift of one table against all its earlier accepted rows; rows per day are of days with rows."""

    table: str
    rows_before: int
    rows_now: int
    per_day_before: float
    per_day_now: float
    columns: tuple[ColumnDrift, ...]

    @property
    def ratio(self) -> float:
        """Rows per day of the delivery divided by earlier rows per day."""
        return self.per_day_now / self.per_day_before


@dataclass(frozen=True)
class _BinnedColumn:
    """The bins of a column: its label, and the names and edges of the bins."""

    label: str
    names: tuple[str, ...]
    edges: Sequence[float | str]
    column: str

    def code(self, rows: ir.Table) -> ir.Value:
        values = rows[self.column]
        if self.edges and isinstance(self.edges[0], str):
            return ibis.cases(*((values == edge, n) for n, edge in enumerate(self.edges)), else_=len(self.edges))
        steps = [(values <= edge, n) for n, edge in enumerate(self.edges)]
        return ibis.cases(*steps, else_=len(self.edges))


def drift(
    engine: Backend, table: Table, before: ir.Table, now: ir.Table, *, now_by_day: Mapping[date, int], work: Path
) -> TableDrift:
    """Return the drift of the accepted rows of a table against those of earlier deliveries.

    Numbers are binned at the deciles of the earlier rows (amounts in US dollars), categories by value. Ids and times
    are not compared, since they always differ. `work` is the folder for intermediate files.
    """
    binned = [_bin(table, column, before) for column in table.columns if _compare(column)]
    coded = [_encode(table, rows, binned) for rows in (before, now)]
    counts = [_counts(engine, rows, binned, work / f"{table.name}.{n}.parquet") for n, rows in enumerate(coded)]
    before_by_day = rows_by_day(table, before)
    rows_before, rows_now = (sum(days.values()) for days in (before_by_day, now_by_day))
    return TableDrift(
        table.name,
        rows_before,
        rows_now,
        rows_before / len(before_by_day),
        rows_now / len(now_by_day),
        tuple(_column_drift(each, before, now) for each, before, now in zip(binned, *counts, strict=True)),
    )


def _compare(column: Column) -> bool:
    return column.kind not in {Kind.ID, Kind.TIME, Kind.DAY}


def _bin(table: Table, column: Column, before: ir.Table) -> _BinnedColumn:
    if column.kind in CATEGORICAL:
        counts = before.group_by(value=before[column.name]).agg(rows=before.count())
        most = counts.order_by(counts.rows.desc(), counts.value).limit(CATEGORIES).value.to_pyarrow().to_pylist()
        return _BinnedColumn(column.name, (*most, OTHER), tuple(most), column.name)
    if column.name == table.money:
        return _decile_bins(f"{column.name}, US dollars", "amount_micros", before, MICROS)
    return _decile_bins(column.name, column.name, before, 1)


def _decile_bins(label: str, column: str, before: ir.Table, scale: float) -> _BinnedColumn:
    deciles = before.agg(deciles=before[column].quantile(list(_DECILES))).to_pyarrow().to_pylist()[0]["deciles"]
    edges = sorted(set(deciles))
    texts = [f"{edge / scale:,.4g}" for edge in edges]
    names = (*(f"to {edge}" for edge in texts), f"over {texts[-1]}")
    return _BinnedColumn(label, names, tuple(edges), column)


def _encode(table: Table, rows: ir.Table, binned: Sequence[_BinnedColumn]) -> ir.Table:
    owner = next(name for name in _OWNERS if name in table.column_names)
    group = (key_hash(rows, [owner]) % GROUPS).cast("int16")
    return rows.select(owner_group=group, **{f"bin_{n}": each.code(rows).cast("int8") for n, each in enumerate(binned)})


def _counts(engine: Backend, coded: ir.Table, binned: Sequence[_BinnedColumn], path: Path) -> list[np.ndarray]:
    """Return for each column the rows by group of stores and bin."""
    # one pass over the rows writes a byte per column, which is then counted column by column
    coded.to_parquet(path)
    codes = read_parquet(engine, [path])
    return [_by_group(codes, f"bin_{n}", len(each.names)) for n, each in enumerate(binned)]


def _by_group(coded: ir.Table, name: str, bins: int) -> np.ndarray:
    counted = coded.group_by("owner_group", name).agg(rows=coded.count()).to_pyarrow()
    counts = np.zeros((GROUPS, bins))
    counts[counted["owner_group"].to_numpy(), counted[name].to_numpy()] = counted["rows"].to_numpy()
    return counts


def _column_drift(binned: _BinnedColumn, before: np.ndarray, now: np.ndarray) -> ColumnDrift:
    shares = [counts.sum(axis=0) / counts.sum() for counts in (before, now)]
    bins = tuple(Bin(name, float(b), float(n)) for name, b, n in zip(binned.names, *shares, strict=True))
    return ColumnDrift(binned.label, stability(before, now), bins)
