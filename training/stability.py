"""Selection of columns that rank loans in their declared direction in every period, not only in one.

A column whose direction holds in one season and turns in the next ranks well out of fold and badly out of time. Kept is
what ranks better than chance over the periods of the training rows, by the lower end of an interval that counts how far
the periods differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from training.evidence.finding import Finding
from training.sample import Sample

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
    """

    gini: NDArray[np.float64]
    error: NDArray[np.float64]
    kept: tuple[int, ...]
    periods: int


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
    return Stability(mean, error, tuple(kept.tolist()), len(periods))


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
    dropped = int((~table["kept"]).sum())
    return Finding(
        name="stability",
        title="Selection of features",
        said=f"Of {len(table)} columns that a model may read, {len(table) - dropped} are kept: over {found.periods} "
        "periods of the training loans they rank in their declared direction by more than chance. The others would "
        "rank loans by what held in one period only.",
        figures={"kept": len(table) - dropped, "dropped": dropped, "periods": found.periods},
        tables={"Features": table},
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
