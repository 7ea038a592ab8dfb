"""Does a feature know the outcome? Whatever ranks outcomes too well to be true was hardly known before them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from training.evidence.crossfit import cross_fitted, each_alone
from training.evidence.finding import Finding
from training.evidence.limits import Limit, LimitCheck, Standing, alarms
from training.evidence.metrics import auc

if TYPE_CHECKING:
    import pandas as pd

    from training.dataset import Dataset
    from training.evidence.subject import Subject

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
class Told:
    """What one feature tells of outcomes by itself: AUC on all rows, and on those that have a value, if enough do."""

    feature: str
    all_rows: float
    known_rows: float | None

    @property
    def best(self) -> float:
        """The better of both: a copy of the outcome that only some rows have is perfect on those."""
        return max(self.all_rows, self.known_rows or 0.0)


def leaks(subject: Subject, most: int = ROWS) -> Finding:
    """Ask every feature alone to rank the outcomes of training rows, and drop those that the model leans on most."""
    rows = _rows(subject, most)
    told = sorted(_told(rows, subject.seed), key=lambda each: -each.best)
    leant_on, lost = _leant_on(subject, rows)
    whole = auc(subject.bad, subject.probability)
    checks = (*_alone(told), *_checks(leant_on, lost, whole, told))
    return Finding(
        "leaks",
        "Features that may know the outcome",
        f"Asked: does a feature contain the outcome? Each of {len(told)} features alone ranked the outcomes of "
        f"{len(rows.rows):,} training rows, by a shallow tree trained on other {rows.borrowers}. The best, "
        f"{told[0].feature}, reaches AUC {told[0].best:.3f}; the limit is {TOO_GOOD}. Without {leant_on}, the feature "
        f"that the model uses most, a small model loses {lost:.3f} of AUC; the limit is {TOO_MUCH}. The model itself "
        f"reaches {whole:.3f} on the test rows; the limit is {TOO_WELL}.",
        figures={"best_alone_auc": told[0].best, "lost_without_one_auc": lost, "model_auc": whole},
        tables={"Features alone": _table(told)},
        alarms=alarms(checks),
        checks=checks,
    )


def _rows(subject: Subject, most: int) -> Dataset:
    """Return the training rows, or so many of them drawn at random."""
    train = subject.train
    if len(train.rows) <= most:
        return train
    drawn = np.random.default_rng(subject.seed).choice(len(train.rows), most, replace=False)
    return train.select(train.rows.index.to_series().isin(drawn))


def _told(rows: Dataset, seed: int) -> Iterator[Told]:
    bad = rows.rows["bad"].to_numpy()
    for name, probability in each_alone(rows.features, bad, rows.rows["seller_id"], seed).items():
        known = rows.features[name].notna().to_numpy()
        enough = min(bad[known].sum(), (~bad[known]).sum()) >= _LEAST_OF_A_KIND
        yield Told(name, auc(bad, probability), auc(bad[known], probability[known]) if enough else None)


def _leant_on(subject: Subject, rows: Dataset) -> tuple[str, float]:
    """Return the feature that the model under review uses most, and the AUC that a small model loses without it."""
    bad, sellers = rows.rows["bad"].to_numpy(), rows.rows["seller_id"]
    if len(rows.features.columns) == 1:  # without its only feature no model is left to compare with
        return str(rows.features.columns[0]), 0.0
    name = subject.bundle.sheet.names[int(subject.bundle.model.booster.feature_importance("gain").argmax())]
    with_it, without = (
        auc(bad, cross_fitted(features, bad, sellers, subject.seed))
        for features in (rows.features, rows.features.drop(columns=name))
    )
    return name, with_it - without


def _alone(told: list[Told]) -> Iterator[LimitCheck]:
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


def _checks(leant_on: str, lost: float, whole: float, told: list[Told]) -> Iterator[LimitCheck]:
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


def _table(told: list[Told]) -> pd.DataFrame:
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
