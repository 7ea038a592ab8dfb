"""The explanation of each row: exact SHAP values, by tables or by LightGBM itself, held to the model's margin.

Values are those of the path-dependent game: what a feature the row does not reveal would be, the trees answer by
the share of the training population that went each way. So the reference is that population. How they are found
stands in `scoring.kernel`.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scoring.errors import ExplanationError, TreeError, VectorError
from scoring.kernel.probes import probe_rows
from scoring.kernel.tables import Tables
from scoring.model import Model

_TOLERANCE: Final = 1e-6
"""How far contributions may be from the model's own margin, in log-odds: far above rounding, far below a point."""

_FEW: Final = 64
"""Up to so many rows are explained one by one: a block would cost as much as if it were full."""

_PROBES: Final = 256
_PROBED_BY_FEATURE: Final = 16
"""On so many rows made for it tables must meet LightGBM's margins, on the first of them its contributions too."""


class Contributions(NamedTuple):
    """SHAP values in raw log-odds of default: `base` is one number per model, `values` has shape (rows, features)."""

    base: float
    values: NDArray[np.float64]


def contributions(model: Model, matrix: NDArray[np.float64], threads: int = 1) -> Contributions:
    """Explain every row: `base + values[i].sum()` is the raw margin of row i.

    A row's values are the same, to the bit, alone, in any batch, at any place and on any number of threads.

    Args:
        model: the model to explain.
        matrix: shape (rows, features) in the model's order, NaN where missing.
        threads: among which many rows are shared out, 1 or more.

    Raises:
        VectorError: the rows have not a value for each feature of the model.
        ExplanationError: a contribution is not finite, or they do not add up to the margin.
    """
    if matrix.shape[1] != len(model.names):
        raise VectorError(f"A row has {matrix.shape[1]} values; the model needs {len(model.names)}.")
    if model.tables is None:
        base, values, margins = _by_lightgbm(model, matrix)
    else:
        rows = np.ascontiguousarray(matrix, dtype=np.float64)
        few = len(rows) <= _FEW
        values, margins = _one_by_one(model.tables, rows) if few else _many(model.tables, rows, threads)
        base = model.tables.base
    _require_sums(base + values.sum(axis=1), margins)
    return Contributions(base, values)


def prove(model: Model) -> None:
    """Check that the tables, where they explain the model, say what LightGBM says; and compile what one row needs.

    Every row is held to its margin later; here the margins are held to LightGBM's own, on rows on both sides of the
    model's thresholds, with values missing, and so are the contributions of some. Done once, when a bundle is loaded,
    so that no request waits for the compiler afterwards.

    Raises:
        TreeError: they disagree.
    """
    if model.tables is None:
        return
    rows = probe_rows(model.trees, len(model.names), _PROBES)
    values, margins = _one_by_one(model.tables, rows)
    ours = np.column_stack([values, np.full(_PROBES, model.tables.base)])[:_PROBED_BY_FEATURE]
    theirs = np.asarray(model.booster.predict(rows[:_PROBED_BY_FEATURE], pred_contrib=True))
    gaps = (ours - theirs, margins - np.asarray(model.booster.predict(rows, raw_score=True)))
    widest = max(float(np.abs(gap).max()) for gap in gaps)
    if not widest <= _TOLERANCE:
        raise TreeError(
            f"The tables of the model miss what LightGBM says by {widest:.3g}, so it cannot be explained; it was not "
            "made by a version of LightGBM that is known here, or was altered."
        )


def _one_by_one(tables: Tables, rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from scoring.kernel.compiled import row_by_row

    values, margins = np.zeros(rows.shape), np.zeros(len(rows))
    row_by_row(tables, rows, values, margins)
    return values, margins


def _many(tables: Tables, rows: NDArray[np.float64], threads: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from scoring.kernel.compiled import BLOCK, in_blocks

    values, margins = np.empty(rows.shape), np.empty(len(rows))
    span = -(-len(rows) // (threads * BLOCK)) * BLOCK
    parts = [slice(start, start + span) for start in range(0, len(rows), span)]
    with ThreadPoolExecutor(len(parts)) as pool:
        list(pool.map(lambda part: in_blocks(tables, rows[part], values[part], margins[part]), parts))
    return values, margins


def _by_lightgbm(model: Model, matrix: NDArray[np.float64]) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    if len(matrix) == 0:
        return 0.0, np.empty(matrix.shape), np.empty(0)
    explained = np.asarray(model.booster.predict(matrix, pred_contrib=True), dtype=np.float64)
    margins = np.asarray(model.booster.predict(matrix, raw_score=True), dtype=np.float64)
    return float(explained[0, -1]), np.ascontiguousarray(explained[:, :-1]), margins


def _require_sums(sums: NDArray[np.float64], margins: NDArray[np.float64]) -> None:
    widest = np.abs(sums - margins).max(initial=0.0)
    # NaN is not within it either
    if widest <= _TOLERANCE:
        return
    if not np.isfinite(widest):
        raise ExplanationError("The model gave a contribution that is not a finite number, so there is no score.")
    raise ExplanationError(f"Contributions miss the model's margin by {widest:.3g}, so there is no score.")
