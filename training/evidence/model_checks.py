"""Checks of the model itself: target leakage (features that contain the outcome) and monotonicity of each feature."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from training.evidence.discrimination import TOO_WELL
from training.evidence.limits import Limit, LimitCheck, Standing, alarm_if, figures, first_names
from training.evidence.metrics import Estimate, auc, build_table, evaluate, paired_auc
from training.evidence.statistics import logistic, predict_by_single_features, predict_out_of_fold
from training.evidence.study import Finding, draw_positions, log_odds
from training.table_directions import FALLING, RISING

if TYPE_CHECKING:
    from scoring.bundle import Bundle
    from training.dataset import Dataset
    from training.evidence.study import ReviewedModel

TOO_GOOD: Final = 0.95
"""Largest plausible AUC of a single operating figure: good application scores reach about 0.8."""

TOO_MUCH: Final = 0.10
"""Largest plausible AUC that one feature adds to a hundred others, because similar features replace it."""

ROWS: Final = 8_000
"""Most training rows to examine: leakage is visible on far fewer."""

MOVES: Final = 10_000
"""Random moves of each feature: enough to cross each of its splits from many sides."""

SEPARATES: Final = 0.99
"""AUC from which a feature separates the outcomes almost completely."""

PLAUSIBLE: Final = 0.80
"""AUC of a single feature up to which the model may depend on it mostly: good application scores reach as much."""

_MANY: Final = 10
"""Number of other features from which the loss of a single one is judged: few cannot replace each other."""

_LEAST_OF_A_KIND: Final = 20
_NAMED: Final = 3
_BEYOND: Final = 0.1
"""Moves also go beyond the observed range of a feature by this share of it, as future sellers may."""

_MOST_ROWS: Final = 5_000
_FIND_OUT: Final = "Find out when its values became known."


@dataclass(frozen=True)
class SingleFeatureAuc:
    """AUC of one feature alone, on all rows and on the rows with a value (None if too few outcomes are known).

    `best` is the larger of both, with its interval if it is beyond the limit: a copy of the outcome that only some rows
    have is perfect on those.
    """

    feature: str
    all_rows: float
    known_rows: float | None
    best: Estimate


def study_leaks(subject: ReviewedModel, most: int = ROWS) -> Finding:
    """Rank training outcomes by each feature alone, and measure the AUC lost without the most used feature."""
    rows = _sample(subject, most)
    ranked = sorted(_single_feature_aucs(rows, subject.seed), key=lambda feature: -feature.best.value)
    most_used, lost = _most_used(subject, rows)
    sellers, row = subject.test.rows["seller_id"], rows.words.row
    model_auc = evaluate(subject.bad, subject.probability, subject.seed, ("auc",), sellers)["auc"]
    sizes = (f"{len(rows.rows):,} training {row}s", f"{len(subject.bad):,} test {row}s")
    return Finding(
        "leaks",
        "Target leakage",
        f"Does a feature contain the outcome? Each of {len(ranked)} features alone ranked the outcomes of {sizes[0]}, "
        f"by a shallow tree trained on {rows.words.of_others}. The best, {ranked[0].feature}, reaches an AUC of "
        f"{ranked[0].best.value:.3f}; the limit is {TOO_GOOD}. Without {most_used}, the feature that the model uses "
        f"most, the AUC of a small model falls by {lost.value:.3f}; the limit is {TOO_MUCH}. The AUC of the model "
        f"itself is {model_auc.value:.3f} on the test rows; the limit is {TOO_WELL}. An alarm is raised if the whole "
        "95% interval is beyond the limit.",
        figures={
            "best_alone_auc": ranked[0].best.value,
            "lost_without_one_auc": lost.value,
            "model_auc": model_auc.value,
        },
        tables={
            "Features alone": build_table(
                {
                    "feature": feature.feature,
                    "auc_alone": feature.all_rows,
                    "auc_where_known": np.nan if feature.known_rows is None else feature.known_rows,
                }
                for feature in ranked
            )
        },
        checks=(
            *_check_single_features(ranked, rows, sizes[0]),
            _check_most_used(most_used, lost, ranked, sizes[0]),
            _check_model(most_used, model_auc, ranked, sizes[1]),
        ),
    )


def _sample(subject: ReviewedModel, most: int) -> Dataset:
    """Return at most this many training rows; a column of a table that is two features is one again."""
    train = subject.train
    if train.is_table:
        features = train.features.rename(columns=_column)
        train = replace(train, features=features.loc[:, ~features.columns.duplicated()])
    drawn = draw_positions(np.arange(len(train.rows)), most, subject.seed)
    return train.select(train.rows.index.to_series().isin(drawn))


def _column(feature: str) -> str:
    """Return the column of a feature of a table, which may be one of two with the same values."""
    return feature.removesuffix(RISING).removesuffix(FALLING)


def _single_feature_aucs(rows: Dataset, seed: int) -> Iterator[SingleFeatureAuc]:
    bad, sellers = rows.rows["bad"].to_numpy(), rows.rows["seller_id"]
    for name, probability in predict_by_single_features(rows.features, bad, sellers, seed).items():
        known = rows.features[name].notna().to_numpy()
        enough = min(bad[known].sum(), (~bad[known]).sum()) >= _LEAST_OF_A_KIND
        on_all, on_known = auc(bad, probability), auc(bad[known], probability[known]) if enough else None
        best = Estimate.exact(max(on_all, on_known or 0.0))
        if best.value > TOO_GOOD:
            chosen = known if on_known == best.value else np.ones(len(bad), dtype=bool)
            best = evaluate(bad[chosen], probability[chosen], seed, ("auc",), sellers[chosen])["auc"]
        yield SingleFeatureAuc(name, on_all, on_known, best)


def _most_used(subject: ReviewedModel, rows: Dataset) -> tuple[str, Estimate]:
    """Return the feature that the reviewed model uses most, and the AUC that a small model loses without it."""
    bad, sellers = rows.rows["bad"].to_numpy(), rows.rows["seller_id"]
    if len(rows.features.columns) == 1:  # without its only feature, there is no model to compare with
        return str(rows.features.columns[0]), Estimate.exact(0.0)
    name = subject.bundle.sheet.names[int(subject.bundle.model.booster.feature_importance("gain").argmax())]
    name = _column(name) if rows.is_table else name
    with_it, without = (
        predict_out_of_fold(features, bad, sellers, subject.seed)
        for features in (rows.features, rows.features.drop(columns=name))
    )
    return name, paired_auc(bad, (with_it, without), sellers, subject.seed)[2]


def _check_single_features(ranked: list[SingleFeatureAuc], rows: Dataset, sample: str) -> Iterator[LimitCheck]:
    exclude = "Leave it out with --leave-out." if rows.is_table else "Exclude it with features.exclude."
    limit = Limit("AUC of one feature alone", TOO_GOOD)
    for each in [each for each in ranked if limit.is_beyond(each.best.value)] or ranked[:1]:
        if each.best.low > SEPARATES:
            why = (
                "It separates the outcomes almost completely, so it is probably known only after the decision. "
                f"{exclude}"
            )
        else:
            why = f"No feature that is known before the outcome ranks that well. {_FIND_OUT}"
        check = limit.check(each.best, "", sample)
        beyond = (
            f"{each.feature} alone ranks outcomes with an AUC of {figures(each.best)}, above the limit of {TOO_GOOD}."
        )
        note = {Standing.ALARM: f"{beyond} {why}", Standing.UNCERTAIN: f"{beyond} {_reaches(sample)} {_FIND_OUT}"}
        yield replace(check, note=note.get(check.standing, ""))


def _check_most_used(most_used: str, lost: Estimate, ranked: list[SingleFeatureAuc], sample: str) -> LimitCheck:
    limit, others = Limit("AUC lost without the most used feature", TOO_MUCH), len(ranked) - 1
    alone = next(each.best.value for each in ranked if each.feature == most_used)
    check = limit.check(lost, "", sample)
    beyond = f"{most_used} alone adds {figures(lost)} of AUC to all other features, above the limit of {TOO_MUCH}."
    if check.standing is Standing.ALARM and (others < _MANY or alone <= PLAUSIBLE):
        why = f"few other features ({others}) cannot replace one that matters"
        if others >= _MANY:
            why = f"it ranks alone with an AUC of {alone:.3f}, which is plausible. The model depends mostly on it"
        note = f"{beyond} It raises no alarm, because {why}. {_FIND_OUT}"
        return replace(check, standing=Standing.EXEMPT, note=note)
    notes = {
        Standing.ALARM: f"{beyond} That is too much for one of many features. {_FIND_OUT}",
        Standing.UNCERTAIN: f"{beyond} {_reaches(sample)}",
    }
    return replace(check, note=notes.get(check.standing, ""))


def _check_model(most_used: str, model_auc: Estimate, ranked: list[SingleFeatureAuc], sample: str) -> LimitCheck:
    strongest = first_names([f"{each.feature} ({each.best.value:.3f})" for each in ranked[:_NAMED]])
    limit = Limit("AUC of the model on the test rows", TOO_WELL)
    check = limit.check(model_auc, "", sample)
    found = f"The model ranks the outcomes of the test rows with an AUC of {figures(model_auc)}"
    beyond = f"{found}, above the limit of {TOO_WELL}."
    note = {
        Standing.ALARM: f"{beyond} {ranked[0].feature} alone reaches {figures(ranked[0].best)}. Train again without it."
        if ranked[0].best.low > TOO_GOOD
        else (
            f"{beyond} No model of features that are known before the outcome ranks that well. Several features may "
            f"each contain a part of the outcome. The strongest features alone, with their AUC: {strongest}. The model "
            f"uses {most_used} most. Find out when the values of these features became known."
        ),
        Standing.UNCERTAIN: f"{beyond} {_reaches(sample)}",
    }
    return replace(check, note=note.get(check.standing, ""))


def _reaches(sample: str) -> str:
    return f"It raises no alarm, because its 95% interval reaches the limit: {sample} are too few to decide."


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
