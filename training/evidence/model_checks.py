"""Does a feature know the outcome? Whatever ranks outcomes too well to be true was hardly known before them.

Does the served model obey every declared sign? Asked of the bundle itself, by moves that change one feature.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from training.evidence.limits import Limit, LimitCheck, Standing, alarms
from training.evidence.metrics import auc
from training.evidence.statistics import predict_by_single_features, predict_out_of_fold
from training.evidence.study import Finding, log_odds

if TYPE_CHECKING:
    import pandas as pd

    from scoring.bundle import Bundle
    from training.dataset import Dataset
    from training.evidence.study import ReviewedModel


TOO_GOOD: Final = 0.95
"""An AUC that no single operating figure reaches honestly: good application scores end near 0.8."""


TOO_MUCH: Final = 0.10
"""AUC that one feature of a hundred may add to all others: those that mean the same stand in for an honest one."""


TOO_WELL: Final = 0.95
"""An AUC that no model of operating data reaches honestly on later loans. Several blurred copies of the outcome hide
from the questions to one feature, and show here."""


ROWS: Final = 8_000
"""Training rows that are asked: a feature that knows outcomes shows on far fewer."""


_LEAST_OF_A_KIND: Final = 20


_NAMED: Final = 3


@dataclass(frozen=True)
class SingleFeatureAuc:
    """What one feature tells of outcomes by itself: AUC on all rows, and on those that have a value, if enough do."""

    feature: str
    all_rows: float
    known_rows: float | None

    @property
    def best(self) -> float:
        """The better of both: a copy of the outcome that only some rows have is perfect on those."""
        return max(self.all_rows, self.known_rows or 0.0)


def leaks(subject: ReviewedModel, most: int = ROWS) -> Finding:
    """Ask every feature alone to rank the outcomes of training rows, and drop those that the model leans on most."""
    rows = _sample(subject, most)
    told = sorted(_single_feature_aucs(rows, subject.seed), key=lambda each: -each.best)
    leant_on, lost = _reliance(subject, rows)
    whole = auc(subject.bad, subject.probability)
    checks = (*_alone(told), *_leak_checks(leant_on, lost, whole, told))
    return Finding(
        "leaks",
        "Features that may know the outcome",
        f"Asked: does a feature contain the outcome? Each of {len(told)} features alone ranked the outcomes of "
        f"{len(rows.rows):,} training rows, by a shallow tree trained on other {rows.borrowers}. The best, "
        f"{told[0].feature}, reaches AUC {told[0].best:.3f}; the limit is {TOO_GOOD}. Without {leant_on}, the feature "
        f"that the model uses most, a small model loses {lost:.3f} of AUC; the limit is {TOO_MUCH}. The model itself "
        f"reaches {whole:.3f} on the test rows; the limit is {TOO_WELL}.",
        figures={"best_alone_auc": told[0].best, "lost_without_one_auc": lost, "model_auc": whole},
        tables={"Features alone": _leak_table(told)},
        alarms=alarms(checks),
        checks=checks,
    )


def _sample(subject: ReviewedModel, most: int) -> Dataset:
    """Return the training rows, or so many of them drawn at random."""
    train = subject.train
    if len(train.rows) <= most:
        return train
    drawn = np.random.default_rng(subject.seed).choice(len(train.rows), most, replace=False)
    return train.select(train.rows.index.to_series().isin(drawn))


def _single_feature_aucs(rows: Dataset, seed: int) -> Iterator[SingleFeatureAuc]:
    bad = rows.rows["bad"].to_numpy()
    for name, probability in predict_by_single_features(rows.features, bad, rows.rows["seller_id"], seed).items():
        known = rows.features[name].notna().to_numpy()
        enough = min(bad[known].sum(), (~bad[known]).sum()) >= _LEAST_OF_A_KIND
        yield SingleFeatureAuc(name, auc(bad, probability), auc(bad[known], probability[known]) if enough else None)


def _reliance(subject: ReviewedModel, rows: Dataset) -> tuple[str, float]:
    """Return the feature that the model under review uses most, and the AUC that a small model loses without it."""
    bad, sellers = rows.rows["bad"].to_numpy(), rows.rows["seller_id"]
    if len(rows.features.columns) == 1:  # without its only feature no model is left to compare with
        return str(rows.features.columns[0]), 0.0
    name = subject.bundle.sheet.names[int(subject.bundle.model.booster.feature_importance("gain").argmax())]
    with_it, without = (
        auc(bad, predict_out_of_fold(features, bad, sellers, subject.seed))
        for features in (rows.features, rows.features.drop(columns=name))
    )
    return name, with_it - without


def _alone(told: list[SingleFeatureAuc]) -> Iterator[LimitCheck]:
    figure, limit = "AUC of one feature alone", f"at most {TOO_GOOD}"
    beyond = [each for each in told if each.best > TOO_GOOD]
    if not beyond:
        yield LimitCheck(figure, f"{told[0].best:.3f}", limit, Standing.WITHIN)
    for each in beyond:
        note = (
            f"{each.feature} alone ranks outcomes with AUC {each.best:.3f}, above the limit of {TOO_GOOD}: too well "
            "for anything known before them. Find out when its values became known."
        )
        yield LimitCheck(figure, f"{each.best:.3f}", limit, Standing.ALARM, note)


def _leak_checks(leant_on: str, lost: float, whole: float, told: list[SingleFeatureAuc]) -> Iterator[LimitCheck]:
    suspects = ", ".join(f"{each.feature} ({each.best:.3f})" for each in told[:_NAMED])
    yield _at_most(
        Limit("AUC lost without the most used feature", TOO_MUCH),
        lost,
        f"{leant_on} alone adds {lost:.3f} of AUC to all other features, above the limit of {TOO_MUCH}: too much for "
        "one of many. Find out when its values became known.",
    )
    yield _at_most(
        Limit("AUC of the model on the test rows", TOO_WELL),
        whole,
        f"The model ranks the outcomes of the test rows with AUC {whole:.3f}, above the limit of {TOO_WELL}: too well "
        f"for anything known before them. Several features may each hold a part of the outcome. Strongest alone, with "
        f"their AUC: {suspects}; {leant_on} is used most. Find out when their values became known.",
    )


def _at_most(limit: Limit, value: float, alarm: str) -> LimitCheck:
    """Check a figure without an interval."""
    standing, note = (Standing.ALARM, alarm) if limit.is_beyond(value) else (Standing.WITHIN, "")
    return LimitCheck(limit.figure, f"{value:.3f}", str(limit), standing, note)


def _leak_table(told: list[SingleFeatureAuc]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        [
            {
                "feature": each.feature,
                "auc_alone": each.all_rows,
                "auc_where_known": np.nan if each.known_rows is None else each.known_rows,
            }
            for each in told
        ]
    )


MOVES: Final = 10_000
"""A feature's random moves: enough to cross each of its splits from many sides."""


