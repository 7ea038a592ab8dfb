"""Feature selection by stability: keep columns that rank loans in their declared direction in every period.

A column whose direction holds in one season and reverses in the next ranks well out of fold and badly out of time.
Selected are columns that rank better than chance over the periods of the training rows, by the lower end of an interval
that includes how far the periods differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from training.dataset import SELLER_LOANS
from training.evidence.limits import quantity
from training.evidence.study import Finding
from training.sample import Sample
from training.table_directions import FALLING, RISING

if TYPE_CHECKING:
    import pandas as pd

MOST_PERIODS: Final = 8
MIN_BAD: Final = 10
"""Minimum number of bad loans in a period. A Gini of fewer is noise."""

MIN_SELECTED: Final = 3
"""Number of strongest columns that are always selected: with few bad loans, hardly any column ranks beyond chance."""


@dataclass(frozen=True)
class Stability:
    """How each column ranks loans in its direction.

    Attributes:
        gini: mean Gini over the periods in the declared direction; below 0 the column ranks the wrong way.
        error: standard error of the mean, from how far periods differ, and at least that of chance for the number of
            bad loans.
        selected: indexes of the selected columns.
        periods: number of periods.
        threshold: number of standard errors by which the mean Gini must exceed 0; 0 selects every column.
    """

    gini: NDArray[np.float64]
    error: NDArray[np.float64]
    selected: tuple[int, ...]
    periods: int
    threshold: float


def measure_stability(sample: Sample, threshold: float) -> Stability:
    """Return how each column ranks the training rows, and which columns are selected.

    Both columns of a feature without a declared direction are always selected: if its risk is high at both ends, it
    ranks loans in neither direction.

    Args:
        sample: the training rows; test rows take no part.
        threshold: number of standard errors by which the mean Gini must exceed 0; 0 selects every column.

    Example: with 1.645, a column of Gini 0.20 and error 0.10 is selected, one of 0.15 and 0.10 is not.
    """
    periods = sample.periods(MOST_PERIODS, MIN_BAD) or [np.arange(len(sample.bad))]
    ginis = np.array([_ginis(sample.take(rows)) for rows in periods])
    # by chance alone, the Gini has the standard deviation 1 / sqrt(3 * bad) if good loans are many
    chance = 1.0 / np.sqrt(3.0 * float(sample.bad.sum()))
    between = ginis.std(axis=0, ddof=1) / np.sqrt(len(periods)) if len(periods) > 1 else np.zeros(ginis.shape[1])
    mean, error = ginis.mean(axis=0), np.maximum(between, chance)
    is_selected = (mean > threshold * error) | _undirected(sample)
    is_selected[np.argsort(-(mean - threshold * error), kind="stable")[:MIN_SELECTED]] = True
    selected = np.flatnonzero(is_selected) if threshold > 0 else np.arange(len(mean))
    return Stability(mean, error, tuple(selected.tolist()), len(periods), threshold)


def _undirected(sample: Sample) -> NDArray[np.bool_]:
    """Return which columns belong to a feature without a declared direction, which has two columns."""
    feature_of = np.array(sample.columns.feature_of, dtype=np.int64)
    undirected: NDArray[np.bool_] = np.bincount(feature_of)[feature_of] > 1
    return undirected


def _ginis(rows: Sample) -> NDArray[np.float64]:
    """Return the Gini of each column in its direction; 0 if all outcomes are equal."""
    from scipy.stats import rankdata

    values, bad = rows.values(), rows.bad > 0
    count = int(bad.sum())
    if not 0 < count < len(bad):
        return np.zeros(values.shape[1])
    ranks = rankdata(values, axis=0)
    area = (ranks[bad].sum(axis=0) - count * (count + 1) / 2) / (count * (len(bad) - count))
    ginis: NDArray[np.float64] = np.array(rows.columns.signs) * (2.0 * area - 1.0)
    return ginis


def stability_finding(sample: Sample, stability: Stability) -> Finding:
    """Return the selection and its reasons for the model card."""
    table = _table(sample, stability)
    selected = int(table["kept"].sum())
    return Finding(
        name="stability",
        title="Selection of features",
        summary=" ".join(_sentences(sample, stability)),
        figures={"kept": selected, "dropped": len(table) - selected, "periods": stability.periods},
        tables={"Features": table},
    )


def _sentences(sample: Sample, stability: Stability) -> Iterator[str]:
    columns, selected, periods = len(sample.columns.feature_of), len(stability.selected), stability.periods
    rows = sample.words.rows
    if stability.threshold == 0:
        yield (
            f"All {quantity(columns, 'column')} that a model may read are selected: the threshold of the selection is 0"
            f"{' (fit.stability)' if sample.words == SELLER_LOANS else ', because the evidence covers every column'}."
        )
    else:
        over = f"over {periods} periods of the training {rows}" if periods > 1 else f"over all training {rows}"
        yield (
            f"Of {quantity(columns, 'column')} that a model may read, {selected} {'is' if selected == 1 else 'are'} "
            f"selected: {over} they rank in their declared direction by more than chance ({stability.threshold:g} "
            f"standard errors){_exceptions(sample, stability)}."
        )
    if periods == 1:
        yield f"Stability over time cannot be measured: the training {rows} make one period only."
    elif stability.threshold > 0 and selected < columns:
        yield f"The other columns would rank {rows} by what held in one period only, or by chance."
    yield from _explain_columns(sample)


def _exceptions(sample: Sample, stability: Stability) -> str:
    """Return how many columns are selected although they do not rank beyond chance; empty if there are none."""
    undirected, selected = _undirected(sample), np.array(stability.selected, dtype=np.int64)
    weak = stability.gini[selected] <= stability.threshold * stability.error[selected]
    free, strongest = int((weak & undirected[selected]).sum()), int((weak & ~undirected[selected]).sum())
    exceptions = [
        *([f"{free} that belong to a feature without a declared direction"] if free else []),
        *([f"{strongest} of the {MIN_SELECTED} strongest, which are always selected"] if strongest else []),
    ]
    return f". Exceptions are {' and '.join(exceptions)}" if exceptions else ""


def _explain_columns(sample: Sample) -> Iterator[str]:
    """Yield why there are more columns than features, if there are."""
    features = [sample.columns.features[index] for index in sample.columns.feature_of]
    names = set(features)
    pairs = sum(name.removesuffix(RISING) + FALLING in names for name in names if name.endswith(RISING))
    double = len(features) - len(names)
    if double:
        yield (
            f"The columns come from {quantity(len(names), 'feature')}: a feature without a declared direction has two "
            f"columns, one that may only raise risk and one that may only lower it ({double:,} here)."
        )
    if pairs:
        yield (
            f"A column of the table without a clear direction is two columns here: along NAME{RISING} risk may only "
            f"rise, along NAME{FALLING} it may only fall ({quantity(pairs, 'such column')})."
        )


def _table(sample: Sample, stability: Stability) -> pd.DataFrame:
    import pandas as pd

    columns = sample.columns
    table = pd.DataFrame(
        {
            "feature": [columns.features[index] for index in columns.feature_of],
            "direction": ["raises risk" if sign > 0 else "lowers risk" for sign in columns.signs],
            "gini": stability.gini.round(4),
            "standard_error": stability.error.round(4),
            "kept": [index in stability.selected for index in range(len(columns.feature_of))],
        }
    )
    return table.sort_values("gini", ascending=False, ignore_index=True)
