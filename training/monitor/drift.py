"""Features that grow by a day a day: that sellers are older than those of the training rows is the calendar's doing.

The training rows are of years past, so that the ages of the same sellers lie beyond any limit from the first month on,
and an alarm that always rings is none. A population that has become younger no calendar explains: that is news.

Has the population moved? The stability index (PSI) of the score and of every feature against `reference`.

Each seller counts once, by the latest score in the days that are now, so that one whom banks ask about daily does not
stand for many. Rows of the reference without history enough for a score are left out, as they are here. That sellers
got older is listed and raises no alarm (`ageing`).

The index is `sum((now - before) * ln(now / before))` over shares by the tenths of the reference (Siddiqi, Credit Risk
Scorecards, 2006, ch. 9). Intervals are those of `evidence.drift`: groups of sellers drawn again, the same for both
sides, and what chance alone adds taken off (the basic bootstrap; Davison and Hinkley, Bootstrap methods and their
application, 1997, ch. 5).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Final

import numpy as np

from features.catalogue import CATALOGUE, digest
from features.expressions import DaysOnPlatform, DaysSinceFirst, OldestStore, measures_of
from features.intake.quality.psi import ACT, WATCH, Stability, Verdict
from features.pipeline import compute_frame
from training.errors import TrainingError
from training.evidence.drift import SCORE, Drift, Sample, drift_table, measure_drifts
from training.evidence.study import Finding
from training.monitor.score_log import SCORED, months

if TYPE_CHECKING:
    import pandas as pd

    from training.evidence.drift import Drift, Sample
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
"""What only time moves, and only upwards: `days_on_platform`, `days_since_first_order`, `oldest_store_days`."""


def only_older(before: Sample, now: Sample, found: Mapping[str, Drift]) -> frozenset[str]:
    """Return the features whose move is that sellers got older, by the median of the values known.

    One that is missing more or less often than before, above all else that moved, has not only got older.

    Example: of sellers who were 400 days old and are 700 now, it holds `days_on_platform`; of some 100 days old, not.

    Args:
        before: the training rows.
        now: the rows that are compared with them.
        found: how far each feature has moved.
    """
    return frozenset(
        name
        for name in AGES & found.keys()
        if found[name].bin != "missing" and now.values[name].median() > before.values[name].median()
    )


BY_FEATURE: Final = "PSI by feature"


BY_MONTH: Final = "PSI of the score by month"


_TITLE: Final = "Has the population moved?"


_NAMED: Final = 5


def drift(watched: MonitoredModel) -> Finding:
    """Compare sellers scored lately with the population that the model was made from."""
    now = _latest(watched.recent)
    least = watched.config.drift.least_sellers
    if len(now) < least:
        said = (
            f"Not measured: {len(now)} sellers got a score as of the last {watched.config.drift.days} days, and "
            f"{least} are needed."
        )
        return Finding("drift", _TITLE, said)
    try:
        reference = watched.references.of(watched.model)
    except TrainingError as error:
        return Finding("drift", _TITLE, f"Not measured: the training population is not known. {error}")
    score = _of_score(watched, reference, now)
    sample = _features_of(watched, now)
    features = {} if sample is None else measure_drifts(reference.features, sample)
    older = frozenset[str]() if sample is None else only_older(reference.features, sample, features)
    moved = {name: each for name, each in features.items() if _above_limit(each, watched.config.drift.feature_psi_most)}
    surely = {name: each for name, each in moved.items() if name not in older}
    grown = sorted(older & moved.keys())
    found = features if score is None else {SCORE: score, **features}
    return Finding(
        "drift",
        _TITLE,
        _summary(watched, (len(reference.features.values), len(now)), score, features) + _of_age(grown),
        figures={
            "sellers": float(len(now)),
            **_score_figures(score),
            **_feature_figures(features, surely),
            **({"features_only_older": float(len(grown))} if features else {}),
        },
        tables={BY_FEATURE: _table(watched, found, older), BY_MONTH: _by_month(watched, reference)},
        alarms=tuple(_alarms(watched, score, surely)),
    )


def _latest(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the latest score of each seller who has one."""
    return scores[scores["outcome"] == SCORED].drop_duplicates("seller_id", keep="last")


def _of_score(watched: MonitoredModel, reference: Reference, now: pd.DataFrame) -> Drift | None:
    """Compare scores with those of rows that the model never saw; None where there are too few of them."""
    before = reference.score
    if before is None or len(before.values) < watched.config.drift.least_sellers:
        return None
    return measure_drifts(before, Sample(now[[SCORE]], now["seller_id"]))[SCORE]


