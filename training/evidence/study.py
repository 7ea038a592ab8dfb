"""Findings of studies, the model under review, and its scores and segments for many rows at once.

`scores` and `log_odds` use the bundle's own model, calibration and scale without explaining the points, at a hundredth
of the cost of an assessment. Studies of whole assessments use `assess_rows`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from scoring import Assessment, Vector, assess
from training.evidence.limits import alarms

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from features.ingest import OperatingStore
    from scoring import Bundle
    from training.dataset import Dataset
    from training.evidence.fake_order_strategies import FakeOrdersConfig
    from training.evidence.limits import LimitCheck
    from training.scorecard import Scorecard
    from training.split import Evidence

_DIGITS: Final = 6
"""Points are rounded to a millionth before they are rounded to whole points, so that floating-point noise moves no
score."""

NOT_FOR_TABLE: Final = "Does not apply to a table: the study needs operating data of sellers."
"""The summary of a study that does not apply to a table."""

UNKNOWN: Final = "unknown"
OTHERS: Final = "others"
MOST_GROUPS: Final = 12
"""Most countries or marketplaces with a group of their own; those with fewer rows share one."""

_YEAR: Final = 365.25
_TENURES: Final = {"under 1 year": 1.0, "1 to 2 years": 2.0, "2 to 4 years": 4.0, "4 years or more": np.inf}
_SIZES: Final = ("small", "medium", "large")


@dataclass(frozen=True)
class Finding:
    """The result of a study.

    Attributes:
        name: a word in snake_case; figures are logged as `<name>.<figure>`.
        title: the heading in the model card.
        summary: the question and the result, in a few plain sentences that a model validator can quote.
        figures: single numbers; those with an interval also as `<figure>_low` and `<figure>_high`.
        tables: by title, small enough to read.
        plots: by file name without ending.
        alarms: sentences that a reviewer must see; those of the checks unless given.
        declined: True if the settings made the study too small to measure anything. A gate fails on this; it does not
            fail if there is nothing to measure.
        checks: the published limits of its figures and the result of each.
    """

    name: str
    title: str
    summary: str
    figures: Mapping[str, float] = field(default_factory=dict)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    plots: Mapping[str, Figure] = field(default_factory=dict)
    alarms: tuple[str, ...] = ()
    declined: bool = False
    checks: tuple[LimitCheck, ...] = ()

    def __post_init__(self) -> None:
        """Take the alarms from the checks."""
        if not self.alarms:
            object.__setattr__(self, "alarms", alarms(self.checks))


@dataclass(frozen=True)
class ReviewedModel:
    """A trained model with its training and test rows.

    Attributes:
        bundle: the tested bundle, whose predictions are compared with outcomes.
        served: the bundle to serve: the same recipe fitted on all matured loans, or the tested bundle itself. Studies
            that need no outcomes use this one.
        train: the rows that the tested bundle was trained on.
        test: the rows that it is tested on; the training rows if `evidence` is out of fold.
        evidence: whether the predictions on the test rows are out of time or out of fold.
        probability: the model's probability of default, shape (test rows,).
        scorecard: the same by the scorecard benchmark.
        score: the scores of these probabilities, shape (test rows,).
        train_score: the same for the training rows, by models that were not trained on the row's seller. A model's
            scores of its own training rows are more extreme, so only these can be compared with `score`.
        refits: bundles trained on bootstrap samples of the training sellers, with the same settings.
        card: the scorecard benchmark.
        card_refits: scorecards of the same bootstrap samples.
        store: the operating data, for studies that need more than the rows; None if the rows come from a table.
        seed: of everything random.
        fake_orders: the settings of the study of fake orders.
    """

    bundle: Bundle
    served: Bundle
    train: Dataset
    test: Dataset
    evidence: Evidence
    probability: NDArray[np.float64]
    scorecard: NDArray[np.float64]
    score: NDArray[np.int64]
    train_score: NDArray[np.int64]
    refits: tuple[Bundle, ...]
    card: Scorecard
    card_refits: tuple[Scorecard, ...]
    store: OperatingStore | None
    seed: int
    fake_orders: FakeOrdersConfig

    @property
    def bad(self) -> NDArray[np.bool_]:
        """True for the test rows that defaulted."""
        return self.test.rows["bad"].to_numpy()


def assess_rows(
    bundle: Bundle, rows: pd.DataFrame, matrix: NDArray[np.float64], withheld: Collection[str] = ()
) -> list[Assessment]:
    """Assess rows as of their midnights, as a request on the same day would, with every table delivered up to then.

    Args:
        bundle: the bundle that scores.
        rows: `seller_id` and `as_of` of each row.
        matrix: their values in the feature sheet's order, NaN where missing.
        withheld: tables that are not delivered.
    """
    tables = (*bundle.sheet.required_tables, *bundle.sheet.optional_tables)
    delivered = [name for name in tables if name not in withheld]
    vectors = [
        Vector(
            seller,
            as_of.date(),
            as_of.date(),
            dict.fromkeys(delivered, as_of.date()),
            bundle.sheet.catalogue,
            tuple(None if np.isnan(value) else value for value in values),
        )
        for seller, as_of, values in zip(rows["seller_id"], rows["as_of"], matrix.tolist(), strict=True)
    ]
    return assess(bundle, vectors)


def scorable_rows(bundle: Bundle, features: pd.DataFrame) -> NDArray[np.bool_]:
    """Return True for the rows of active sellers with enough history for a score."""
    scorable = np.ones(len(features), dtype=bool)
    for threshold in bundle.sheet.history:
        scorable &= (features[threshold.feature].fillna(0.0) >= threshold.least).to_numpy()
    if activity := bundle.sheet.activity:
        inactive = (features[activity.feature].fillna(np.inf) > activity.most) & features[activity.since].notna()
        scorable &= ~inactive.to_numpy()
    return scorable


def sample_rows(bundle: Bundle, rows: Dataset, most: int, seed: int) -> NDArray[np.int64]:
    """Return the positions of at most `most` scorable rows, drawn at random and sorted."""
    return draw_positions(np.flatnonzero(scorable_rows(bundle, rows.features)), most, seed)


def draw_positions(positions: NDArray[np.int64], most: int, seed: int) -> NDArray[np.int64]:
    """Return at most `most` of the positions, drawn at random and sorted."""
    if len(positions) <= most:
        return positions
    return np.sort(np.random.default_rng(seed).choice(positions, most, replace=False))


def log_odds(bundle: Bundle, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the calibrated log-odds of default of rows in the feature sheet's order, NaN where missing."""
    return _calibrated(bundle, _margins(bundle, matrix))


