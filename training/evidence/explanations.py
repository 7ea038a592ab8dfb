"""Feature contributions: points by feature, their dependence on the value, and interactions between features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from scoring.explain import contributions
from training.evidence import shap_plots
from training.evidence.limits import LimitCheck, alarm_if
from training.evidence.metrics import build_table
from training.evidence.study import Finding, draw_positions

if TYPE_CHECKING:
    import pandas as pd

    from scoring import Bundle
    from training.evidence.study import ReviewedModel

ROWS: Final = 500
"""Most rows in a plot: more would hide each other."""

PAIR_ROWS: Final = 200
"""Most rows whose interactions are computed, which costs as much as all other plots together."""

_DEPENDENCE: Final = 6
_HEATMAP: Final = 10
_LISTED: Final = 20
_TOLERANCE: Final = 1e-6


@dataclass(frozen=True)
class Pairs:
    """Mean absolute points of some rows by pair of features, shape (features, features).

    The interaction of two features is split equally between both halves of the table; the diagonal is the effect of
    each feature alone. `gap` is the largest difference between the sum of a row's pairs and its contributions, in
    points.
    """

    size: NDArray[np.float64]
    gap: float


def study_explanations(subject: ReviewedModel) -> Finding:
    """Plot the points of test rows: a summary, dependence on the value of the main features, and interactions."""
    bundle, features, labels = subject.served, _draw(subject, ROWS), _labels(subject.served)
    points, pairs = explain(bundle, features), interaction_points(bundle, _draw(subject, PAIR_ROWS))
    labelled, order = features.set_axis(labels, axis=1), np.argsort(-np.abs(points).mean(axis=0), kind="stable")
    others = np.where(np.eye(len(labels), dtype=bool), -1.0, pairs.size)
    partners = {int(feature): int(others[feature].argmax()) for feature in order[:_DEPENDENCE]}
    interactions = _interaction_table(pairs, list(features.columns))
    weights = _weights(bundle, points, order)
    return Finding(
        "explanations",
        "Feature contributions",
        _summary(len(features), weights, interactions),
        figures={"top_ten_share": float(weights["share_of_all"].head(10).sum()), "largest_gap_of_pairs": pairs.gap},
        tables={"Points by feature": weights.head(_LISTED), "Features that act together": interactions.head(_LISTED)},
        plots={
            "summary": shap_plots.summary(labelled, points),
            "dependence": shap_plots.dependence(labelled, points, partners),
            "interactions": shap_plots.interactions(pairs.size, labels, order[:_HEATMAP]),
        },
        checks=(_check(pairs.gap),),
    )


def _labels(bundle: Bundle) -> list[str]:
    """Return the label of each feature for plots; features with the same label get their names added."""
    labels = [entry.label for entry in bundle.sheet.entries]
    return [
        entry.label if labels.count(entry.label) == 1 else f"{entry.label} ({entry.name})"
        for entry in bundle.sheet.entries
    ]


def explain(bundle: Bundle, features: pd.DataFrame) -> NDArray[np.float64]:
    """Return the exact points of each feature in each row, before rounding, shape (rows, features)."""
    return -_factor(bundle) * contributions(bundle.model, features.to_numpy()).values


def interaction_points(bundle: Bundle, features: pd.DataFrame) -> Pairs:
    """Split the points of rows into pairs of features (SHAP interaction values; Lundberg et al., 2020).

    shap computes them from the bundle's own trees, including missing values. `gap` checks that the pairs of a feature
    add up to the contribution that scoring computes.
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
    return features.iloc[draw_positions(np.arange(len(features)), most, subject.seed)]


def _weights(bundle: Bundle, points: NDArray[np.float64], order: NDArray[np.int64]) -> pd.DataFrame:
    import pandas as pd

    size = np.abs(points).mean(axis=0)
    entries = [bundle.sheet.entries[feature] for feature in order]
    return pd.DataFrame(
        {
            "feature": [entry.name for entry in entries],
            "label": [entry.label for entry in entries],
            "mean_points": size[order],
            "share_of_all": size[order] / max(float(size.sum()), 1e-12),
        }
    )


def _interaction_table(pairs: Pairs, names: list[str]) -> pd.DataFrame:
    one, two = np.triu_indices(len(names), k=1)
    size = pairs.size[one, two] + pairs.size[two, one]
    order = np.argsort(-size, kind="stable")
    rows = (
        {"feature": names[one[pair]], "with": names[two[pair]], "mean_points": size[pair]}
        for pair in order[size[order] > 0]
    )
    return build_table(rows, ["feature", "with", "mean_points"])


def _summary(rows: int, weights: pd.DataFrame, interactions: pd.DataFrame) -> str:
    first = weights["feature"].iloc[0]
    largest = "No two features interact."
    if len(interactions):
        one, two, size = interactions.iloc[0]
        largest = f"The largest interaction is that of {one} and {two}, {size:.1f} points on average."
    return (
        "Which features determine the score, alone and together with others? Over "
        f"{rows} test rows drawn at random, {first} contributes most: "
        f"{weights['mean_points'].iloc[0]:.1f} points on average, up or down. The ten largest features contribute "
        f"{weights['share_of_all'].head(10).sum():.0%} of all points. {largest} Points are exact SHAP values against "
        "the training population."
    )


def _check(gap: float) -> LimitCheck:
    note = (
        f"The interactions of a feature differ from its contribution by up to {gap:.3g} points, above the limit of "
        f"{_TOLERANCE:g}. Do not use the table and plot of interactions."
    )
    figure = "difference of feature pairs to contributions, in points"
    return alarm_if(gap > _TOLERANCE, figure, f"{gap:.2g}", f"at most {_TOLERANCE:g}", note)
