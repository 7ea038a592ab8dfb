"""What one study of a model found, in the one form that MLflow, the model card and the gates read.

The model under review, with all that studies of it may look at.

Asks the one `assess` about rows of a dataset, as a bank would: whole vectors in, assessments out.

The bundle's numbers for many rows at once, without explanations: what studies ask of it thousands of times.

It is the model's own call and the bundle's own calibration and scale; the cost of a row is a hundredth of that of an
assessment, which explains every point. Where the answer itself is studied, use `scoring.assess`.

The groups of rows that a model is reported by: when, where, how long, how large.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from scoring import Assessment, Vector, assess

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


@dataclass(frozen=True)
class Finding:
    """A study's results.

    Attributes:
        name: a word in snake_case; figures are logged as `<name>.<figure>`.
        title: the heading in the model card.
        said: what was asked and what came out, in a few plain sentences that a reviewer can quote.
        figures: single numbers; those with an interval also as `<figure>_low` and `<figure>_high`.
        tables: by title, small enough to read.
        plots: by file name without ending.
        alarms: sentences on what must not go unseen; none where all is well.
        declined: True where nothing was measured though something could have been, since the settings asked for too
            little; a gate fails on it, as it does not where there is nothing to measure.
        checks: the published limits of its figures and the result of each; alarms are among them.
    """

    name: str
    title: str
    said: str
    figures: Mapping[str, float] = field(default_factory=dict)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    plots: Mapping[str, Figure] = field(default_factory=dict)
    alarms: tuple[str, ...] = ()
    declined: bool = False
    checks: tuple[LimitCheck, ...] = ()


@dataclass(frozen=True)
class ReviewedModel:
    """A trained model and the rows that it learnt from and is judged on.

    Attributes:
        bundle: the tested bundle: the one whose predictions are compared with outcomes.
        served: the bundle that would serve: the same recipe fitted on all matured loans, or the tested bundle itself.
            Studies of what a model does, whatever the outcomes, are of this one.
        train: the rows that it learnt from.
        test: the rows that it is judged on; where `evidence` is out of fold, the training rows.
        evidence: how the predictions on the test rows came about.
        probability: of default, shape (test rows,), by the model.
        scorecard: the same by the logistic scorecard trained beside.
        score: whole points that these probabilities are worth, shape (test rows,).
        train_score: the same for the training rows, by models that did not see the row's seller: what was seen is
            scored more extremely than what is new, so that only these compare with `score`.
        refits: bundles trained on bootstrap samples of the training sellers, with the same settings.
        card: the scorecard beside itself.
        card_refits: scorecards of the same bootstrap samples.
        store: the operating data, for studies that need more than the rows; None where a table was all there was.
        seed: of everything random.
        fake_orders: how many sellers are let buy fake orders.
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
        """True for the test rows that went bad."""
        return self.test.rows["bad"].to_numpy()


def assess_rows(
    bundle: Bundle, rows: pd.DataFrame, matrix: NDArray[np.float64], withheld: Collection[str] = ()
) -> list[Assessment]:
    """Assess rows as of their midnights and on these days, every table that the model reads delivered up to then.

    Args:
        bundle: the bundle to ask.
        rows: `seller_id` and `as_of` of each row.
        matrix: their values in the feature sheet's order, NaN where missing.
        withheld: tables that are not delivered after all.
    """
    tables = (*bundle.sheet.required_tables, *bundle.sheet.optional_tables)
    covering = [name for name in tables if name not in withheld]
    vectors = [
        Vector(
            seller,
            as_of.date(),
            as_of.date(),
            dict.fromkeys(covering, as_of.date()),
            bundle.sheet.catalogue,
            tuple(None if np.isnan(value) else value for value in values),
        )
        for seller, as_of, values in zip(rows["seller_id"], rows["as_of"], matrix.tolist(), strict=True)
    ]
    return assess(bundle, vectors)


