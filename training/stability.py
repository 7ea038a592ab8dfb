"""Selection of columns that rank loans in their declared direction in every period, not only in one.

A column whose direction holds in one season and turns in the next ranks well out of fold and badly out of time. Kept is
what ranks better than chance over the periods of the training rows, by the lower end of an interval that counts how far
the periods differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from training.evidence.limits import quantity
from training.evidence.study import Finding
from training.sample import Sample
from training.table_directions import FALLING, RISING

if TYPE_CHECKING:
    import pandas as pd

MOST_PERIODS: Final = 8
LEAST_BAD: Final = 10
"""Bad loans of a period; a Gini of fewer is noise."""

LEAST_KEPT: Final = 3
"""Columns, the strongest, that are kept whatever their intervals: of a few bad loans, hardly any column is beyond
chance."""


@dataclass(frozen=True)
class Stability:
    """How each column ranks in its direction.

    Attributes:
        gini: the mean Gini over the periods, in the declared direction: below 0 the column ranks the wrong way.
        error: its standard error, from how far periods differ, and at least that of chance for the number of bad loans.
        kept: places of the columns that are kept.
        periods: how many periods were compared.
        errors: standard errors by which the mean Gini had to exceed 0; 0 if every column is kept.
    """

    gini: NDArray[np.float64]
    error: NDArray[np.float64]
    kept: tuple[int, ...]
    periods: int
    errors: float


def stability(sample: Sample, errors: float) -> Stability:
    """Judge every column of the training rows.

    Both columns of a feature without a declared direction are kept: a feature whose risk is high at both ends ranks
    loans in neither.

    Args:
        sample: the training rows; outcomes of test rows take no part.
        errors: standard errors by which the mean Gini must exceed 0; with 0 every column is kept.

    Example: with 1.645, a column of Gini 0.20 and error 0.10 is kept, one of 0.15 and 0.10 is not.
    """
    periods = sample.periods(MOST_PERIODS, LEAST_BAD) or [np.arange(len(sample.bad))]
    ginis = np.array([_ginis(sample.rows(places)) for places in periods])
    bad = float(sample.bad.sum())
    # the Gini of chance has the standard deviation 1 / sqrt(3 * bad), if good loans are many
    chance = 1.0 / np.sqrt(3.0 * bad)
    between = ginis.std(axis=0, ddof=1) / np.sqrt(len(periods)) if len(periods) > 1 else np.zeros(ginis.shape[1])
    mean, error = ginis.mean(axis=0), np.maximum(between, chance)
    keep = (mean > errors * error) | _undirected(sample)
    keep[np.argsort(-(mean - errors * error), kind="stable")[:LEAST_KEPT]] = True
    kept = np.flatnonzero(keep) if errors > 0 else np.arange(len(mean))
    return Stability(mean, error, tuple(kept.tolist()), len(periods), errors)


def _undirected(sample: Sample) -> NDArray[np.bool_]:
    """Return which columns show a feature without a declared direction, which has two."""
    shows = np.array(sample.columns.shows, dtype=np.int64)
    undirected: NDArray[np.bool_] = np.bincount(shows)[shows] > 1
    return undirected


def _ginis(rows: Sample) -> NDArray[np.float64]:
    """Return the Gini of each column's values, turned into its direction; 0 where all are equal."""
    from scipy.stats import rankdata

    values = np.asarray(rows.matrix[0 : len(rows.bad)])
    bad = rows.bad > 0
    count = int(bad.sum())
    if not 0 < count < len(bad):
        return np.zeros(values.shape[1])
    ranks = rankdata(values, axis=0)
    area = (ranks[bad].sum(axis=0) - count * (count + 1) / 2) / (count * (len(bad) - count))
    ginis: NDArray[np.float64] = np.array(rows.columns.signs) * (2.0 * area - 1.0)
    return ginis


def stability_finding(sample: Sample, found: Stability) -> Finding:
    """Return which features were kept, and why, for the model card."""
    table = _table(sample, found)
    kept = int(table["kept"].sum())
    return Finding(
        name="stability",
        title="Selection of features",
        summary=" ".join(_said(sample, found)),
        figures={"kept": kept, "dropped": len(table) - kept, "periods": found.periods},
        tables={"Features": table},
    )


def _said(sample: Sample, found: Stability) -> Iterator[str]:
    """Yield sentences: how many columns are kept and why, what one period cannot show, and what a column is."""
    columns, kept = len(sample.columns.shows), len(found.kept)
    over = f"over {found.periods} periods of the training loans" if found.periods > 1 else "over all training loans"
    if found.errors == 0:
        yield (
            f"All {quantity(columns, 'column')} that a model may read are kept: the threshold of the selection "
            "(fit.stability) is 0, as always for tables, whose evidence is about every column."
        )
    else:
        yield (
            f"Of {quantity(columns, 'column')} that a model may read, {kept} {'is' if kept == 1 else 'are'} kept: "
            f"{over} they rank in their declared direction by more than chance ({found.errors:g} standard errors)"
            f"{_exceptions(sample, found)}."
        )
    if found.periods == 1:
        yield "Stability over time cannot be measured: the training loans make one period only."
    elif found.errors > 0 and kept < columns:
        yield "The others would rank loans by what held in one period only, or by chance."
    yield from _explain_columns(sample)


def _exceptions(sample: Sample, found: Stability) -> str:
    """Return how many columns are kept although they do not rank beyond chance; empty if there are none."""
    undirected, places = _undirected(sample), np.array(found.kept, dtype=np.int64)
    weak = found.gini[places] <= found.errors * found.error[places]
    free, strongest = int((weak & undirected[places]).sum()), int((weak & ~undirected[places]).sum())
    exceptions = [
        *([f"{free} that belong to a feature without a declared direction"] if free else []),
        *([f"{strongest} of the {LEAST_KEPT} strongest, which are always kept"] if strongest else []),
    ]
    return f". Exceptions are {' and '.join(exceptions)}" if exceptions else ""


def _explain_columns(sample: Sample) -> Iterator[str]:
    """Yield why there are more columns than features, if there are."""
    shown = [sample.columns.features[place] for place in sample.columns.shows]
    named = set(shown)
    pairs = sum(name.removesuffix(RISING) + FALLING in named for name in named if name.endswith(RISING))
    double = len(shown) - len(named)
    if double:
        yield (
            f"The columns show {quantity(len(named), 'feature')}: a feature without a declared direction has two "
            f"columns, one that may only raise risk and one that may only lower it ({double:,} here)."
        )
    if pairs:
        yield (
            f"A column of the table without a clear direction is two columns here, NAME{RISING} along which risk may "
            f"only rise and NAME{FALLING} along which it may only fall ({quantity(pairs, 'such column')})."
        )


def _table(sample: Sample, found: Stability) -> pd.DataFrame:
    import pandas as pd

    columns = sample.columns
    table = pd.DataFrame(
        {
            "feature": [columns.features[place] for place in columns.shows],
            "direction": ["raises risk" if sign > 0 else "lowers risk" for sign in columns.signs],
            "gini": found.gini.round(4),
            "standard_error": found.error.round(4),
            "kept": [place in found.kept for place in range(len(columns.shows))],
        }
    )
    return table.sort_values("gini", ascending=False, ignore_index=True)
