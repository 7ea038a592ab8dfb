"""Has the population moved? The stability index (PSI) of the score and of every feature between two samples of rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from features.quality.psi import ACT, WATCH, Stability, Verdict, stability
from training.evidence.finding import Finding
from training.evidence.limits import Limit, LimitCheck, Standing, alarms
from training.evidence.metrics import Estimate
from training.split import Evidence

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from training.dataset import Dataset
    from training.evidence.subject import Subject

SCORE: Final = "score"

GROUPS: Final = 100
"""Sellers are gathered in so many groups, which are drawn again for the intervals: rows of one seller are alike."""

SCORE_PSI: Final = Limit(f"PSI of the {SCORE}", ACT)
FEATURE_PSI: Final = Limit("PSI of a feature", ACT)

_NAMED: Final = 5
_TENTHS: Final = np.arange(1, 10) / 10
_SHOWN: Final = 15
_PSI_END: Final = 1.0
"""The largest index that is drawn to scale: above it a population is simply another one."""


@dataclass(frozen=True)
class Sample:
    """Rows of a population: a column of numbers for each figure to compare (NaN is missing), and whose they are."""

    values: pd.DataFrame
    sellers: pd.Series


@dataclass(frozen=True)
class Drift:
    """How far one figure has moved, and the bin whose share has moved most, with its shares before and now."""

    stability: Stability
    bin: str
    before: float
    now: float


def drift(subject: Subject) -> Finding:
    """Compare the test rows with the training rows, whose scores are of models that did not see the row's seller."""
    if subject.evidence is Evidence.OUT_OF_FOLD:
        return Finding("drift", "Drift", "Not studied: the model learnt from every row, so none is later than others.")
    # what the model does not read cannot move its scores
    read = [entry.name for entry in subject.bundle.sheet.scored_entries]
    found = drifts(_scored(subject.train, read, subject.train_score), _scored(subject.test, read, subject.score))
    score = found.pop(SCORE)
    if score.stability.low is None:
        return Finding("drift", "Drift", f"Not studied: the rows are of too few {subject.train.borrowers} to tell.")
    checks = tuple(_checks(subject, score.stability, found))
    labels = {entry.name: entry.label for entry in subject.bundle.sheet.entries}
    by_verdict = {word: [name for name, each in found.items() if each.stability.verdict is word] for word in Verdict}
    return Finding(
        "drift",
        "Drift",
        _said(subject, score.stability, by_verdict),
        figures={
            "score_psi": score.stability.psi,
            **_ends("score_psi", score.stability),
            "features_to_watch": float(len(by_verdict[Verdict.WATCH])),
            "features_to_act_on": float(len(by_verdict[Verdict.ACT])),
            "largest_feature_psi": max(each.stability.psi for each in found.values()),
        },
        tables={"PSI by feature": table({SCORE: score, **found}, ("training", "test"))},
        plots={"by_feature": _plot({SCORE: score, **found}, labels)},
        alarms=alarms(checks),
        checks=checks,
    )


def drifts(before: Sample, now: Sample) -> dict[str, Drift]:
    """Compare every column of `before` with that of the same name in `now`, the farthest moved first.

    Bins are the tenths of the sample before, so that each holds a tenth of its rows; a value that fills several
    tenths has a bin of its own, and so have missing values.

    Example: a column whose values have not moved has a PSI near 0; one that is now always missing, one far above 0.25.
    """
    groups = [_groups(sample.sellers) for sample in (before, now)]
    found = {
        name: _drift(before.values[name].to_numpy(np.float64), now.values[name].to_numpy(np.float64), groups)
        for name in before.values.columns
    }
    return dict(sorted(found.items(), key=lambda each: -each[1].stability.psi))


