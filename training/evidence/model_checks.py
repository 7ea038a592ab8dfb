"""Checks of the model itself: target leakage (features that contain the outcome) and monotonicity of each feature."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from training.evidence.limits import Limit, LimitCheck, alarm_if, first_names
from training.evidence.metrics import auc, build_table
from training.evidence.statistics import logistic, predict_by_single_features, predict_out_of_fold
from training.evidence.study import Finding, draw_positions, log_odds

if TYPE_CHECKING:
    from scoring.bundle import Bundle
    from training.dataset import Dataset
    from training.evidence.study import ReviewedModel

TOO_GOOD: Final = 0.95
"""Largest plausible AUC of a single operating figure: good application scores reach about 0.8."""

TOO_MUCH: Final = 0.10
"""Largest plausible AUC that one feature adds to a hundred others, because similar features replace it."""

TOO_WELL: Final = 0.95
"""Largest plausible AUC of a model of operating data on later loans. It reveals several blurred copies of the outcome,
which the tests of single features miss."""

ROWS: Final = 8_000
"""Most training rows to examine: leakage is visible on far fewer."""

MOVES: Final = 10_000
"""Random moves of each feature: enough to cross each of its splits from many sides."""

_LEAST_OF_A_KIND: Final = 20
_NAMED: Final = 3
_BEYOND: Final = 0.1
"""Moves also go beyond the observed range of a feature by this share of it, as future sellers may."""

_MOST_ROWS: Final = 5_000
_FIND_OUT: Final = "Find out when its values became known."


@dataclass(frozen=True)
class SingleFeatureAuc:
    """AUC of one feature alone, on all rows and on the rows with a value (NaN if too few outcomes are known)."""

    feature: str
    auc_alone: float
    auc_where_known: float

    @property
    def best(self) -> float:
        """The larger of both: a copy of the outcome that only some rows have is perfect on those."""
        return float(np.fmax(self.auc_alone, self.auc_where_known))


def study_leaks(subject: ReviewedModel, most: int = ROWS) -> Finding:
    """Rank training outcomes by each feature alone, and measure the AUC lost without the most used feature."""
    rows = _sample(subject, most)
    ranked = sorted(_single_feature_aucs(rows, subject.seed), key=lambda feature: -feature.best)
    most_used, lost = _most_used(subject, rows)
    model_auc = auc(subject.bad, subject.probability)
    return Finding(
        "leaks",
        "Target leakage",
        f"Does a feature contain the outcome? Each of {len(ranked)} features alone ranked the outcomes of "
        f"{len(rows.rows):,} training rows, by a shallow tree trained on other {rows.borrowers}. The best, "
        f"{ranked[0].feature}, reaches an AUC of {ranked[0].best:.3f}; the limit is {TOO_GOOD}. Without {most_used}, "
        f"the feature that the model uses most, the AUC of a small model falls by {lost:.3f}; the limit is {TOO_MUCH}. "
        f"The AUC of the model itself is {model_auc:.3f} on the test rows; the limit is {TOO_WELL}.",
        figures={"best_alone_auc": ranked[0].best, "lost_without_one_auc": lost, "model_auc": model_auc},
        tables={"Features alone": build_table(vars(feature) for feature in ranked)},
        checks=(*_check_single_features(ranked), *_check_model(most_used, lost, model_auc, ranked)),
    )


def _sample(subject: ReviewedModel, most: int) -> Dataset:
    train = subject.train
    drawn = draw_positions(np.arange(len(train.rows)), most, subject.seed)
    return train.select(train.rows.index.to_series().isin(drawn))


def _single_feature_aucs(rows: Dataset, seed: int) -> Iterator[SingleFeatureAuc]:
    bad = rows.rows["bad"].to_numpy()
    for name, probability in predict_by_single_features(rows.features, bad, rows.rows["seller_id"], seed).items():
        known = rows.features[name].notna().to_numpy()
        enough = min(bad[known].sum(), (~bad[known]).sum()) >= _LEAST_OF_A_KIND
        yield SingleFeatureAuc(name, auc(bad, probability), auc(bad[known], probability[known]) if enough else np.nan)


def _most_used(subject: ReviewedModel, rows: Dataset) -> tuple[str, float]:
    """Return the feature that the reviewed model uses most, and the AUC that a small model loses without it."""
    bad, sellers = rows.rows["bad"].to_numpy(), rows.rows["seller_id"]
    if len(rows.features.columns) == 1:  # without its only feature, there is no model to compare with
        return str(rows.features.columns[0]), 0.0
    name = subject.bundle.sheet.names[int(subject.bundle.model.booster.feature_importance("gain").argmax())]
    with_it, without = (
        auc(bad, predict_out_of_fold(features, bad, sellers, subject.seed))
        for features in (rows.features, rows.features.drop(columns=name))
    )
    return name, with_it - without


def _check_single_features(ranked: list[SingleFeatureAuc]) -> Iterator[LimitCheck]:
    beyond = [feature for feature in ranked if feature.best > TOO_GOOD]
    for feature in beyond or ranked[:1]:
        note = (
            f"{feature.feature} alone ranks outcomes with an AUC of {feature.best:.3f}, above the limit of {TOO_GOOD}. "
            f"No feature that is known before the outcome ranks that well. {_FIND_OUT}"
        )
        yield alarm_if(beyond, "AUC of one feature alone", f"{feature.best:.3f}", f"at most {TOO_GOOD}", note)


def _check_model(most_used: str, lost: float, model_auc: float, ranked: list[SingleFeatureAuc]) -> Iterator[LimitCheck]:
    strongest = first_names([f"{each.feature} ({each.best:.3f})" for each in ranked[:_NAMED]])
    limit = Limit("AUC lost without the most used feature", TOO_MUCH)
    note = (
        f"{most_used} alone adds {lost:.3f} of AUC to all other features, above the limit of {TOO_MUCH}. That is too "
        f"much for one of many features. {_FIND_OUT}"
    )
    yield alarm_if(limit.is_beyond(lost), limit.figure, f"{lost:.3f}", str(limit), note)
    limit = Limit("AUC of the model on the test rows", TOO_WELL)
    note = (
        f"The model ranks the outcomes of the test rows with an AUC of {model_auc:.3f}, above the limit of {TOO_WELL}. "
        "No model of features that are known before the outcome ranks that well. Several features may each contain a "
        f"part of the outcome. The strongest features alone, with their AUC: {strongest}. The model uses {most_used} "
        "most. Find out when the values of these features became known."
    )
    yield alarm_if(limit.is_beyond(model_auc), limit.figure, f"{model_auc:.3f}", str(limit), note)


@dataclass(frozen=True)
class MonotonicityResult:
    """The effect of moving one feature: number of moves, of those that changed the probability (`felt`), of violations.

    The sign is +1 if a higher value may only raise the probability of default, -1 if it may only lower it. A feature
    without a value in any row has no moves. The largest violation is in probability of default.
    """

    feature: str
    sign: int
    moves: int
    felt: int
    violations: int
    largest_violation: float


def study_monotonicity(subject: ReviewedModel, moves: int = MOVES) -> Finding:
    """Move every signed feature of random test rows, and count the changes of the probability against the sign."""
    results = list(audit_signs(subject.served, subject.test.features.to_numpy(), moves, subject.seed))
    violations, tried = sum(each.violations for each in results), sum(each.moves for each in results)
    known = sum(each.moves > 0 for each in results)
    return Finding(
        "monotone",
        "Monotonicity",
        "Can a higher value of a feature change the probability of default against its declared sign? In "
        f"{tried:,} random moves of one feature at a time, {moves:,} for each of the {known} signed features that have "
        f"a value in the test rows, {violations:,} did. Values are observed ones, and random ones between or slightly "
        "beyond them.",
        figures={
            "features": float(len(results)),
            "moves": float(tried),
            "violations": float(violations),
            "largest_violation": max((each.largest_violation for each in results), default=0.0),
        },
        tables={"Moves by feature": build_table(vars(each) for each in results)},
        checks=(_check_signs(results, violations),),
    )


def audit_signs(bundle: Bundle, rows: NDArray[np.float64], moves: int, seed: int) -> Iterator[MonotonicityResult]:
    """Yield the effect of single moves of each signed feature on the probability of default.

    Moves start from `rows`, shape (rows, features), NaN where missing; missing values are not moved.
    """
    rng = np.random.default_rng(seed)
    if len(rows) > _MOST_ROWS:
        rows = rows[rng.choice(len(rows), _MOST_ROWS, replace=False)]
    before = log_odds(bundle, rows)
    for column, entry in enumerate(bundle.sheet.entries):
        if not entry.sign:
            continue
        known = np.flatnonzero(~np.isnan(rows[:, column]))
        if not len(known):
            yield MonotonicityResult(entry.name, entry.sign, 0, 0, 0, 0.0)
            continue
        start = rng.choice(known, moves)
        moved = rows[start]
        moved[:, column] = _probe_values(rows[known, column], rows[start, column], rng)
        after = log_odds(bundle, moved)
        # the change of the log-odds in the forbidden direction
        upward = np.sign(moved[:, column] - rows[start, column]) * entry.sign
        wrong = upward * (before[start] - after) > 0
        change = np.abs(logistic(after) - logistic(before[start]))
        felt = int((after != before[start]).sum())
        yield MonotonicityResult(
            entry.name, entry.sign, moves, felt, int(wrong.sum()), float(change[wrong].max(initial=0.0))
        )


def _probe_values(
    observed: NDArray[np.float64], start: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw new values that differ from the start: half are observed ones, half lie between or slightly beyond them.

    If all observed values are equal, the range extends by a tenth of the value, or of 1.
    """
    low, high = float(observed.min()), float(observed.max())
    beyond = _BEYOND * ((high - low) or abs(high) or 1.0)
    anywhere = rng.uniform(low - beyond, high + beyond, len(start))
    to = np.where(rng.random(len(start)) < 0.5, rng.choice(observed, len(start)), anywhere)  # noqa: PLR2004
    return np.where(to == start, anywhere, to)


def _check_signs(results: list[MonotonicityResult], violations: int) -> LimitCheck:
    broken = [each for each in results if each.violations]
    worst = max(results, key=lambda each: each.largest_violation, default=None)
    note = (
        ""
        if worst is None
        else (
            f"The model breaks the declared sign of {', '.join(each.feature for each in broken)}. The largest "
            f"violation, {worst.largest_violation:.2g} in probability of default, is that of {worst.feature}. The "
            "limit is 0. Do not promote the model. Train again with monotone constraints for these features."
        )
    )
    figure = "number of moves of one feature against its declared sign"
    return alarm_if(broken, figure, f"{violations:,}", "0", note)
