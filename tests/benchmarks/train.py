"""Time of our fit compared with bare LightGBM on the same matrix and parameters, and time of a whole run."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

import numpy as np
import pandas as pd

from features.catalogue import CATALOGUE, digest
from tests.benchmarks.figures import Target, print_figures, print_step, time_call
from training.columns import Columns
from training.config import TrainConfig
from training.dataset import Dataset
from training.fit import FitConfig, boost
from training.labels import Labels
from training.run import train
from training.sample import Sample

TARGETS: Final = {"train.over_bare_lightgbm": Target(1.3), "train.whole_run_seconds": Target(300)}

_NAMES: Final = [feature.name for feature in CATALOGUE]
_SIGNS: Final = tuple(feature.sign for feature in CATALOGUE)
_INFORMATIVE: Final = 20
"""Features that the outcomes depend on."""


@dataclass(frozen=True)
class Scale:
    """Size of a measurement."""

    rows: int = 260_000
    trees: int = 300
    repetitions: int = 3


def run(scale: Scale = Scale()) -> dict[str, float]:
    """Measure, print, and return the figures under the names of var/bench.json.

    The whole run has no operating data, so it excludes the studies that compute features: fake orders and sellers
    without a loan. Their time depends on a fixed number of sellers, not on the number of rows.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the command does, before LightGBM is imported
    import lightgbm  # noqa: F401 - loading it is no part of a fit

    dataset = rows_of_loans(scale.rows)
    fit_times, bare_times = [], []
    for number in range(scale.repetitions):
        print_step(f"train: fitting {scale.rows:,} rows x {len(_NAMES)} features, {scale.trees} trees, {number + 1}")
        fit_times.append(time_call(lambda: _fit(dataset, scale.trees)))
        bare_times.append(time_call(lambda: _fit_bare(dataset, scale.trees)))
    print_step("train: a whole run, five refits and all evidence with it")
    config = replace(TrainConfig(), fit=FitConfig(max_rounds=scale.trees))
    processor_started = time.process_time()
    whole = time_call(lambda: train(dataset, config, lambda step: print_step(f"train: {step}")))
    figures = {
        "train.fit_seconds": float(np.median(fit_times)),
        "train.bare_lightgbm_seconds": float(np.median(bare_times)),
        # each pair is measured within a minute, so that other load on the machine affects both
        "train.over_bare_lightgbm": float(np.median(np.divide(fit_times, bare_times))),
        "train.whole_run_seconds": whole,
        "train.whole_run_processor_seconds": time.process_time() - processor_started,
    }
    print_figures(figures, TARGETS)
    return figures


def rows_of_loans(rows: int, seed: int = 1) -> Dataset:
    """Return loans over three years whose outcomes follow the signs of some features; heavy tails, a tenth missing."""
    rng = np.random.default_rng(seed)
    matrix = rng.lognormal(size=(rows, len(_NAMES)))
    direction = np.array([sign or 1 for sign in _SIGNS[:_INFORMATIVE]])
    risk = np.tanh(matrix[:, :_INFORMATIVE] - 1.0) @ direction
    bad = rng.random(rows) < 1.0 / (1.0 + np.exp(2.5 - 0.5 * risk))
    matrix[rng.random(matrix.shape) < 0.1] = np.nan
    end = date(2025, 1, 1)
    table = pd.DataFrame(
        {
            "seller_id": [f"S-{number:06}" for number in rng.integers(0, rows // 2, rows)],
            "as_of": pd.Timestamp(end) - pd.to_timedelta(rng.integers(0, 1096, rows), unit="D"),
            "bad": bad,
        }
    )
    segments = pd.DataFrame({"country": rng.choice(["CN", "VN"], rows), "marketplace": rng.choice(["a", "b"], rows)})
    labels = Labels(table, 0, end, "90+ days past due within 12 months")
    features = pd.DataFrame(matrix, columns=_NAMES)
    # enough history for a score, which some studies need
    features["days_since_first_order"] = rng.uniform(100, 2_000, rows)
    features["active_days_365d"] = rng.uniform(20, 365, rows)
    return Dataset(table, features, segments, labels, digest(CATALOGUE), "generated", ("orders", "refunds", "traffic"))


def _fit(dataset: Dataset, trees: int) -> None:
    sample = Sample.of_dataset(dataset)
    sample.columns.merge(boost(sample, FitConfig(), trees))


def _fit_bare(dataset: Dataset, trees: int) -> None:
    import lightgbm

    plain = Columns(tuple(_NAMES), tuple(range(len(_NAMES))), _SIGNS)
    data = lightgbm.Dataset(dataset.features.to_numpy(), dataset.rows["bad"].astype(float))
    lightgbm.train(FitConfig().parameters(plain, len(dataset.rows), int(dataset.rows["bad"].sum())), data, trees)