def edges(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the upper ends of all bins but the last, rising; none where no value is known.

    Example: of ten zeros and 1 to 10, the ends are the last number below 0, then 0, 0.5, 2.4, 4.3, 6.2 and 8.1: zero
    has a bin of its own.
    """
    known = values[~np.isnan(values)]
    if not len(known):
        return known
    tenths = np.quantile(known, _TENTHS)
    filled = tenths[1:][tenths[1:] == tenths[:-1]]
    return np.unique(np.concatenate([tenths, np.nextafter(filled, -np.inf)]))


def _drift(before: NDArray[np.float64], now: NDArray[np.float64], groups: list[NDArray[np.int64]]) -> Drift:
    ends = edges(before)
    bins = len(ends) + 2
    counts = [_counts(values, ends, of) for values, of in zip((before, now), groups, strict=True)]
    shares = [count.sum(axis=0) / count.sum() for count in counts]
    most = int(np.abs(shares[1] - shares[0]).argmax())
    name = "missing" if most == bins - 1 else _name(ends, most)
    return Drift(stability(*counts), name, float(shares[0][most]), float(shares[1][most]))


def _counts(values: NDArray[np.float64], ends: NDArray[np.float64], groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return rows by group of sellers and bin, missing values in the last bin."""
    bins = len(ends) + 2
    place = np.where(np.isnan(values), bins - 1, np.searchsorted(ends, values, side="left"))
    return np.bincount(groups * bins + place, minlength=GROUPS * bins).reshape(GROUPS, bins).astype(np.float64)


def _name(ends: NDArray[np.float64], place: int) -> str:
    """Say which values the bin holds; a bin with an end of its own value is that value."""
    if not len(ends):
        return "any value"
    # the end just below a value stands for the value
    own = np.nextafter(ends[:-1], np.inf) == ends[1:]
    shown = [f"{end:,.4g}" for end in np.append(np.where(own, ends[1:], ends[:-1]), ends[-1])]
    if place == len(ends):
        return f"above {shown[-1]}"
    if place and own[place - 1]:
        return shown[place]
    upper = f"below {shown[place]}" if place < len(own) and own[place] else f"up to {shown[place]}"
    return f"above {shown[place - 1]}, {upper}" if place else upper


def _groups(sellers: pd.Series) -> NDArray[np.int64]:
    import pandas as pd

    return (pd.util.hash_array(sellers.to_numpy(dtype=object)) % GROUPS).astype(np.int64)


def _scored(part: Dataset, read: list[str], score: NDArray[np.int64]) -> Sample:
    return Sample(part.features[read].assign(**{SCORE: score}), part.rows["seller_id"])


def table(found: Mapping[str, Drift], samples: tuple[str, str] = ("before", "now")) -> pd.DataFrame:
    """Return a line a figure, the farthest moved first; `samples` names the two that were compared."""
    import pandas as pd

    return pd.DataFrame(
        [
            {
                "figure": name,
                "psi": each.stability.psi,
                **_ends("psi", each.stability),
                "verdict": str(each.stability.verdict),
                "moved_most": each.bin,
                f"share_{samples[0]}": each.before,
                f"share_{samples[1]}": each.now,
            }
            for name, each in sorted(found.items(), key=lambda item: -item[1].stability.psi)
        ]
    )


def _ends(name: str, found: Stability) -> dict[str, float]:
    # a sample of too few sellers has no interval
    ends = {f"{name}_low": found.low, f"{name}_high": found.high}
    return {end: float(value) for end, value in ends.items() if value is not None}


def _checks(subject: Subject, score: Stability, found: Mapping[str, Drift]) -> Iterator[LimitCheck]:
    sample = f"{len(subject.test.rows):,} test loans"
    action = (
        "The test loans are scored differently from the training loans. Find the features that moved, and retrain on "
        "later loans before you rely on the bands."
    )
    yield SCORE_PSI.check(estimate(score), action, sample)
    beyond = {name: estimate(each.stability) for name, each in found.items() if each.stability.psi > ACT}
    certain = {name: each for name, each in beyond.items() if each.low > ACT}
    if certain:
        changed = "the borrowers or the table" if subject.train.is_table else "the sellers or the deliveries"
        note = (
            f"The PSI of {len(certain)} of {len(found)} features lies above the limit of {ACT} with its whole 95% "
            f"interval: {_named(certain)}. Find out whether {changed} have changed. A feature that "
            "counts time on the platform or earlier loans moves because the platform gets older; later training loans "
            "reduce that."
        )
        shown = f"{len(certain)} of {len(found)} features above"
        yield LimitCheck(FEATURE_PSI.figure, shown, str(FEATURE_PSI), Standing.ALARM, note)
    uncertain = {name: each for name, each in beyond.items() if name not in certain}
    if uncertain:
        note = (
            f"The PSI of {len(uncertain)} {'more ' if certain else ''}features is above the limit of {ACT}: "
            f"{_named(uncertain)}. They raise no alarm, because their 95% intervals reach the limit: {sample} are too "
            "few to decide."
        )
        shown = f"{len(uncertain)} of {len(found)} features above"
        yield LimitCheck(FEATURE_PSI.figure, shown, str(FEATURE_PSI), Standing.UNCERTAIN, note)
    if not beyond:
        yield LimitCheck(FEATURE_PSI.figure, f"0 of {len(found)} features above", str(FEATURE_PSI), Standing.WITHIN)


def estimate(found: Stability) -> Estimate:
    """Return an index with its interval; without one, it is uncertain from 0 upwards."""
    low, high = (0.0, found.psi) if found.low is None or found.high is None else (found.low, found.high)
    return Estimate(found.psi, low, high)


def _named(found: Mapping[str, Estimate]) -> str:
    shown = ", ".join(f"{name} {each.value:.2f}" for name, each in list(found.items())[:_NAMED])
    return f"{shown} and {len(found) - _NAMED} more" if len(found) > _NAMED else shown


def _shown(found: Stability) -> str:
    interval = "" if found.low is None else f" ({found.low:.3f} to {found.high:.3f})"
    return f"PSI {found.psi:.3f}{interval}"


def _said(subject: Subject, score: Stability, by_verdict: Mapping[Verdict, list[str]]) -> str:
    act, watch = by_verdict[Verdict.ACT], by_verdict[Verdict.WATCH]
    borrowers = subject.train.borrowers
    return (
        f"Asked: do the {len(subject.test.rows):,} test rows resemble the {len(subject.train.rows):,} training rows? "
        f"The score has {_shown(score)}. Of {sum(map(len, by_verdict.values()))} features, {len(act)} have a PSI above "
        f"{ACT} (act) and {len(watch)} one from {WATCH} to {ACT} (watch). Training rows are scored by models that were "
        f"not trained on their {borrowers}. Intervals come from resampling {borrowers}, less the bias that chance adds "
        "to a PSI."
    )


def _plot(found: Mapping[str, Drift], labels: Mapping[str, str]) -> Figure:
    """Draw the indexes of the score and of the features that moved most, up to `_PSI_END`."""
    from training.evidence.drawing import forest

    shown = sorted(found.items(), key=lambda item: (item[0] != SCORE, -item[1].stability.psi))[:_SHOWN]
    estimates = [
        Estimate(each.psi, each.psi if each.low is None else each.low, each.psi if each.high is None else each.high)
        for each in (each.stability for _, each in shown)
    ]
    heading = f"PSI ({WATCH} watch, {ACT} act)"
    names = [labels.get(name, name.capitalize()) for name, _ in shown]
    return forest(names, {heading: estimates}, {heading: ACT}, {heading: _PSI_END})