def scores(bundle: Bundle, matrix: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the scores of rows, equal to those of their assessments."""
    return whole_scores(bundle, _margins(bundle, matrix))


def whole_scores(bundle: Bundle, margins: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the scores of raw margins of the bundle's model, or of one with the same recipe.

    Example: a margin that is calibrated to even odds is a score of 404 on the default scale.
    """
    scale = bundle.policy.scale
    points = scale.offset - scale.factor * _calibrated(bundle, margins)
    return np.clip(np.floor(np.round(points, _DIGITS) + 0.5), scale.min, scale.max).astype(np.int64)


def _margins(bundle: Bundle, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    if not len(matrix):
        return np.empty(0)
    return np.asarray(bundle.model.booster.predict(matrix, raw_score=True), dtype=np.float64)


def _calibrated(bundle: Bundle, margins: NDArray[np.float64]) -> NDArray[np.float64]:
    return bundle.policy.calibration.intercept + bundle.policy.calibration.slope * margins


def group_rows(rows: Dataset) -> dict[str, pd.Series]:
    """Return the group of each row by month, country, marketplace, tenure and size, in display order.

    Rows of a table are grouped by month only.
    """
    if rows.is_table:
        return {"month": rows.rows["as_of"].dt.strftime("%Y-%m")}
    return {
        "month": rows.rows["as_of"].dt.strftime("%Y-%m"),
        "country": most_common(rows.about["country"]),
        "marketplace": most_common(rows.about["marketplace"]),
        "tenure": tenure_groups(rows.features["days_on_platform"]),
        "size": size_groups(rows.features["settled_net_sales_365d"]),
    }


def in_order(by: str, of: pd.Series) -> list[str]:
    """Return the groups that occur: rising for size and tenure, otherwise alphabetical."""
    rising = {"tenure": list(_TENURES), "size": list(_SIZES)}.get(by, [])
    last = [OTHERS, UNKNOWN]
    names = set(of.unique())
    alphabetical = sorted(names - set(rising) - set(last))
    return [name for name in (*rising, *alphabetical, *last) if name in names]


def most_common(names: pd.Series, most: int = MOST_GROUPS) -> pd.Series:
    """Return names with the rarer ones as `others` and missing ones as `unknown`.

    Example: with `most` 1, the names CN, CN, VN and None become CN, CN, others and unknown.
    """
    counts = names.dropna().astype(str).value_counts()
    # ties are sorted alphabetically, so that the order of rows does not matter
    frequent = counts.sort_index().sort_values(ascending=False, kind="stable").index[:most]
    return names.astype(object).where(names.isin(frequent), OTHERS).where(names.notna(), UNKNOWN).astype(str)


def tenure_groups(days: pd.Series) -> pd.Series:
    """Return a seller's time on the platform as a group; example: 400 days are `1 to 2 years`."""
    import pandas as pd

    limits = [years * _YEAR for years in _TENURES.values()][:-1]
    groups = np.array(list(_TENURES))[np.searchsorted(limits, days.to_numpy(), side="right")]
    return pd.Series(groups, index=days.index).where(days.notna(), UNKNOWN)


def size_groups(sales: pd.Series) -> pd.Series:
    """Return `small`, `medium` or `large` by thirds of the rows' sales, `unknown` where missing."""
    import pandas as pd

    groups = np.array(_SIZES)[np.searchsorted(size_limits(sales), sales.to_numpy())]
    return pd.Series(groups, index=sales.index).where(sales.notna(), UNKNOWN)


def size_limits(sales: pd.Series) -> tuple[float, float]:
    """Return the largest sales of a small seller and of a medium one."""
    low, high = sales.quantile([1 / 3, 2 / 3])
    return float(low), float(high)
