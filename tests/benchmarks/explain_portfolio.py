"""A million sellers: vectors stored, then streamed through the one assess into a file, in a process of its own."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

import numpy as np

from api.portfolio import write_portfolio
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
_AT_ONCE: Final = 10_000
_GROUPS: Final = 12
_STEPS: Final = 10
"""How often progress is said."""


@dataclass(frozen=True)
class Portfolio:
    """The model's text and number of features, and how many sellers to score."""

    model_text: str
    features: int
    sellers: int


def write_and_score(portfolio: Portfolio, apart: Runner) -> dict[str, float]:
    """Store vectors of so many sellers, score and explain all of them apart, and return what that took."""
    with tempfile.TemporaryDirectory(prefix="sellerscore-explain-") as name:
        folder = Path(name)
        _say(f"storing vectors of {portfolio.sellers:,} sellers")
        snapshot = Snapshot(_AS_OF, "made", _CATALOGUE, {"orders": _AS_OF})
        VectorStore(folder / "vectors.db").replace(snapshot, _vectors(portfolio))
        _say("scoring and explaining all of them")
        return apart(score, portfolio, folder)


def score(portfolio: Portfolio, folder: Path) -> dict[str, float]:
    """Score as `sellerscore score-portfolio` does, and say how much memory this process held at most."""
    bundle = Bundle.from_files(pack(_parts(portfolio)))
    began = time.perf_counter()

    def progress(done: int) -> None:
        if done * _STEPS % portfolio.sellers < _STEPS * 2_000:
            _say(f"{done:,} sellers after {time.perf_counter() - began:.0f} s")

    stored = VectorStore(folder / "vectors.db").all_latest()
    report = write_portfolio(bundle, stored, _AS_OF, folder / "scores.parquet", progress)
    seconds = time.perf_counter() - began
    return {
        "explain.portfolio_sellers": float(report.summing),
        "explain.portfolio_sellers_per_second": report.sellers / seconds,
        "explain.portfolio_peak_gib": peak_gib(),
    }


def _vectors(portfolio: Portfolio) -> Iterator[tuple[str, tuple[float | None, ...]]]:
    rng = np.random.default_rng(5)
    for start in range(0, portfolio.sellers, _AT_ONCE):
        matrix = np.round(rng.lognormal(size=(min(_AT_ONCE, portfolio.sellers - start), portfolio.features)), 4)
        hidden = rng.random(matrix.shape) < 0.1
        for place, (row, missing) in enumerate(zip(matrix.tolist(), hidden.tolist(), strict=True)):
            values = (None if gone else value for value, gone in zip(row, missing, strict=True))
            yield f"S-{start + place:07}", tuple(values)


def _parts(portfolio: Portfolio) -> BundleParts:
    groups = [f"group_{number}" for number in range(_GROUPS)]
    names = [f"Column_{place}" for place in range(portfolio.features)]
    entries = tuple(
        FeatureEntry(name, name, "ratio", 1, True, False, groups[place % _GROUPS], 1.0, tables=("orders",))
        for place, name in enumerate(names)
    )
    return BundleParts(
        portfolio.model_text,
        FeatureSheet(_CATALOGUE, entries, (), ("orders",), 7),
        Policy(Calibration(1.0, 0.0), Scale(), BANDS, "90+ days past due within 12 months"),
        reason_catalogue(entries),
        Reference("made rows", {}, {}, "tables"),
    )


def _say(sentence: str) -> None:
    print(f"explain: {sentence}", flush=True)