_BEYOND: Final = 0.1
"""Moves also reach this share of a feature's range past its ends, where the service may one day meet a seller."""


_MOST_ROWS: Final = 5_000


@dataclass(frozen=True)
class MonotonicityResult:
    """What moving one feature did.

    Attributes:
        feature: its name.
        sign: +1 where a higher value may only raise the probability of default, -1 where it may only lower it.
        moves: how many were tried, each to another value; none where the feature was never known.
        felt: how many changed the probability at all.
        violations: how many changed it against the sign.
        largest: the largest violation, in probability of default.
    """

    feature: str
    sign: int
    moves: int
    felt: int
    violations: int
    largest: float


def monotone(subject: ReviewedModel, moves: int = MOVES) -> Finding:
    """Move every signed feature of random test rows, and count where the probability went the wrong way."""
    found = list(audit_signs(subject.served, subject.test.features.to_numpy(), moves, subject.seed))
    check = _sign_check(found)
    return Finding(
        "monotone",
        "Signs that the model obeys",
        _sign_summary(found, moves),
        figures={
            "features": float(len(found)),
            "moves": float(sum(each.moves for each in found)),
            "violations": float(sum(each.violations for each in found)),
            "largest_violation": max((each.largest for each in found), default=0.0),
        },
        tables={"Moves by feature": _sign_table(found)},
        alarms=alarms((check,)),
        checks=(check,),
    )


def audit_signs(bundle: Bundle, rows: NDArray[np.float64], moves: int, seed: int) -> Iterator[MonotonicityResult]:
    """Yield what single moves of each signed feature do to the probability of default.

    Args:
        bundle: as it would serve.
        rows: where moves start, shape (rows, features), NaN where missing; a missing value cannot be moved.
        moves: tried for each feature that is known in some row.
        seed: of the moves.
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
        # how far the log-odds went in the direction that the move may not take them
        upward = np.sign(moved[:, column] - rows[start, column]) * entry.sign
        wrong = upward * (before[start] - after) > 0
        change = np.abs(_probability(after) - _probability(before[start]))
        felt = int((after != before[start]).sum())
        yield MonotonicityResult(
            entry.name, entry.sign, moves, felt, int(wrong.sum()), float(change[wrong].max(initial=0.0))
        )


def _probe_values(
    seen: NDArray[np.float64], start: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw values to move to, none where it starts: half of them seen, others from anywhere between or a little beyond.

    Where all that was seen is one value, beyond is a tenth of it, or of 1.
    """
    low, high = float(seen.min()), float(seen.max())
    beyond = _BEYOND * ((high - low) or abs(high) or 1.0)
    anywhere = rng.uniform(low - beyond, high + beyond, len(start))
    to = np.where(rng.random(len(start)) < 0.5, rng.choice(seen, len(start)), anywhere)  # noqa: PLR2004
    return np.where(to == start, anywhere, to)


def _probability(of: NDArray[np.float64]) -> NDArray[np.float64]:
    return 0.5 + 0.5 * np.tanh(0.5 * of)


def _sign_summary(found: list[MonotonicityResult], moves: int) -> str:
    violations, tried = (sum(getattr(each, name) for each in found) for name in ("violations", "moves"))
    known = sum(each.moves > 0 for each in found)
    return (
        "Asked: can a higher value of a feature ever change the probability of default against its declared sign? In "
        f"{tried:,} random moves of one feature at a time, {moves:,} for each of the {known} signed features that test "
        f"rows know, {violations:,} did. Values are observed ones, and random ones between or slightly beyond them."
    )


def _sign_check(found: list[MonotonicityResult]) -> LimitCheck:
    broken, violations = [each for each in found if each.violations], sum(each.violations for each in found)
    note, standing = (_sign_alarm(broken), Standing.ALARM) if broken else ("", Standing.WITHIN)
    return LimitCheck(
        "number of moves of one feature against its declared sign", f"{violations:,}", "0", standing, note
    )


def _sign_alarm(broken: list[MonotonicityResult]) -> str:
    worst = max(broken, key=lambda each: each.largest)
    return (
        f"The model breaks the declared sign of {', '.join(each.feature for each in broken)}; the largest violation, "
        f"{worst.largest:.2g} in probability of default, is of {worst.feature}. The limit is 0. Do not promote it; "
        "train again with these constraints."
    )


def _sign_table(found: list[MonotonicityResult]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        [
            {
                "feature": each.feature,
                "sign": each.sign,
                "moves": each.moves,
                "felt": each.felt,
                "violations": each.violations,
                "largest_violation": each.largest,
            }
            for each in found
        ]
    )
