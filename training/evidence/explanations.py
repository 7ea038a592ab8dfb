"""What does the model look at? Points by feature, how they depend on its value, and which features act together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from scoring.explain import contributions
from training.evidence import shap_plots
from training.evidence.limits import LimitCheck, Standing, alarms
from training.evidence.study import Finding

if TYPE_CHECKING:
    import pandas as pd

    from scoring import Bundle
    from training.evidence.study import ReviewedModel

ROWS: Final = 500
"""Rows whose points are drawn: more would hide each other."""

PAIR_ROWS: Final = 200
"""Rows whose points are parted into pairs of features, which costs as much as all other plots together."""

_DEPENDENCE: Final = 6
_HEATMAP: Final = 10
_LISTED: Final = 20
_TOLERANCE: Final = 1e-6


@dataclass(frozen=True)
class ExplainedRows:
    """Points of some rows: shape (rows, features); `features` are their values."""

    features: pd.DataFrame
    points: NDArray[np.float64]

    @property
    def order(self) -> NDArray[np.int64]:
        """Places of the features, that which moves scores most first."""
        return np.argsort(-np.abs(self.points).mean(axis=0), kind="stable")


@dataclass(frozen=True)
class Pairs:
    """Points of some rows by pair of features, shape (features, features): the mean of their size.

    What two features do only together is shared out to both halves of the table; the diagonal is what each does alone.
    `gap` is how far the pairs of any row miss its contributions, in points.
    """

    size: NDArray[np.float64]
    gap: float


def explanations(subject: ReviewedModel) -> Finding:
    """Draw the points of test rows: a summary, dependence on the value of the weightiest features, and pairs."""
    explained = explain(subject.served, _draw(subject, ROWS))
    pairs = interaction_points(subject.served, _draw(subject, PAIR_ROWS))
    names = list(explained.features.columns)
    labels = _labels(subject.served)
    drawn = explained.features.set_axis(labels, axis=1)
    top = explained.order[:_DEPENDENCE]
    partners = {int(place): _partner(pairs, int(place)) for place in top}
    together = _together(pairs, names)
    weights = _weights(subject.served, explained)
    check = _check(pairs.gap)
    return Finding(
        "explanations",
        "What the score rests on",
        _said(explained, weights, together),
        figures={"top_ten_share": float(weights["share_of_all"].head(10).sum()), "largest_gap_of_pairs": pairs.gap},
        tables={"Points by feature": weights.head(_LISTED), "Features that act together": together.head(_LISTED)},
        plots={
            "summary": shap_plots.summary(drawn, explained.points, "Points (to the right: higher score)"),
            "dependence": shap_plots.dependence(drawn, explained.points, partners),
            "interactions": shap_plots.interactions(pairs.size, labels, explained.order[:_HEATMAP]),
        },
        alarms=alarms((check,)),
        checks=(check,),
    )


def _labels(bundle: Bundle) -> list[str]:
    """Return the label of each feature as plots show it; features of one label keep their names."""
    labels = [entry.label for entry in bundle.sheet.entries]
    return [
        entry.label if labels.count(entry.label) == 1 else f"{entry.label} ({entry.name})"
        for entry in bundle.sheet.entries
    ]


def explain(bundle: Bundle, features: pd.DataFrame) -> ExplainedRows:
    """Return the exact points of each feature in each row, before they are made whole."""
    values = contributions(bundle.model, features.to_numpy()).values
    return ExplainedRows(features, -_factor(bundle) * values)


def interaction_points(bundle: Bundle, features: pd.DataFrame) -> Pairs:
    """Part the points of rows into pairs of features (SHAP interaction values; Lundberg et al., 2020).

    They come from shap, which reads the bundle's own trees, missing values included; that each row of pairs adds up to
    the contribution that scoring gives is checked.
    """
    import shap

    matrix = features.to_numpy()
    values = np.asarray(shap.TreeExplainer(bundle.model.booster).shap_interaction_values(matrix))
    gap = np.abs(values.sum(axis=2) - contributions(bundle.model, matrix).values).max(initial=0.0)
    return Pairs(_factor(bundle) * np.abs(values).mean(axis=0), _factor(bundle) * float(gap))


def _factor(bundle: Bundle) -> float:
    return bundle.policy.scale.factor * bundle.policy.calibration.slope


def _draw(subject: ReviewedModel, most: int) -> pd.DataFrame:
    features = subject.test.features
    if len(features) <= most:
        return features
    return features.iloc[np.sort(np.random.default_rng(subject.seed).choice(len(features), most, replace=False))]


def _partner(pairs: Pairs, place: int) -> int:
    """Return the feature that acts most together with this one."""
    others = pairs.size[place].copy()
    others[place] = -1.0
    return int(others.argmax())


def _weights(bundle: Bundle, explained: ExplainedRows) -> pd.DataFrame:
    import pandas as pd

    size = np.abs(explained.points).mean(axis=0)
    entries = [bundle.sheet.entries[place] for place in explained.order]
    return pd.DataFrame(
        {
            "feature": [entry.name for entry in entries],
            "label": [entry.label for entry in entries],
            "mean_points": size[explained.order],
            "share_of_all": size[explained.order] / max(float(size.sum()), 1e-12),
        }
    )


def _together(pairs: Pairs, names: list[str]) -> pd.DataFrame:
    import pandas as pd

    one, two = np.triu_indices(len(names), k=1)
    size = pairs.size[one, two] + pairs.size[two, one]
    order = np.argsort(-size, kind="stable")
    order = order[size[order] > 0]
    return pd.DataFrame(
        {
            "feature": [names[place] for place in one[order]],
            "with": [names[place] for place in two[order]],
            "mean_points": size[order],
        }
    )


def _said(explained: ExplainedRows, weights: pd.DataFrame, together: pd.DataFrame) -> str:
    first = weights["feature"].iloc[0]
    pair = "No two features act together."
    if len(together):
        one, two, size = together.iloc[0]
        pair = f"Most together act {one} and {two}, by {size:.1f} points on average."
    return (
        "Asked: which figures move the score, and which only together with another? Over "
        f"{len(explained.features)} test rows drawn at random {first} moves it most, by "
        f"{weights['mean_points'].iloc[0]:.1f} points on average either way; the ten weightiest make "
        f"{weights['share_of_all'].head(10).sum():.0%} of all points. {pair} Points are exact shares (SHAP) against "
        "the training population."
    )


def _check(gap: float) -> LimitCheck:
    figure, found, limit = "difference of feature pairs to contributions, in points", f"{gap:.2g}", f"{_TOLERANCE:g}"
    if gap <= _TOLERANCE:
        return LimitCheck(figure, found, f"at most {limit}", Standing.WITHIN)
    note = (
        f"Pairs of features miss the contributions that scoring gives by up to {gap:.3g} points, above the limit of "
        f"{limit}. Do not rely on the table and plot of feature pairs."
    )
    return LimitCheck(figure, found, f"at most {limit}", Standing.ALARM, note)
