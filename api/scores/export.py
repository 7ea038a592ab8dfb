"""Exports: issued scores and shadow scores as flat rows for monitoring, and the scores of a whole portfolio as a file.

Monitoring reads the rows of `training.monitor.score_log`; `sellerscore.py` connects both. Without a database there are
no rows, and none is created. A portfolio file is internal and not signed.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection
from sqlalchemy.engine import make_url

from api.errors import OutputError
from api.kit.database import transaction
from api.ledger.store import Ledger, open_ledger
from api.scores.inputs import to_vector
from api.scores.repository import StoredScore, iterate_scores
from api.scores.self_view import PURPOSE as SELF_VIEW
from api.scores.shadow import ShadowScore, iterate_shadow_scores
from api.settings import Settings
from features.store.vectors import StoredVector
from scoring import Assessment, Bundle, assess
from scoring.assessment import SCALE_LIMIT

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class ExportedScore:
    """An issued score with its model and feature values.

    Times are in UTC without a zone. `valid_days` is the time from issuance to expiry. `values` are in the order of the
    bundle's feature sheet, NaN if missing.
    """

    score_id: str
    model: str
    seller_id: str
    as_of: datetime
    scored_at: datetime
    valid_days: float
    outcome: str
    score: int | None
    probability_of_default: float | None
    values: NDArray[np.float64]


def export_scores(settings: Settings) -> Iterator[ExportedScore]:
    """Yield the readable scores of all banks, oldest first; scores of erased sellers are not readable.

    Example: `pandas.DataFrame(vars(score) for score in export_scores(load_settings()))`.

    Raises:
        DatabaseSetupError: the database exists and cannot be opened.
        DatabaseUnavailable: the database is not available.
    """
    with _reading(settings) as opened:
        yield from (
            () if opened is None else (_flat(score) for score in iterate_scores(*opened) if score.purpose != SELF_VIEW)
        )


def export_shadow_scores(settings: Settings) -> Iterator[ShadowScore]:
    """Yield the shadow scores in the order of their scores.

    Raises:
        DatabaseSetupError: the database exists and cannot be opened.
        DatabaseUnavailable: the database is not available.
    """
    with _reading(settings) as opened:
        yield from () if opened is None else iterate_shadow_scores(opened[0])


@contextmanager
def _reading(settings: Settings) -> Iterator[tuple[Connection, Ledger] | None]:
    """Yield a connection in a transaction and the ledger; None without a database."""
    address = make_url(settings.database_url)
    file = address.database if address.get_backend_name() == "sqlite" else None
    # os.path, because it returns False for a folder that cannot be read
    if file is not None and not os.path.isfile(file):  # noqa: PTH113
        yield None
        return
    engine, ledger = open_ledger(settings)
    try:
        with transaction(engine) as connection:
            yield connection, ledger
    finally:
        engine.dispose()


def _flat(stored: StoredScore) -> ExportedScore:
    inputs, assessment = json.loads(stored.inputs), stored.fields["assessment"]
    scored_at = datetime.fromisoformat(stored.fields["scored_at"])
    return ExportedScore(
        score_id=stored.id,
        model=stored.bundle,
        seller_id=stored.seller_id,
        as_of=datetime.fromisoformat(assessment["as_of"]),
        scored_at=scored_at.replace(tzinfo=None),
        valid_days=(stored.expires_at - scored_at).total_seconds() / 86_400,
        outcome=assessment["outcome"],
        score=assessment["score"],
        probability_of_default=assessment["probability_of_default"],
        values=np.array([np.nan if value is None else value for value in inputs["values"]], dtype=np.float64),
    )


SUFFIXES: Final = (".csv", ".parquet")
_CHUNK: Final = 2_000
_PREFIX: Final = "points_"


@dataclass(frozen=True)
class PortfolioReport:
    """The written rows by outcome; `summing` is the number of scores that equal the sum of their points (all)."""

    sellers: int
    outcomes: Mapping[str, int]
    scored: int
    summing: int


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
    bundle: Bundle, stored: Iterable[StoredVector], requested_on: date, out: Path, progress: Callable[[int], None]
) -> PortfolioReport:
    """Assess all sellers and write one row each. The file is complete or not created.

    Args:
        bundle: the current model.
        stored: the vectors of all sellers, read as a stream.
        requested_on: the day of the scores (UTC), against which the age of the data is measured.
        out: a path that ends in .csv or .parquet; an existing file is replaced.
        progress: called after each chunk with the number of assessed sellers.

    Raises:
        OutputError: the file cannot be written there, or a row's points do not sum to its score.
        StoreError: no snapshot is stored.
        ScoringError: the bundle cannot assess the vectors.
    """
    outcomes: Counter[str] = Counter()
    summing, threads = 0, os.cpu_count() or 1
    with _atomic_file(out) as scratch, _writer(scratch, out.suffix, _schema(bundle)) as write:
        for chunk in _chunks(iter(stored)):
            results = assess(bundle, [to_vector(stored, requested_on) for stored in chunk], threads)
            outcomes.update(str(result.outcome) for result in results)
            summing += sum(map(_sums, results))
            write([_row(seller.seller_id, result) for seller, result in zip(chunk, results, strict=True)])
            progress(outcomes.total())
        report = PortfolioReport(outcomes.total(), dict(sorted(outcomes.items())), outcomes["scored"], summing)
        if report.summing != report.scored:
            raise OutputError(
                f"Only {summing} of {report.scored} scores equal the sum of their points. The file was not written."
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

    columns = {
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
    return pa.schema(list((columns | points).items()))


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
def _writer(path: Path, suffix: str, schema: pa.Schema) -> Iterator[Callable[[list[dict[str, Any]]], None]]:
    import pyarrow as pa
    from pyarrow import csv, parquet

    opened = csv.CSVWriter(path, schema) if suffix == ".csv" else parquet.ParquetWriter(path, schema)
    with opened as writer:
        yield lambda rows: writer.write_table(pa.Table.from_pylist(rows, schema=schema))
