"""Population stability: PSI of the score and of every feature between two samples of rows, with intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from features.quality.psi import ACT, WATCH, Stability, Verdict, stability
from training.evidence.limits import Limit, LimitCheck, Standing, first_names
from training.evidence.metrics import Estimate, build_table
from training.evidence.plots import forest
from training.evidence.study import Finding
from training.split import Evidence

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from training.evidence.study import ReviewedModel

SCORE: Final = "score"

GROUPS: Final = 100
"""Number of groups of sellers that are resampled for the intervals, because rows of one seller are correlated."""

SCORE_PSI: Final = Limit(f"PSI of the {SCORE}", ACT)
FEATURE_PSI: Final = Limit("PSI of a feature", ACT)

_TITLE: Final = "Population stability"
_TENTHS: Final = np.arange(1, 10) / 10
_SHOWN: Final = 15
_PSI_END: Final = 1.0
"""The largest PSI that is drawn to scale."""


@dataclass(frozen=True)
class Sample:
    """Rows of a population: a column of numbers for each figure to compare (NaN is missing), and their sellers."""

    values: pd.DataFrame
    sellers: pd.Series

    @classmethod
    def scored(cls, features: pd.DataFrame, sellers: pd.Series, score: NDArray[np.int64]) -> Sample:
        """Return the sample of some features and the score."""
        return cls(features.assign(**{SCORE: score}), sellers)


@dataclass(frozen=True)
class Drift:
    """PSI of one figure, and the bin whose share has changed most, with its shares before and now."""

    stability: Stability
    bin: str
    before: float
    now: float

    @property
    def psi(self) -> Estimate:
        """The PSI with its interval; from 0 upwards if the sample is too small for one."""
        low, high = self.stability.low, self.stability.high
        if low is None or high is None:
            return Estimate(self.stability.psi, 0.0, self.stability.psi)
        return Estimate(self.stability.psi, float(low), float(high))


def study_drift(subject: ReviewedModel) -> Finding:
    """Compare the test rows with the training rows, scored by models that were not trained on the row's seller."""
    if subject.evidence is Evidence.OUT_OF_FOLD:
        summary = "Not studied: the model was trained on every row, so no rows are later than others."
        return Finding("drift", _TITLE, summary)
    # a feature that the model does not read cannot change its scores
    read = [entry.name for entry in subject.bundle.sheet.scored_entries]
    train, test = (
        Sample.scored(part.features[read], part.rows["seller_id"], score)
        for part, score in ((subject.train, subject.train_score), (subject.test, subject.score))
    )
    drifts = measure_drifts(train, test)
    score = drifts.pop(SCORE)
    if score.stability.low is None:
        return Finding("drift", _TITLE, f"Not studied: the rows are of too few {subject.train.words.units}.")
    labels = {entry.name: entry.label for entry in subject.bundle.sheet.entries}
    count = {verdict: sum(each.stability.verdict is verdict for each in drifts.values()) for verdict in Verdict}
    return Finding(
        "drift",
        _TITLE,
        _summary(subject, score.psi, len(drifts), count),
        figures={
            **score.psi.figures("score_psi"),
            "features_to_watch": float(count[Verdict.WATCH]),
            "features_to_act_on": float(count[Verdict.ACT]),
            "largest_feature_psi": max(each.stability.psi for each in drifts.values()),
        },
        tables={"PSI by feature": drift_table({SCORE: score, **drifts}, ("training", "test"))},
        plots={"by_feature": _plot({SCORE: score, **drifts}, labels)},
        checks=tuple(_checks(subject, score.psi, drifts)),
    )


def measure_drifts(before: Sample, now: Sample) -> dict[str, Drift]:
    """Compare every column of `before` with that of the same name in `now`, the largest PSI first.

    Bins are the tenths of the sample before, so that each holds a tenth of its rows. A value that fills several tenths
    has a bin of its own, and so have missing values.

    Example: a column whose values have not changed has a PSI near 0; one that is now always missing, far above 0.25.
    """
    groups = [_groups(sample.sellers) for sample in (before, now)]
    drifts = {
        name: _drift(before.values[name].to_numpy(np.float64), now.values[name].to_numpy(np.float64), groups)
        for name in before.values.columns
    }
    return dict(sorted(drifts.items(), key=lambda item: -item[1].stability.psi))


