"""Cost of explanations compared with SHAP, LightGBM's own contributions and woodelf, and of scoring a million sellers.

All use one model of 300 trees of depth 4 on 60 features, and the same rows; calls for many rows use two threads.
"""

from __future__ import annotations

import statistics
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scoring.explain import contributions, verify_tables
from scoring.kernel.tables import build
from scoring.kernel.trees import read_trees
from scoring.model import Model
from tests.benchmarks.explain_bundle import AdviceTask, Portfolio, measure_advice, write_and_score
from tests.benchmarks.feature_builds import Runner, run_in_new_process
from tests.benchmarks.figures import Target, print_figures, print_step, time_call

TARGETS: Final = {
    "explain.shap_over_single": Target(10, at_most=False),
    "explain.batch_over_contrib": Target(25, at_most=False),
    "explain.batch_over_woodelf": Target(4, at_most=False),
    "explain.largest_difference": Target(1e-12),
    "explain.table_seconds": Target(2),
    "explain.advice_median_ms": Target(20),
    "explain.portfolio_sellers_per_second": Target(60_000, at_most=False),
    "explain.portfolio_peak_gib": Target(2),
}

THREADS: Final = 2
_WARM_UP_ROWS: Final = 500
"""Rows that each method explains before it is timed, so that compilation is excluded."""

_TURNS: Final = 10

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Scale:
    """Size of a measurement."""

    training_rows: int = 20_000
    features: int = 60
    trees: int = 300
    depth: int = 4
    rows: int = 100_000
    single: int = 1_000
    repetitions: int = 3
    advised: int = 500
    sellers: int = 1_000_000


def run(scale: Scale = Scale(), run_task: Runner = run_in_new_process) -> dict[str, float]:
    """Measure, print and return the figures under the names of var/bench.json; `run_task` runs each part."""
    figures = run_task(kernel, scale)
    print_step(f"explain: computing advice for {scale.advised} sellers")
    rows = rows_of_sellers(scale.training_rows, scale.features, seed=4)
    figures |= run_task(measure_advice, AdviceTask(model_text(scale, monotone=True), rows, scale.advised))
    figures |= write_and_score(Portfolio(model_text(scale), scale.features, scale.sellers), run_task)
    print_figures(figures, TARGETS)
    return figures


def model_text(scale: Scale, *, monotone: bool = False) -> str:
    """Train the model of all measurements, or one with monotone features; the same scale gives the same text."""
    import lightgbm

    matrix = rows_of_sellers(scale.training_rows, scale.features, seed=1)
    risks = np.nan_to_num(np.tanh(matrix[:, : scale.features // 3] - 1.0))
    probability = 1.0 / (1.0 + np.exp(2.5 - 0.5 * risks.sum(axis=1)))
    bad = np.random.default_rng(2).random(scale.training_rows) < probability
    parameters = {
        "objective": "binary",
        "max_depth": scale.depth,
        "num_leaves": 2**scale.depth,
        "min_data_in_leaf": 40,
        "learning_rate": 0.05,
        "deterministic": True,
        "num_threads": THREADS,
        "verbosity": -1,
        "seed": 1,
    } | ({"monotone_constraints": [1] * scale.features} if monotone else {})
    booster = lightgbm.train(parameters, lightgbm.Dataset(matrix, bad.astype(float)), scale.trees)
    return str(booster.model_to_string())


def rows_of_sellers(rows: int, features: int, seed: int) -> Values:
    """Return rows with heavy tails, a tenth of the values missing."""
    rng = np.random.default_rng(seed)
    matrix = rng.lognormal(size=(rows, features))
    matrix[rng.random(matrix.shape) < 0.1] = np.nan
    return matrix


def kernel(scale: Scale) -> dict[str, float]:
    """Measure one row, many rows, and the computation of the tables."""
    text = model_text(scale)
    model = Model.from_text(text)
    verify_tables(model)
    matrix = rows_of_sellers(scale.rows, scale.features, seed=3)
    return _tables(text) | _single(model, matrix[: scale.single]) | _batch(model, matrix, scale.repetitions)


def _tables(text: str) -> dict[str, float]:
    seconds = [time_call(lambda: build(read_trees(text))) for _ in range(3)]
    return {"explain.table_seconds": statistics.median(seconds), "explain.table_mib": build(read_trees(text)).mib}


def _single(model: Model, rows: Values) -> dict[str, float]:
    import shap

    print_step(f"explain: explaining {len(rows)} rows one at a time")
    explainer = shap.TreeExplainer(model.booster)
    kernel_times, shap_times = [], []
    with warnings.catch_warnings():
        # shap warns that the format of values of binary models will change
        warnings.simplefilter("ignore", UserWarning)
        # in turns, but not row by row: LightGBM's threads stay active for a while after a call
        for turn in np.array_split(rows, _TURNS):
            kernel_times += [time_call(lambda: contributions(model, row[None])) for row in turn]  # noqa: B023 - called at once
            shap_times += [time_call(lambda: explainer.shap_values(row[None])) for row in turn]  # noqa: B023
    single, shap_single = statistics.median(kernel_times), statistics.median(shap_times)
    return {
        "explain.single_us": single * 1e6,
        "explain.shap_single_us": shap_single * 1e6,
        "explain.shap_over_single": shap_single / single,
    }


def _batch(model: Model, matrix: Values, repetitions: int) -> dict[str, float]:
    methods: dict[str, Callable[[Values], Values]] = {
        "batch": lambda rows: contributions(model, rows, THREADS).values,
        "contrib": lambda rows: model.booster.predict(rows, pred_contrib=True, num_threads=THREADS)[:, :-1],
        "woodelf": _woodelf(model),
    }
    results = {name: method(matrix[:_WARM_UP_ROWS]) for name, method in methods.items()}
    times: dict[str, list[float]] = {name: [] for name in methods}
    for number in range(repetitions):
        print_step(f"explain: explaining {len(matrix):,} rows at once, three methods, {number + 1} of {repetitions}")
        for name, method in methods.items():
            times[name].append(time_call(lambda: method(matrix)))  # noqa: B023 - called at once
    # all are measured within a minute, so that other load on the machine affects all of them
    ratios = {name: float(np.median(np.divide(times[name], times["batch"]))) for name in methods}
    return {
        **{f"explain.{name}_rows_per_second": len(matrix) / statistics.median(times[name]) for name in methods},
        "explain.batch_over_contrib": ratios["contrib"],
        "explain.batch_over_woodelf": ratios["woodelf"],
        "explain.largest_difference": float(np.abs(results["batch"] - results["contrib"]).max()),
        "explain.largest_difference_of_woodelf": float(np.abs(results["woodelf"] - results["contrib"]).max()),
    }


def _woodelf(model: Model) -> Callable[[Values], Values]:
    """Return woodelf's method. It uses one thread, so the rows are divided among several explainers."""
    import pandas as pd
    from woodelf import WoodelfExplainer

    def explain(rows: Values) -> Values:
        frame = pd.DataFrame(rows, columns=list(model.names))
        return np.asarray(explainer.shap_values(frame, verbose=False))

    def in_threads(rows: Values) -> Values:
        with ThreadPoolExecutor(THREADS) as pool:
            return np.concatenate(list(pool.map(explain, np.array_split(rows, THREADS))))

    explainer: Any = WoodelfExplainer(model.booster, feature_perturbation="tree_path_dependent")
    explain(np.zeros((2, len(model.names))))  # the first call reads the model
    return in_threads
