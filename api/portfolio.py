"""Every seller of the latest snapshot through the one assess, into a file of a row each. Internal and unsigned."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from api.errors import OutputError
from api.vectors import to_vector
from features.store.vectors import StoredVector
from scoring import Assessment, Bundle, assess
from scoring.assess import SCALE_LIMIT

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES: Final = (".csv", ".parquet")
_CHUNK: Final = 2_000
_PREFIX: Final = "points_"


@dataclass(frozen=True)
class PortfolioReport:
    """What was written: rows by outcome, and of the scored ones how many sum to their score (it must be all)."""

    sellers: int
    outcomes: Mapping[str, int]
    scored: int
    summing: int


def require_writable(out: Path) -> None:
    """Check before any scoring that a file of a known kind may stand at the path.

    Raises:
        OutputError: the suffix is another, the folder is not there, or a folder stands in the file's place.
    """
    if out.suffix not in SUFFIXES:
        raise OutputError(f"The output {out.name} must end in one of {', '.join(SUFFIXES)}.")
    if not out.parent.is_dir():
        raise OutputError(f"The folder {out.parent} is not there; make it, or name another.")
    if out.is_dir():
        raise OutputError(f"The output {out} is a folder; name a file.")


def write_portfolio(
    bundle: Bundle, stored: Iterable[StoredVector], requested_on: date, out: Path, progress: Callable[[int], None]
) -> PortfolioReport:
    """Assess every seller and write a row each; the file appears whole, or not at all.

    Args:
        bundle: the model in force.
        stored: the sellers' vectors, read as a stream.
        requested_on: the day of the scores (UTC), against which the age of the data is measured.
        out: a path that ends in .csv or .parquet; a file already there is replaced.
        progress: called with the number of sellers done after each chunk.

    Raises:
        OutputError: the file cannot be written there, or a row's points do not sum to its score.
        StoreError: no snapshot is stored.
        ScoringError: the vectors do not meet the bundle.
    """
    outcomes: Counter[str] = Counter()
    summing, threads = 0, os.cpu_count() or 1
    with _whole(out) as scratch, _writer(scratch, out.suffix, _schema(bundle)) as write:
        for chunk in _chunks(iter(stored)):
            results = assess(bundle, [to_vector(stored, requested_on) for stored in chunk], threads)
            outcomes.update(str(result.outcome) for result in results)
            summing += sum(map(_sums, results))
            write([_row(seller.seller_id, result) for seller, result in zip(chunk, results, strict=True)])
            progress(outcomes.total())
        report = PortfolioReport(outcomes.total(), dict(sorted(outcomes.items())), outcomes["scored"], summing)
        if report.summing != report.scored:
            raise OutputError(
                f"Only {summing} of {report.scored} scores equal the sum of their points; nothing written."
            )
    return report


def _chunks(stored: Iterator[StoredVector]) -> Iterator[list[StoredVector]]:
    while chunk := list(islice(stored, _CHUNK)):
        yield chunk


def _row(seller_id: str, result: Assessment) -> dict[str, Any]:
    row: dict[str, Any] = {
        "seller_id": seller_id,
        "outcome": str(result.outcome),
        "score": result.score,
        "band": result.band,
        "probability_of_default": result.probability_of_default,
    }
    if result.explanation is not None:
        row["reasons"] = ";".join(reason.code for reason in result.explanation.reasons)
        row["base_points"] = result.explanation.base_points
        row[_PREFIX + SCALE_LIMIT] = 0
        row |= {_PREFIX + item.feature: item.points for item in result.explanation.contributions}
    return row


def _sums(result: Assessment) -> bool:
    if result.score is None or result.explanation is None:
        return False
    points = sum(item.points for item in result.explanation.contributions)
    return result.explanation.base_points + points == result.score


def _schema(bundle: Bundle) -> pa.Schema:
    import pyarrow as pa

    known = {
        "seller_id": pa.string(),
        "outcome": pa.string(),
        "score": pa.int64(),
        "band": pa.string(),
        "probability_of_default": pa.float64(),
        "reasons": pa.string(),
        "base_points": pa.int64(),
    }
    points = {
        _PREFIX + name: pa.int64() for name in (*(entry.name for entry in bundle.sheet.scored_entries), SCALE_LIMIT)
    }
    return pa.schema(list((known | points).items()))


@contextmanager
def _whole(out: Path) -> Iterator[Path]:
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
def _writer(path: Path, suffix: str, schema: pa.Schema) -> Iterator[Callable[[list[dict[str, Any]]], None]]:
    import pyarrow as pa
    from pyarrow import csv, parquet

    opened = csv.CSVWriter(path, schema) if suffix == ".csv" else parquet.ParquetWriter(path, schema)
    with opened as writer:
        yield lambda rows: writer.write_table(pa.Table.from_pylist(rows, schema=schema))