def scorable_rows(bundle: Bundle, features: pd.DataFrame) -> NDArray[np.bool_]:
    """Return True for the rows of active sellers with enough history for a score."""
    fit = np.ones(len(features), dtype=bool)
    for threshold in bundle.sheet.history:
        fit &= (features[threshold.feature].fillna(0.0) >= threshold.least).to_numpy()
    if activity := bundle.sheet.activity:
        inactive = (features[activity.feature].fillna(np.inf) > activity.most) & features[activity.since].notna()
        fit &= ~inactive.to_numpy()
    return fit


def sample_rows(bundle: Bundle, rows: Dataset, most: int, seed: int) -> NDArray[np.int64]:
    """Return the places of at most so many scorable rows, drawn at random and in their own order."""
    places = np.flatnonzero(scorable_rows(bundle, rows.features))
    if len(places) > most:
        places = np.sort(np.random.default_rng(seed).choice(places, most, replace=False))
    return places


_DIGITS: Final = 6
"""Points are rounded to a millionth before they are made whole, so that noise in the last bit moves no score."""


def log_odds(bundle: Bundle, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the calibrated log-odds of default of rows in the feature sheet's order, NaN where missing."""
    return _calibrated(bundle, _margins(bundle, matrix))


def scores(bundle: Bundle, matrix: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the whole score of rows, as an assessment would give it."""
    return whole_scores(bundle, _margins(bundle, matrix))


def whole_scores(bundle: Bundle, margins: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return what raw margins, of the bundle's model or of one made like it, are worth in whole points.

    Example: a margin that is calibrated to even odds is worth 404 points on the usual scale.
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


UNKNOWN: Final = "unknown"


OTHERS: Final = "others"


MOST_GROUPS: Final = 12
"""Of countries or marketplaces; those with fewer rows share one, as nobody reads a hundred lines of chance."""


_YEAR: Final = 365.25


_TENURES: Final = {"under 1 year": 1.0, "1 to 2 years": 2.0, "2 to 4 years": 4.0, "4 years or more": np.inf}


_SIZES: Final = ("small", "medium", "large")


def group_rows(rows: Dataset) -> dict[str, pd.Series]:
    """Return the group of each row by month, country, marketplace, tenure and size, in the order to show them.

    Rows of a table have a month alone.
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
    """Return the groups found, in their natural order: of size and tenure the rising one, else that of the alphabet."""
    natural = {"tenure": list(_TENURES), "size": list(_SIZES)}.get(by, [])
    last = [OTHERS, UNKNOWN]
    found = set(of.unique())
    plain = sorted(found - set(natural) - set(last))
    return [name for name in (*natural, *plain, *last) if name in found]


def most_common(names: pd.Series, most: int = MOST_GROUPS) -> pd.Series:
    """Return names with the rarer ones as `others` and missing ones as `unknown`.

    Example: with `most` 1, of CN, CN, VN and none become CN, CN, others, unknown.
    """
    known = names.dropna().astype(str)
    # equally frequent ones by the alphabet, so that the order of rows does not matter
    frequent = known.value_counts().sort_index().sort_values(ascending=False, kind="stable").index[:most]
    named = names.astype(object).where(names.isin(frequent), OTHERS).where(names.notna(), UNKNOWN)
    return named.astype(str)


def tenure_groups(days: pd.Series) -> pd.Series:
    """Return how long a seller has been on the platform, in words; example: 400 days are `1 to 2 years`."""
    import pandas as pd

    limits = [years * _YEAR for years in _TENURES.values()][:-1]
    named = np.array(list(_TENURES))[np.searchsorted(limits, days.to_numpy(), side="right")]
    return pd.Series(named, index=days.index).where(days.notna(), UNKNOWN)


def size_groups(sales: pd.Series) -> pd.Series:
    """Return `small`, `medium` or `large` by thirds of the rows' sales, `unknown` where missing."""
    import pandas as pd

    limits = size_limits(sales)
    named = np.array(_SIZES)[np.searchsorted(limits, sales.to_numpy())]
    return pd.Series(named, index=sales.index).where(sales.notna(), UNKNOWN)


def size_limits(sales: pd.Series) -> tuple[float, float]:
    """Return the sales up to which a row is small, and up to which it is medium."""
    low, high = sales.quantile([1 / 3, 2 / 3])
    return float(low), float(high)
