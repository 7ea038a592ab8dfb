"""Explanation of each row: exact SHAP values, from tables or from LightGBM, checked against the model's margin.

The values are path-dependent SHAP values: for a feature outside the coalition, the trees average over both branches,
weighted by the share of training rows in each. The reference is therefore the training population. `scoring.kernel`
describes the computation.
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
"""Allowed difference of contributions from the model's margin, in log-odds: far above rounding, far below a point."""

_MAX_SINGLE_ROWS: Final = 64
"""Up to this number of rows are explained one by one, because a partly filled block costs as much as a full one."""

_PROBES: Final = 256
_CONTRIBUTION_PROBES: Final = 16
"""Probe rows on which the tables' margins are compared with LightGBM's; on the first 16, the contributions as well."""


class Contributions(NamedTuple):
    """SHAP values in raw log-odds of default: `base` is one number per model, `values` has shape (rows, features)."""

    base: float
    values: NDArray[np.float64]


def contributions(model: Model, matrix: NDArray[np.float64], threads: int = 1) -> Contributions:
    """Explain every row: `base + values[i].sum()` is the raw margin of row i.

    A row's values are equal to the bit alone, in any batch, at any position and with any number of threads.

    Args:
        model: the model to explain.
        matrix: shape (rows, features) in the model's order, NaN if missing.
        threads: number of threads for many rows, 1 or more.

    Raises:
        VectorError: the rows do not have one value for each feature of the model.
        ExplanationError: a contribution is not finite, or the contributions do not add up to the margin.
    """
    if matrix.shape[1] != len(model.names):
        raise VectorError(f"A row has {matrix.shape[1]} values; the model needs {len(model.names)}.")
    if model.tables is None:
        base, values, margins = _by_lightgbm(model, matrix)
    else:
        rows = np.ascontiguousarray(matrix, dtype=np.float64)
        single = len(rows) <= _MAX_SINGLE_ROWS
        values, margins = _explain_single(model.tables, rows) if single else _explain_many(model.tables, rows, threads)
        base = model.tables.base
    _require_sums(base + values.sum(axis=1), margins)
    return Contributions(base, values)


def margin_changes(
    model: Model, matrix: NDArray[np.float64], values: NDArray[np.float64], chosen: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return by how much the raw margin of a row changes if one feature takes another value, for chosen features.

    Only the parts of the tables that depend on the feature are read. A row's results do not depend on the other rows.

    Args:
        model: the model.
        matrix: shape (rows, features) in the model's order, NaN if missing.
        values: the value that each feature takes, shape (features,).
        chosen: the features to change one at a time in each row, shape (rows, features).

    Returns:
        The changes where `chosen`, in the order of `numpy.nonzero(chosen)`.

    Example: -0.21 for the fourth feature of a row whose margin is lower by 0.21 with the fourth of `values`.
    """
    rows, features = np.nonzero(chosen)
    if model.tables is not None:
        from scoring.kernel.compiled import change_margins

        changes = np.empty(matrix.shape)
        change_margins(model.tables, np.ascontiguousarray(matrix, dtype=np.float64), values, chosen, changes)
        return changes[rows, features]
    if len(rows) == 0:
        return np.empty(0)
    changed = matrix[rows]
    changed[np.arange(len(rows)), features] = values[features]
    before, after = (np.asarray(model.booster.predict(each, raw_score=True)) for each in (matrix, changed))
    differences: NDArray[np.float64] = after - before[rows]
    return differences


def verify_tables(model: Model) -> None:
    """Check a model's tables, if it has any, against LightGBM, and compile the code that a request needs.

    Later, each row's contributions are checked against the margin from the tables. Here this margin is checked against
    LightGBM's on rows on both sides of the model's thresholds and with missing values, also after a change of one
    feature; the contributions of some rows are compared too. The check runs once, when a bundle is loaded, so that no
    request waits for the compiler.

    Raises:
        TreeError: tables and LightGBM differ.
    """
    if model.tables is None:
        return
    rows = probe_rows(model.trees, len(model.names), _PROBES)
    values, margins = _explain_single(model.tables, rows)
    actual = np.column_stack([values, np.full(_PROBES, model.tables.base)])[:_CONTRIBUTION_PROBES]
    expected = np.asarray(model.booster.predict(rows[:_CONTRIBUTION_PROBES], pred_contrib=True))
    from_lightgbm = np.asarray(model.booster.predict(rows, raw_score=True))
    differences = (actual - expected, margins - from_lightgbm, _differences_of_changes(model, rows, from_lightgbm))
    largest = max(float(np.abs(difference).max()) for difference in differences)
    if not largest <= _TOLERANCE:
        raise TreeError(
            f"The tables of the model differ from LightGBM by {largest:.3g}, so the model cannot be explained. It was "
            "altered, or written by an unsupported version of LightGBM."
        )


def _differences_of_changes(
    model: Model, rows: NDArray[np.float64], margins: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the differences from LightGBM's margins after a change of one feature, another one in each row."""
    values, numbers = rows[-1], np.arange(len(rows))
    features = numbers % rows.shape[1]
    chosen = np.zeros(rows.shape, dtype=bool)
    chosen[numbers, features] = True
    changed = rows.copy()
    changed[numbers, features] = values[features]
    after: NDArray[np.float64] = np.asarray(model.booster.predict(changed, raw_score=True))
    return margins + margin_changes(model, rows, values, chosen) - after


def _explain_single(tables: Tables, rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from scoring.kernel.compiled import explain_rows

    values, margins = np.zeros(rows.shape), np.zeros(len(rows))
    explain_rows(tables, rows, values, margins)
    return values, margins


def _explain_many(
    tables: Tables, rows: NDArray[np.float64], threads: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from scoring.kernel.compiled import BLOCK, explain_blocks

    values, margins = np.empty(rows.shape), np.empty(len(rows))
    span = -(-len(rows) // (threads * BLOCK)) * BLOCK
    parts = [slice(start, start + span) for start in range(0, len(rows), span)]
    with ThreadPoolExecutor(len(parts)) as pool:
        list(pool.map(lambda part: explain_blocks(tables, rows[part], values[part], margins[part]), parts))
    return values, margins


def _by_lightgbm(model: Model, matrix: NDArray[np.float64]) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    if len(matrix) == 0:
        return 0.0, np.empty(matrix.shape), np.empty(0)
    explained = np.asarray(model.booster.predict(matrix, pred_contrib=True), dtype=np.float64)
    margins = np.asarray(model.booster.predict(matrix, raw_score=True), dtype=np.float64)
    return float(explained[0, -1]), np.ascontiguousarray(explained[:, :-1]), margins


def _require_sums(sums: NDArray[np.float64], margins: NDArray[np.float64]) -> None:
    largest = np.abs(sums - margins).max(initial=0.0)
    # false for NaN too
    if largest <= _TOLERANCE:
        return
    if not np.isfinite(largest):
        raise ExplanationError("The model gave a contribution that is not a finite number, so there is no score.")
    raise ExplanationError(f"The contributions differ from the model's margin by {largest:.3g}, so there is no score.")
