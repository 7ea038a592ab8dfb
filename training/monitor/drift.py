"""Drift: the population stability index (PSI) of the score and of every feature against the training population.

Each seller counts once, with the latest score in the analysis period, so that sellers with daily requests do not
dominate. Both samples contain only sellers with enough history for a score.

The PSI is `sum((now - before) * ln(now / before))` over the shares in the tenths of the reference (Siddiqi, Credit Risk
Scorecards, 2006, ch. 9). Intervals are those of `evidence.drift`: groups of sellers are resampled, and the part due to
chance is subtracted (basic bootstrap; Davison and Hinkley, Bootstrap methods and their application, 1997, ch. 5).

Training rows are from past years, so seller ages always drift upwards. Such drift is listed but raises no alarm, unless
sellers got younger.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Final

import numpy as np

from features.catalogue import CATALOGUE, digest
from features.expressions import DaysOnPlatform, DaysSinceFirst, OldestStore, measures_of
from features.pipeline import compute_frame
from features.quality.psi import ACT, WATCH, Verdict
from training.config import Threshold
from training.errors import TrainingError
from training.evidence.drift import SCORE, Sample, drift_table, measure_drifts
from training.evidence.metrics import build_table
from training.evidence.study import Finding
from training.monitor.score_log import SCORED, month_of

if TYPE_CHECKING:
    import pandas as pd

    from training.evidence.drift import Drift
    from training.monitor.subject import MonitoredModel, Reference

AGES: Final = frozenset(
    feature.name
    for feature in CATALOGUE
    if feature.unit == "days"
    and any(
        isinstance(measure, DaysOnPlatform | DaysSinceFirst | OldestStore)
        for measure in measures_of(feature.expression)
    )
)
"""Features that grow by one every day: `days_on_platform`, `days_since_first_order`, `oldest_store_days`."""

BY_FEATURE: Final = "PSI by feature"
BY_MONTH: Final = "PSI of the score by month"
_TITLE: Final = "Drift"
_NAMED: Final = 5


def _only_older(before: Sample, now: Sample, found: Mapping[str, Drift]) -> frozenset[str]:
    """Return the age features that drifted because sellers got older, by the median of the known values.

    A feature whose largest change is in its missing values is not among them.
    """
    return frozenset(
        name
        for name in AGES & found.keys()
        if found[name].bin != "missing" and now.values[name].median() > before.values[name].median()
    )


def drift(monitored: MonitoredModel) -> Finding:
    """Compare the sellers of the analysis period with the training population of the model."""
    now, limits = _latest(monitored.recent), monitored.config.drift
    if len(now) < limits.least_sellers:
        return Finding(
            "drift",
            _TITLE,
            f"Not measured: {len(now)} sellers got a score in the last {limits.days} days; {limits.least_sellers} are "
            "needed.",
        )
    try:
        reference = monitored.references.load(monitored.model)
    except TrainingError as error:
        return Finding("drift", _TITLE, f"Not measured: the training population is not known. {error}")
    score, sample = _score_drift(monitored, reference, now), _features(monitored, now)
    features = {} if sample is None else measure_drifts(reference.features, sample)
    older = frozenset[str]() if sample is None else _only_older(reference.features, sample, features)
    threshold = Threshold(upper=limits.feature_psi_most)
    moved = {name for name, each in features.items() if threshold.is_breached(each.psi)}
    drifted = {name: each for name, each in features.items() if name in moved - older}
    grown = sorted(older & moved)
    rows = (len(reference.features.values), len(now))
    return Finding(
        "drift",
        _TITLE,
        _summary(monitored, rows, score, features) + _age_summary(grown),
        figures={
            "sellers": float(len(now)),
            **({} if score is None else score.psi.figures("score_psi")),
            **_feature_figures(features, drifted, grown),
        },
        tables={
            BY_FEATURE: _table(monitored, features if score is None else {SCORE: score, **features}, older),
            BY_MONTH: _by_month(monitored, reference),
        },
        alarms=tuple(_alarms(monitored, score, drifted)),
    )


def _latest(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the latest score of each seller who has one."""
    return scores[scores["outcome"] == SCORED].drop_duplicates("seller_id", keep="last")


def _score_drift(monitored: MonitoredModel, reference: Reference, now: pd.DataFrame) -> Drift | None:
    """Compare scores with those of rows that the model was not trained on; None if there are too few of them."""
    before = reference.score
    if before is None or len(before.values) < monitored.config.drift.least_sellers:
        return None
    return measure_drifts(before, Sample(now[[SCORE]], now["seller_id"]))[SCORE]