def _features_of(watched: MonitoredModel, now: pd.DataFrame) -> Sample | None:
    """Return the features that scores rest on: as they were kept, else computed again as of then; or none."""
    import pandas as pd

    sheet = watched.model.bundle.sheet
    if now["values"].notna().all():
        features = pd.DataFrame(np.stack(now["values"].to_list()), columns=list(sheet.names))
    elif sheet.catalogue == digest(CATALOGUE):
        pairs = now[["seller_id", "as_of"]]
        computed = compute_frame(watched.references.source.store, pairs)
        features = computed.reindex(pd.MultiIndex.from_frame(pairs)).reset_index(drop=True)
    else:
        return None
    return Sample(features, now["seller_id"])


def _above_limit(found: Drift, limit: float) -> bool:
    return found.stability.low is not None and found.stability.low > limit


def _score_figures(score: Drift | None) -> dict[str, float]:
    return {} if score is None else {"score_psi": score.stability.psi, **_ends("score_psi", score.stability)}


def _feature_figures(features: Mapping[str, Drift], surely: Mapping[str, Drift]) -> dict[str, float]:
    if not features:
        return {}
    return {
        "largest_feature_psi": max(each.stability.psi for each in features.values()),
        "features_to_watch": float(_count(features, Verdict.WATCH)),
        "features_to_act_on": float(_count(features, Verdict.ACT)),
        "features_surely_moved": float(len(surely)),
    }


def _count(found: Mapping[str, Drift], verdict: Verdict) -> int:
    return sum(each.stability.verdict is verdict for each in found.values())


def _table(watched: MonitoredModel, found: Mapping[str, Drift], older: Collection[str]) -> pd.DataFrame:
    labels = {entry.name: entry.label for entry in watched.model.bundle.sheet.entries} | {SCORE: "Score"}
    table = drift_table(found, ("training", "now"))
    table.insert(0, "label", table["figure"].map(labels))
    return table.assign(explained=["sellers got older" if name in older else "" for name in table["figure"]])


def _of_age(grown: Collection[str]) -> str:
    if not grown:
        return ""
    return (
        f" Sellers got older, as the calendar has it: {', '.join(grown)} lie surely beyond the limit and raise no "
        "alarm. What that does to scores is in the index of the score, which does."
    )


def _by_month(watched: MonitoredModel, reference: Reference) -> pd.DataFrame:
    """Return the PSI of the score month by month, for months with sellers enough."""
    import pandas as pd

    lines = []
    for month, part in watched.scores.groupby(months(watched.scores["as_of"])):
        now = _latest(part)
        found = _of_score(watched, reference, now) if len(now) >= watched.config.drift.least_sellers else None
        if found is not None:
            ends = _ends("psi", found.stability)
            lines.append({"month": month, "sellers": len(now), "psi": found.stability.psi, **ends})
    return pd.DataFrame(lines)


def _ends(name: str, found: Stability) -> dict[str, float]:
    return {} if found.low is None or found.high is None else {f"{name}_low": found.low, f"{name}_high": found.high}


def _alarms(watched: MonitoredModel, score: Drift | None, surely: Mapping[str, Drift]) -> Iterator[str]:
    limits = watched.config.drift
    if score is not None and _above_limit(score, limits.score_psi_most):
        yield (
            f"The score's distribution has moved: {psi_text(score.stability)}, surely above {limits.score_psi_most:g}. "
            f"Most moved are scores {score.bin}: {score.now:.0%} now, {score.before:.0%} before."
        )
    if surely:
        named = [f"{name} ({psi_text(each.stability)})" for name, each in list(surely.items())[:_NAMED]]
        more = f", and {len(surely) - _NAMED} more" if len(surely) > _NAMED else ""
        yield (
            f"{len(surely)} {'feature has' if len(surely) == 1 else 'features have'} moved surely beyond "
            f"{limits.feature_psi_most:g}: {', '.join(named)}{more}."
        )


def psi_text(found: Stability) -> str:
    """Return an index in words: `PSI 0.312 (0.261 to 0.370)`."""
    interval = "" if found.low is None else f" ({found.low:.3f} to {found.high:.3f})"
    return f"PSI {found.psi:.3f}{interval}"


def _summary(watched: MonitoredModel, rows: tuple[int, int], score: Drift | None, features: Mapping[str, Drift]) -> str:
    moved = (
        f"The score has {psi_text(score.stability)} against loans of the same time as the training rows, of "
        "sellers that the model never saw."
        if score is not None
        else "The score was not compared: too few sellers of that time were kept from training."
    )
    told = (
        f"Of {len(features)} features {_count(features, Verdict.ACT)} lie above {ACT} and "
        f"{_count(features, Verdict.WATCH)} from {WATCH} to {ACT}."
        if features
        else "Features were not compared: the scores came without them, and this program computes others."
    )
    return (
        f"Asked: are the {rows[1]:,} sellers scored as of the last {watched.config.drift.days} days like the "
        f"{rows[0]:,} training rows with history enough for a score? {moved} {told} Below {WATCH} is stable, above "
        f"{ACT} the practice acts; an alarm is raised where the whole interval lies above the limit. The training "
        "rows are borrowers: where many are scored who never borrow, some distance is there from the first day."
    )
