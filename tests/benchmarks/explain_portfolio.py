"""Scoring a million sellers: vectors are stored, then read, scored and written to a file in a separate process."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

import numpy as np

from api.scores.export import write_portfolio
from features.store.vectors import Snapshot, VectorStore
from scoring import Bundle, BundleParts, Policy, Reference, pack
from scoring.model import Calibration
from scoring.scale import Scale
from scoring.sheet import FeatureEntry, FeatureSheet
from tests.benchmarks.feature_builds import Runner, peak_gib
from tests.statements import reason_catalogue
from training.package import BANDS

_AS_OF: Final = date(2026, 1, 31)
_CATALOGUE: Final = "sha256:" + "c" * 64
_CHUNK: Final = 10_000
_GROUPS: Final = 12
_STEPS: Final = 10
"""Number of progress messages."""


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
        _print_step(f"storing vectors of {portfolio.sellers:,} sellers")
        snapshot = Snapshot(_AS_OF, "generated", _CATALOGUE, {"orders": _AS_OF})
        VectorStore(folder / "vectors.db").replace(snapshot, _vectors(portfolio))
        _print_step("scoring and explaining all of them")
        return run_task(score, portfolio, folder)


def score(portfolio: Portfolio, folder: Path) -> dict[str, float]:
    """Score as `sellerscore score-portfolio` does, and return the rate and the peak memory."""
    bundle = Bundle.from_files(pack(_parts(portfolio)))
    started = time.perf_counter()

    def progress(done: int) -> None:
        if done * _STEPS % portfolio.sellers < _STEPS * 2_000:
            _print_step(f"{done:,} sellers after {time.perf_counter() - started:.0f} s")

    vectors = VectorStore(folder / "vectors.db").all_latest()
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


def _parts(portfolio: Portfolio) -> BundleParts:
    groups = [f"group_{number}" for number in range(_GROUPS)]
    names = [f"Column_{index}" for index in range(portfolio.features)]
    entries = tuple(
        FeatureEntry(name, name, "ratio", 1, True, False, groups[index % _GROUPS], 1.0, tables=("orders",))
        for index, name in enumerate(names)
    )
    return BundleParts(
        portfolio.model_text,
        FeatureSheet(_CATALOGUE, entries, (), ("orders",), 7),
        Policy(Calibration(1.0, 0.0), Scale(), BANDS, "90+ days past due within 12 months"),
        reason_catalogue(entries),
        Reference("generated rows", {}, {}, "tables"),
    )


def _print_step(step: str) -> None:
    print(f"explain: {step}", flush=True)