def _features(monitored: MonitoredModel, now: pd.DataFrame) -> Sample | None:
    """Return the features of the scores, stored or computed; None if the catalogue of the model is not today's."""
    import pandas as pd

    sheet = monitored.model.bundle.sheet
    if now["values"].notna().all():
        features = pd.DataFrame(np.stack(now["values"].to_list()), columns=list(sheet.names))
    elif sheet.catalogue == digest(CATALOGUE):
        pairs = now[["seller_id", "as_of"]]
        computed = compute_frame(monitored.references.source.store, pairs)
        features = computed.reindex(pd.MultiIndex.from_frame(pairs)).reset_index(drop=True)
    else:
        return None
    return Sample(features, now["seller_id"])


def _feature_figures(
    features: Mapping[str, Drift], drifted: Mapping[str, Drift], grown: Collection[str]
) -> dict[str, float]:
    if not features:
        return {}
    return {
        "largest_feature_psi": max(each.stability.psi for each in features.values()),
        "features_to_watch": float(_count(features, Verdict.WATCH)),
        "features_to_act_on": float(_count(features, Verdict.ACT)),
        "features_surely_moved": float(len(drifted)),
        "features_only_older": float(len(grown)),
    }


def _count(found: Mapping[str, Drift], verdict: Verdict) -> int:
    return sum(each.stability.verdict is verdict for each in found.values())


def _table(monitored: MonitoredModel, found: Mapping[str, Drift], older: Collection[str]) -> pd.DataFrame:
    labels = {entry.name: entry.label for entry in monitored.model.bundle.sheet.entries} | {SCORE: "Score"}
    rows = drift_table(found, ("training", "now"))
    rows.insert(0, "label", rows["figure"].map(labels))
    return rows.assign(explained=["sellers got older" if name in older else "" for name in rows["figure"]])


def _by_month(monitored: MonitoredModel, reference: Reference) -> pd.DataFrame:
    """Return the PSI of the score for each month with enough sellers."""
    rows = []
    for month, part in monitored.scores.groupby(month_of(monitored.scores["as_of"])):
        now = _latest(part)
        score = _score_drift(monitored, reference, now) if len(now) >= monitored.config.drift.least_sellers else None
        if score is not None:
            rows.append({"month": month, "sellers": len(now), "psi": score.psi})
    return build_table(rows)


def _alarms(monitored: MonitoredModel, score: Drift | None, drifted: Mapping[str, Drift]) -> Iterator[str]:
    limits = monitored.config.drift
    threshold = Threshold(upper=limits.score_psi_most)
    if score is not None and threshold.is_breached(score.psi):
        yield (
            f"The score has drifted: PSI {score.psi}. Threshold: {threshold}. The largest change: scores "
            f"{score.bin} were {score.before:.0%} in training and are {score.now:.0%} now."
        )
    if drifted:
        named = [f"{name} (PSI {each.psi})" for name, each in list(drifted.items())[:_NAMED]]
        more = f", and {len(drifted) - _NAMED} more" if len(drifted) > _NAMED else ""
        yield (
            f"{len(drifted)} {'feature has' if len(drifted) == 1 else 'features have'} drifted: {', '.join(named)}"
            f"{more}. Threshold: PSI of {Threshold(upper=limits.feature_psi_most)}."
        )


def _summary(
    monitored: MonitoredModel, rows: tuple[int, int], score: Drift | None, features: Mapping[str, Drift]
) -> str:
    of_score = (
        f"Score: PSI {score.psi}, compared with loans of the training period whose sellers the model was "
        "not trained on."
        if score is not None
        else "The score was not compared, because too few sellers of the training period were held out."
    )
    of_features = (
        f"Features: {_count(features, Verdict.ACT)} of {len(features)} have a PSI above {ACT}, "
        f"{_count(features, Verdict.WATCH)} from {WATCH} to {ACT}."
        if features
        else "Features were not compared, because their values are not stored and this program has another catalogue."
    )
    return (
        f"{rows[1]:,} sellers with a score in the last {monitored.config.drift.days} days are compared with "
        f"{rows[0]:,} training rows with enough history for a score. {of_score} {of_features} A PSI below {WATCH} is "
        f"stable; banks usually act above {ACT}. An alarm needs a whole 95% interval above the threshold. Training "
        "rows are borrowers, so a population with many sellers who never borrow shows some drift from the first day."
    )


def _age_summary(grown: Collection[str]) -> str:
    if not grown:
        return ""
    return (
        f" {', '.join(grown)} exceed the threshold only because sellers got older, which raises no alarm. The effect "
        "on scores is part of the PSI of the score."
    )
