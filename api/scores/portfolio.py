"""The scores of a whole portfolio as a file, for internal use: not signed and not stored.

Sellers are assessed as columns, block by block, so that memory does not depend on their number.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from api.errors import OutputError
from features.store.vectors import VectorBlock
from scoring import Bundle, Vector
from scoring.assess_rows import AssessedRows, assess_rows
from scoring.assessment import SCALE_LIMIT
from scoring.reason_catalogue import code_of
from scoring.reasons import MAX_REASONS
from scoring.sheet import FeatureSheet

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES: Final = (".csv", ".parquet")
_PREFIX: Final = "points_"


@dataclass(frozen=True)
class PortfolioReport:
    """The written rows by outcome and by the day on which the data of their sellers end, the latest day first.

    `summing` is the number of scores that equal the sum of their points (all).
    """

    sellers: int
    outcomes: Mapping[str, int]
    scored: int
    summing: int
    sellers_by_as_of: Mapping[str, int]


def require_writable(out: Path) -> None:
    """Check before scoring that the path is valid for a file of a known format.

    Raises:
        OutputError: the suffix is unknown, the folder does not exist, or the path is a folder.
    """
    if out.suffix not in SUFFIXES:
        raise OutputError(f"The output {out.name} must end in one of {', '.join(SUFFIXES)}.")
    if not out.parent.is_dir():
        raise OutputError(f"The folder {out.parent} does not exist. Create it, or use another folder.")
    if out.is_dir():
        raise OutputError(f"The output {out} is a folder. Use the path of a file.")


def write_portfolio(
    bundle: Bundle, blocks: Iterable[VectorBlock], requested_on: date, out: Path, progress: Callable[[int], None]
) -> PortfolioReport:
    """Assess all sellers and write one row each. The file is complete or not created.

    Args:
        bundle: the current model.
        blocks: the vectors of all sellers, read as a stream.
        requested_on: the day of the scores (UTC), against which the age of the data is measured.
        out: a path that ends in .csv or .parquet; an existing file is replaced.
        progress: called after each block with the number of assessed sellers.

    Raises:
        OutputError: the file cannot be written there, or a row's points do not sum to its score.
        StoreError: no snapshot is stored.
        ScoringError: the bundle cannot assess the vectors.
    """
    outcomes: Counter[str] = Counter()
    days: Counter[str] = Counter()
    summing = 0
    with _atomic_file(out) as scratch, _writer(scratch, out.suffix, _schema(bundle)) as write:
        for table, rows in _in_threads(lambda block: _assess_block(bundle, block, requested_on), blocks):
            outcomes.update(rows.outcomes.tolist())
            days.update(map(str, table["as_of"].to_pylist()))
            points = rows.scored.points
            summing += int((points.base + points.features.sum(axis=1) + points.scale_limit == points.score).sum())
            write(table)
            progress(outcomes.total())
        by_day = dict(sorted(days.items(), reverse=True))
        report = PortfolioReport(outcomes.total(), dict(sorted(outcomes.items())), outcomes["scored"], summing, by_day)
        if report.summing != report.scored:
            raise OutputError(
                f"Only {summing} of {report.scored} scores equal the sum of their points. The file was not written."
            )
    return report


def _in_threads(
    assess: Callable[[VectorBlock], tuple[pa.Table, AssessedRows]], blocks: Iterable[VectorBlock]
) -> Iterator[tuple[pa.Table, AssessedRows]]:
    """Yield the results of all blocks in order; one block per processor is in work at a time."""
    threads = os.cpu_count() or 1
    remaining = iter(blocks)
    with ThreadPoolExecutor(threads) as pool:
        while together := list(islice(remaining, threads)):
            yield from pool.map(assess, together)


def _assess_block(bundle: Bundle, block: VectorBlock, requested_on: date) -> tuple[pa.Table, AssessedRows]:
    snapshot = block.snapshot
    shared = Vector("", snapshot.as_of, requested_on, snapshot.covers_through, snapshot.catalogue, ())
    rows = assess_rows(bundle, shared, block.values)
    return to_table(bundle, block.seller_ids, snapshot.as_of, rows), rows


def to_table(bundle: Bundle, seller_ids: list[str], as_of: date, rows: AssessedRows) -> pa.Table:
    """Return one row for each seller: date, outcome, score, band, probability, codes of the reasons, and points.

    Example: a seller with a score has `reasons` such as `RETURN_RATE_90D_HIGH;TENURE_DAYS_LOW`, and `base_points` and
    the columns `points_<feature>` add up to its score. All but `as_of` and `outcome` is missing without a score.
    """
    import pyarrow as pa

    scored, points = rows.scored, rows.scored.points
    bands = np.array(bundle.policy.bands.names, dtype=object)
    columns: dict[str, NDArray[Any]] = {
        "score": points.score,
        "band": bands[scored.bands],
        "probability_of_default": np.array(scored.probabilities, dtype=np.float64),
        "reasons": _codes(bundle.sheet, rows),
        "base_points": np.full(len(points.score), points.base),
        **{_PREFIX + entry.name: points.features[:, index] for index, entry in enumerate(bundle.sheet.scored_entries)},
        _PREFIX + SCALE_LIMIT: points.scale_limit,
    }
    texts = {"band", "reasons"}
    position = pa.array(np.where(rows.is_scored, np.cumsum(rows.is_scored) - 1, 0), mask=~rows.is_scored)
    spread = {
        name: pa.array(values, type=pa.string() if name in texts else None).take(position)
        for name, values in columns.items()
    }
    first = {
        "seller_id": pa.array(seller_ids, pa.string()),
        "as_of": pa.array([as_of] * len(seller_ids), pa.date32()),
        "outcome": pa.array(rows.outcomes, pa.string()),
    }
    return pa.table(first | spread)


def _codes(sheet: FeatureSheet, rows: AssessedRows) -> NDArray[np.object_]:
    """Return the codes of each scored row's reasons, joined with semicolons."""
    scored, found = rows.scored, rows.scored.reasons
    names = [(code_of(entry.name, entry.side), code_of(entry.name, "missing")) for entry in sheet.scored_entries]
    codes = np.array(names, dtype=object)
    is_missing = np.isnan(scored.rows[found.row, np.array(sheet.scored)[found.column]])
    rank = np.arange(len(found.row)) - np.searchsorted(found.row, found.row)
    of_rank = np.full((len(scored.rows), MAX_REASONS), None, dtype=object)
    of_rank[found.row, rank] = codes[found.column, is_missing.astype(int)]
    joined = [";".join(filter(None, of_row)) for of_row in of_rank.tolist()]
    return np.array(joined, dtype=object)


def _schema(bundle: Bundle) -> pa.Schema:
    nobody = Vector("", date.min, date.min, {}, bundle.sheet.catalogue, ())
    return to_table(bundle, [], date.min, assess_rows(bundle, nobody, np.empty((0, len(bundle.sheet.entries))))).schema


@contextmanager
def _atomic_file(out: Path) -> Iterator[Path]:
    require_writable(out)
    scratch = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        yield scratch
        scratch.replace(out)
    except OSError as error:
        raise OutputError(f"The output {out} cannot be written: {error.strerror}.") from error
    finally:
        scratch.unlink(missing_ok=True)


@contextmanager
def _writer(path: Path, suffix: str, schema: pa.Schema) -> Iterator[Callable[[pa.Table], None]]:
    from pyarrow import csv, parquet

    opened = csv.CSVWriter(path, schema) if suffix == ".csv" else parquet.ParquetWriter(path, schema)
    with opened as writer:
        yield writer.write_table