def edges(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the upper ends of all bins but the last, rising; none if no value is known.

    Example: of ten zeros and 1 to 10, the ends are the last number below 0, then 0, 0.5, 2.4, 4.3, 6.2 and 8.1: zero
    has a bin of its own.
    """
    known = values[~np.isnan(values)]
    if not len(known):
        return known
    tenths = np.quantile(known, _TENTHS)
    repeated = tenths[1:][tenths[1:] == tenths[:-1]]
    return np.unique(np.concatenate([tenths, np.nextafter(repeated, -np.inf)]))


def _drift(before: NDArray[np.float64], now: NDArray[np.float64], groups: list[NDArray[np.int64]]) -> Drift:
    ends = edges(before)
    bins = len(ends) + 2
    counts = [_counts(values, ends, of) for values, of in zip((before, now), groups, strict=True)]
    shares = [count.sum(axis=0) / count.sum() for count in counts]
    most = int(np.abs(shares[1] - shares[0]).argmax())
    name = "missing" if most == bins - 1 else _bin_name(ends, most)
    return Drift(stability(*counts), name, float(shares[0][most]), float(shares[1][most]))


def _counts(values: NDArray[np.float64], ends: NDArray[np.float64], groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return rows by group of sellers and bin, missing values in the last bin."""
    bins = len(ends) + 2
    index = np.where(np.isnan(values), bins - 1, np.searchsorted(ends, values, side="left"))
    return np.bincount(groups * bins + index, minlength=GROUPS * bins).reshape(GROUPS, bins).astype(np.float64)


def _bin_name(ends: NDArray[np.float64], index: int) -> str:
    if not len(ends):
        return "any value"
    # an end just below a value means that the value has a bin of its own
    own = np.nextafter(ends[:-1], np.inf) == ends[1:]
    shown = [f"{end:,.4g}" for end in np.append(np.where(own, ends[1:], ends[:-1]), ends[-1])]
    if index == len(ends):
        return f"above {shown[-1]}"
    if index and own[index - 1]:
        return shown[index]
    upper = f"below {shown[index]}" if index < len(own) and own[index] else f"up to {shown[index]}"
    return f"above {shown[index - 1]}, {upper}" if index else upper


def _groups(sellers: pd.Series) -> NDArray[np.int64]:
    import pandas as pd

    return (pd.util.hash_array(sellers.to_numpy(dtype=object)) % GROUPS).astype(np.int64)


def drift_table(drifts: Mapping[str, Drift], samples: tuple[str, str] = ("before", "now")) -> pd.DataFrame:
    """Return a line for each figure, the largest PSI first; `samples` names the two that were compared."""
    return build_table(
        {
            "figure": name,
            # a sample of too few sellers has no interval
            "psi": drift.stability.psi if drift.stability.low is None else drift.psi,
            "verdict": str(drift.stability.verdict),
            "moved_most": drift.bin,
            f"share_{samples[0]}": drift.before,
            f"share_{samples[1]}": drift.now,
        }
        for name, drift in sorted(drifts.items(), key=lambda item: -item[1].stability.psi)
    )


def _checks(subject: ReviewedModel, score: Estimate, drifts: Mapping[str, Drift]) -> Iterator[LimitCheck]:
    words = subject.train.words
    sample = f"{len(subject.test.rows):,} test {words.rows}"
    action = (
        f"The model scores the test {words.rows} differently from the training {words.rows}. Find the features that "
        f"have shifted, and retrain on later {words.rows} before you use the bands."
    )
    yield SCORE_PSI.check(score, action, sample)
    beyond = {name: drift.psi for name, drift in drifts.items() if drift.stability.psi > ACT}
    certain = {name: psi for name, psi in beyond.items() if psi.low > ACT}
    uncertain = {name: psi for name, psi in beyond.items() if name not in certain}
    figure, limit, of_all = FEATURE_PSI.figure, str(FEATURE_PSI), f"of {len(drifts)} features above"
    if certain:
        advice = (
            "Find out whether the rows or the way in which the table was made have changed. A column that counts time "
            "shifts because time passes."
            if subject.train.is_table
            else "Find out whether the sellers or the deliveries have changed. A feature that counts time on the "
            "platform or earlier loans shifts because the platform gets older; later training loans reduce that."
        )
        note = (
            f"The PSI of {len(certain)} of {len(drifts)} features is above the limit of {ACT} with its whole 95% "
            f"interval: {_with_psi(certain)}. {advice}"
        )
        yield LimitCheck(figure, f"{len(certain)} {of_all}", limit, Standing.ALARM, note)
    if uncertain:
        note = (
            f"The PSI of {len(uncertain)} {'more ' if certain else ''}features is above the limit of {ACT}: "
            f"{_with_psi(uncertain)}. They raise no alarm, because their 95% intervals reach the limit: {sample} are "
            "too few to decide."
        )
        yield LimitCheck(figure, f"{len(uncertain)} {of_all}", limit, Standing.UNCERTAIN, note)
    if not beyond:
        yield LimitCheck(figure, f"0 {of_all}", limit, Standing.WITHIN)


def _with_psi(beyond: Mapping[str, Estimate]) -> str:
    return first_names([f"{name} {psi.value:.2f}" for name, psi in beyond.items()])


def _summary(subject: ReviewedModel, score: Estimate, features: int, count: Mapping[Verdict, int]) -> str:
    words = subject.train.words
    return (
        f"Do the {len(subject.test.rows):,} test {words.rows} come from the same population as the "
        f"{len(subject.train.rows):,} training {words.rows}? The PSI of the score is {score}. Of {features} features, "
        f"{count[Verdict.ACT]} have a PSI above {ACT} (act) and {count[Verdict.WATCH]} one from {WATCH} to {ACT} "
        f"(watch). The training {words.rows} are scored out of fold. Intervals come from "
        f"resampling {words.units} and are corrected for the bias that random variation adds to a PSI."
    )


def _plot(drifts: Mapping[str, Drift], labels: Mapping[str, str]) -> Figure:
    shown = sorted(drifts.items(), key=lambda item: (item[0] != SCORE, -item[1].stability.psi))[:_SHOWN]
    estimates = [Estimate.exact(each.stability.psi) if each.stability.low is None else each.psi for _, each in shown]
    heading = f"PSI ({WATCH} watch, {ACT} act)"
    names = [labels.get(name, name.capitalize()) for name, _ in shown]
    return forest(names, {heading: estimates}, {heading: ACT}, {heading: _PSI_END})
