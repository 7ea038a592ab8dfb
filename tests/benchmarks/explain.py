"""What an explanation costs beside SHAP, LightGBM's own contributions and woodelf, and a million sellers streamed.

One model of 300 trees of depth 4 on 60 features, and the same rows for all; two threads for whatever takes many rows.
"""

from __future__ import annotations

import statistics
import time
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
from tests.benchmarks.explain_advice import Asked, advice
from tests.benchmarks.explain_portfolio import Portfolio, write_and_score
from tests.benchmarks.feature_builds import Runner, fresh
from tests.benchmarks.features import Target

TARGETS: Final = {
    "explain.shap_over_single": Target(10, at_most=False),
    "explain.batch_over_contrib": Target(25, at_most=False),
    "explain.batch_over_woodelf": Target(4, at_most=False),
    "explain.largest_difference": Target(1e-12),
    "explain.table_seconds": Target(2),
    "explain.advice_median_ms": Target(20),
    "explain.portfolio_peak_gib": Target(2),
}

THREADS: Final = 2
_EXPLAINED_BEFORE: Final = 500
"""Rows that each explains before it is timed, so that nothing is compiled or set up within."""

_TURNS: Final = 10

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Scale:
    """How large a measurement is."""

    training_rows: int = 20_000
    features: int = 60
    trees: int = 300
    depth: int = 4
    rows: int = 100_000
    single: int = 1_000
    repetitions: int = 3
    advised: int = 500
    sellers: int = 1_000_000


def run(scale: Scale = Scale(), apart: Runner = fresh) -> dict[str, float]:
    """Measure, print, and return the figures under the names of var/bench.json; `apart` runs what is measured apart."""
    figures = apart(kernel, scale)
    _say(f"asking for advice for {scale.advised} sellers")
    rows = rows_of_sellers(scale.training_rows, scale.features, seed=4)
    figures |= apart(advice, Asked(model_text(scale, monotone=True), rows, scale.advised))
    figures |= write_and_score(Portfolio(model_text(scale), scale.features, scale.sellers), apart)
    for name, value in figures.items():
        target = TARGETS.get(name)
        verdict = "" if target is None else f"  {'met' if target.met(value) else 'MISSED'}: {target}"
        print(f"{name:<33}  {value:>10.4g}{verdict}", flush=True)
    return figures


def model_text(scale: Scale, *, monotone: bool = False) -> str:
    """Train the model of all measurements, or one in which risk only rises; the same scale gives the same text."""
    import lightgbm

    matrix = rows_of_sellers(scale.training_rows, scale.features, seed=1)
    known = np.nan_to_num(np.tanh(matrix[:, : scale.features // 3] - 1.0))
    chance = 1.0 / (1.0 + np.exp(2.5 - 0.5 * known.sum(axis=1)))
    bad = np.random.default_rng(2).random(scale.training_rows) < chance
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
    trained = lightgbm.train(parameters, lightgbm.Dataset(matrix, bad.astype(float)), scale.trees)
    return str(trained.model_to_string())


def rows_of_sellers(rows: int, features: int, seed: int) -> Values:
    """Return rows with heavy tails, a tenth of the values missing."""
    rng = np.random.default_rng(seed)
    matrix = rng.lognormal(size=(rows, features))
    matrix[rng.random(matrix.shape) < 0.1] = np.nan
    return matrix


def kernel(scale: Scale) -> dict[str, float]:
    """Measure one row and many, and the making of the tables."""
    text = model_text(scale)
    model = Model.from_text(text)
    verify_tables(model)
    matrix = rows_of_sellers(scale.rows, scale.features, seed=3)
    return _tables(text) | _single(model, matrix[: scale.single]) | _batch(model, matrix, scale.repetitions)


def _tables(text: str) -> dict[str, float]:
    taken = [_seconds(lambda: build(read_trees(text))) for _ in range(3)]
    return {"explain.table_seconds": statistics.median(taken), "explain.table_mib": build(read_trees(text)).mib}


def _single(model: Model, rows: Values) -> dict[str, float]:
    import shap

    _say(f"explaining {len(rows)} rows one at a time")
    explainer = shap.TreeExplainer(model.booster)
    ours, theirs = [], []
    with warnings.catch_warnings():
        # shap announces that it will return binary models' values in another form
        warnings.simplefilter("ignore", UserWarning)
        # in turns, but not row by row: LightGBM's threads stay awake for a while after a call, and would be in the way
        for turn in np.array_split(rows, _TURNS):
            ours += [_seconds(lambda: contributions(model, row[None])) for row in turn]  # noqa: B023 - called at once
            theirs += [_seconds(lambda: explainer.shap_values(row[None])) for row in turn]  # noqa: B023
    single, shap_single = statistics.median(ours), statistics.median(theirs)
    return {
        "explain.single_us": single * 1e6,
        "explain.shap_single_us": shap_single * 1e6,
        "explain.shap_over_single": shap_single / single,
    }


def _batch(model: Model, matrix: Values, repetitions: int) -> dict[str, float]:
    ways: dict[str, Callable[[Values], Values]] = {
        "batch": lambda rows: contributions(model, rows, THREADS).values,
        "contrib": lambda rows: model.booster.predict(rows, pred_contrib=True, num_threads=THREADS)[:, :-1],
        "woodelf": _woodelf(model),
    }
    found = {name: way(matrix[:_EXPLAINED_BEFORE]) for name, way in ways.items()}
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(repetitions):
        _say(f"explaining {len(matrix):,} rows at once, three ways, {number + 1} of {repetitions}")
        for name, way in ways.items():
            taken[name].append(_seconds(lambda: way(matrix)))  # noqa: B023 - called at once
    # each was measured within a minute of the others, so that what else the machine did falls on all
    ratios = {name: float(np.median(np.divide(taken[name], taken["batch"]))) for name in ways}
    return {
        **{f"explain.{name}_rows_per_second": len(matrix) / statistics.median(taken[name]) for name in ways},
        "explain.batch_over_contrib": ratios["contrib"],
        "explain.batch_over_woodelf": ratios["woodelf"],
        "explain.largest_difference": float(np.abs(found["batch"] - found["contrib"]).max()),
        "explain.largest_difference_of_woodelf": float(np.abs(found["woodelf"] - found["contrib"]).max()),
    }


def _woodelf(model: Model) -> Callable[[Values], Values]:
    """Return woodelf's way. It works on one thread, so the rows are shared out to as many of it as we have threads."""
    import pandas as pd
    from woodelf import WoodelfExplainer

    def explain(rows: Values) -> Values:
        frame = pd.DataFrame(rows, columns=list(model.names))
        return np.asarray(explainer.shap_values(frame, verbose=False))

    def shared_out(rows: Values) -> Values:
        with ThreadPoolExecutor(THREADS) as pool:
            return np.concatenate(list(pool.map(explain, np.array_split(rows, THREADS))))

    explainer: Any = WoodelfExplainer(model.booster, feature_perturbation="tree_path_dependent")
    explain(np.zeros((2, len(model.names))))  # it reads the model at the first call
    return shared_out


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _say(sentence: str) -> None:
    print(f"explain: {sentence}", flush=True)
