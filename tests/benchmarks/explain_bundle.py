"""Benchmarks of a whole bundle: advice for a seller, and scores of a million sellers in a separate process."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from api.scores.portfolio import write_portfolio
from features.store.vectors import Snapshot, VectorStore
from scoring import AdviceVerdict, Bundle, BundleParts, Policy, Reference, Vector, advise, pack
from scoring.model import Calibration
from scoring.scale import Scale
from scoring.sheet import FeatureEntry, FeatureSheet, Reach, Sizes
from tests.benchmarks.feature_builds import Runner, peak_gib
from tests.benchmarks.figures import print_step
from tests.statements import reason_catalogue
from training.package import BANDS

_AS_OF: Final = date(2026, 1, 31)
_CATALOGUE: Final = "sha256:" + "c" * 64
_MOVABLE: Final = 10
"""The maximum: advice tries all 1,023 sets of them. The catalogue has half as many."""

_WARM: Final = 5
_CHUNK: Final = 10_000
_BLOCK: Final = 4_096
_STEPS: Final = 10
"""Number of progress messages."""


def _bundle(model_text: str, groups: int, reaches: Sequence[tuple[Reach, ...]], sizes: Sizes | None = None) -> Bundle:
    """Pack a model whose features, one for each reach, are in this number of reason groups."""
    entries = tuple(_entry(f"Column_{index}", f"group_{index % groups}", reach) for index, reach in enumerate(reaches))
    parts = BundleParts(
        model_text,
        FeatureSheet(_CATALOGUE, entries, (), ("orders",), 7, sizes),
        Policy(Calibration(1.0, 0.0), Scale(), BANDS, "90+ days past due within 12 months"),
        reason_catalogue(entries),
        Reference("generated rows", {}, {}, "tables"),
    )
    return Bundle.from_files(pack(parts))


def _entry(name: str, group: str, reach: tuple[Reach, ...]) -> FeatureEntry:
    return FeatureEntry(name, name, "ratio", 1, True, False, group, 1.0, tables=("orders",), reach=reach)


@dataclass(frozen=True)
class AdviceTask:
    """The model's text, rows of sellers, and the number of sellers to advise."""

    model_text: str
    rows: NDArray[np.float64]
    sellers: int


def measure_advice(task: AdviceTask) -> dict[str, float]:
    """Compute advice for sellers who are not yet in the best band, and return the times."""
    quantiles = np.nanquantile(task.rows, (0.1, 0.5), axis=0).T.tolist()
    reaches = [(Reach(low, middle - low),) if at < _MOVABLE else () for at, (low, middle) in enumerate(quantiles)]
    bundle = _bundle(task.model_text, 10, reaches, Sizes(f"Column_{len(reaches) - 1}", ()))
    sellers = [
        Vector("S-1", _AS_OF, _AS_OF, {"orders": _AS_OF}, _CATALOGUE, tuple(None if np.isnan(v) else v for v in row))
        for row in task.rows[: 3 * task.sellers].tolist()
    ]
    for vector in sellers[:_WARM]:
        advise(bundle, vector)
    times, with_advice = [], 0
    for vector in sellers:
        started = time.perf_counter()
        result = advise(bundle, vector)
        seconds = time.perf_counter() - started
        if result.verdict is not AdviceVerdict.REACHED:
            times.append(seconds)
            with_advice += result.verdict is AdviceVerdict.FOUND
        if len(times) == task.sellers:
            break
    return {
        "explain.advice_median_ms": float(np.median(times)) * 1e3,
        "explain.advice_p99_ms": float(np.percentile(times, 99)) * 1e3,
        "explain.advice_found_share": with_advice / len(times),
    }


@dataclass(frozen=True)
class Portfolio:
    """The model's text, the number of features and the number of sellers to score."""

    model_text: str
    features: int
    sellers: int


def write_and_score(portfolio: Portfolio, run_task: Runner) -> dict[str, float]:
    """Store vectors of the sellers, score and explain all of them in a separate process, and return the figures."""
    with tempfile.TemporaryDirectory(prefix="sellerscore-explain-") as name:
        folder = Path(name)
        print_step(f"explain: storing vectors of {portfolio.sellers:,} sellers")
        snapshot = Snapshot(_AS_OF, "generated", _CATALOGUE, {"orders": _AS_OF})
        VectorStore(folder / "vectors.db").replace(snapshot, _vectors(portfolio))
        print_step("explain: scoring and explaining all of them")
        return run_task(score, portfolio, folder)


def score(portfolio: Portfolio, folder: Path) -> dict[str, float]:
    """Score as `sellerscore score-portfolio` does, and return the rate and the peak memory."""
    bundle = _bundle(portfolio.model_text, 12, [()] * portfolio.features)
    started = time.perf_counter()

    def progress(done: int) -> None:
        if done * _STEPS % portfolio.sellers < _STEPS * _BLOCK:
            print_step(f"explain: {done:,} sellers after {time.perf_counter() - started:.0f} s")

    vectors = VectorStore(folder / "vectors.db").latest_blocks(_BLOCK)
    report = write_portfolio(bundle, vectors, _AS_OF, folder / "scores.parquet", progress)
    seconds = time.perf_counter() - started
    return {
        "explain.portfolio_sellers": float(report.summing),
        "explain.portfolio_sellers_per_second": report.sellers / seconds,
        "explain.portfolio_peak_gib": peak_gib(),
    }


def _vectors(portfolio: Portfolio) -> Iterator[tuple[str, tuple[float | None, ...]]]:
    rng = np.random.default_rng(5)
    for start in range(0, portfolio.sellers, _CHUNK):
        matrix = np.round(rng.lognormal(size=(min(_CHUNK, portfolio.sellers - start), portfolio.features)), 4)
        hidden = rng.random(matrix.shape) < 0.1
        for index, (row, missing) in enumerate(zip(matrix.tolist(), hidden.tolist(), strict=True)):
            values = (None if is_missing else value for value, is_missing in zip(row, missing, strict=True))
            yield f"S-{start + index:07}", tuple(values)
