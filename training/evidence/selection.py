"""Only the approved have outcomes: how far they lie from sellers without a loan, and what that may hide.

It measures the bias and does not claim to mend it: nobody knows how those would have repaid who were never lent to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from features.quality.psi import ACT
from training.evidence import drift
from training.evidence.asking import scorable
from training.evidence.crossfit import cross_fitted
from training.evidence.drift import SCORE, Sample, drifts
from training.evidence.finding import Finding
from training.evidence.limits import Limit, LimitCheck, alarms
from training.evidence.metrics import Estimate, evaluate
from training.evidence.others import others_beside
from training.evidence.propensity import Reweighted, reweighted
from training.evidence.scored import scores
from training.evidence.segments import ratio_check

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from features.ingest import OperatingStore
    from features.quality.psi import Stability
    from training.evidence.subject import Subject

ROWS: Final = 1_500
"""Labelled rows that others are drawn beside: features are computed anew for those."""

_BESIDE: Final = 2
"""Sellers drawn beside each: many have no history that could be scored."""

LEAST: Final = 50
"""Fewer rows on either side are no population."""

LABELLED_PSI: Final = Limit("PSI of the score between sellers with and without a loan", ACT)
MOST_APART: Final = Limit("AUC of a model that separates sellers with a loan from sellers without", 0.8)
"""Above 0.8 hardly any labelled row is like the others, so that weights cannot make up for it."""

_LEAST_BAD: Final = 10
_SHOWN: Final = 15
_TITLE: Final = "Outcomes that only the approved have"


@dataclass(frozen=True)
class Sides:
    """Labelled rows (their places among the test rows) and others, all with history enough for a score."""

    places: NDArray[np.int64]
    labelled: Sample
    others: Sample
    scorable_share: float


def selection(subject: Subject) -> Finding:
    """Compare labelled test rows with sellers without a loan, as of the same midnights."""
    if subject.store is None:
        said = "Not studied: the labels came without operating data, so sellers without a loan are not known."
        return Finding("selection", _TITLE, said)
    return compared(subject, sides_of(subject, subject.store))


def sides_of(subject: Subject, store: OperatingStore) -> Sides:
    """Draw sellers without a loan beside the labelled rows, and compute their features as of the same midnights."""
    from features.pipeline import compute_frame

    rows, bundle = subject.test.rows, subject.bundle
    places = np.arange(len(rows))
    if len(rows) > ROWS:
        places = np.sort(np.random.default_rng(subject.seed).choice(places, ROWS, replace=False))
    pairs = others_beside(store, rows.iloc[places], subject.seed, _BESIDE)
    features = compute_frame(store, pairs).reset_index()
    enough = scorable(bundle, features)
    places = places[scorable(bundle, subject.test.features.iloc[places])]
    others = features.loc[enough, list(bundle.sheet.names)]
    return Sides(
        places,
        _sample(subject.test.features.iloc[places], rows["seller_id"].iloc[places], subject.score[places]),
        _sample(others, features.loc[enough, "seller_id"], scores(bundle, others.to_numpy())),
        float(enough.mean()) if len(enough) else 0.0,
    )


def _sample(features: pd.DataFrame, sellers: pd.Series, score: NDArray[np.int64]) -> Sample:
    return Sample(features.assign(**{SCORE: score}), sellers)


def compared(subject: Subject, sides: Sides) -> Finding:
    """Say how far both sides lie apart; nothing where either is too small."""
    if min(len(sides.labelled.values), len(sides.others.values)) < LEAST:
        said = (
            f"Not studied: {len(sides.labelled.values)} labelled rows and {len(sides.others.values)} sellers without a "
            f"loan at the same midnights have history enough for a score, and {LEAST} of either are needed."
        )
        return Finding("selection", _TITLE, said)
    found = drifts(sides.labelled, sides.others)
    propensity = _propensity(subject, sides)
    inside = np.arange(len(propensity)) < len(sides.places)
    apart = evaluate(inside, propensity, subject.seed, ("auc",))["auc"]
    bad, probability = subject.bad[sides.places], subject.probability[sides.places]
    enough = int(bad.sum()) >= _LEAST_BAD
    again = reweighted(bad, probability, propensity[inside], subject.seed) if enough else None
    score = found[SCORE].stability
    means = [float(each.values[SCORE].mean()) for each in (sides.labelled, sides.others)]
    figures = {
        "labelled": float(len(sides.labelled.values)),
        "others": float(len(sides.others.values)),
        "others_scorable_share": sides.scorable_share,
        "score_psi": score.psi,
        "mean_score_gap": means[1] - means[0],
        **apart.figures("propensity_auc"),
    }
    if again:
        figures |= {
            **again.ratio.figures("reweighted_expected_over_observed"),
            "effective_rows": again.effective_rows,
        }
    checks = tuple(_checks(sides, score, apart, again))
    return Finding(
        "selection",
        _TITLE,
        _said(figures, apart, again),
        figures=figures,
        tables={"What parts them most": drift.table(dict(list(found.items())[:_SHOWN]), ("labelled", "others"))},
        plots={"score": _plot(sides)},
        alarms=alarms(checks),
        checks=checks,
    )


def _checks(sides: Sides, score: Stability, apart: Estimate, again: Reweighted | None) -> Iterator[LimitCheck]:
    sample = f"{len(sides.labelled.values):,} rows with and {len(sides.others.values):,} without a loan"
    action = (
        "The outcomes do not represent sellers without a loan. Do not use the observed default rates for them before "
        "loans to such sellers have matured."
    )
    yield LABELLED_PSI.check(drift.estimate(score), action, sample)
    yield MOST_APART.check(apart, action, sample)
    figure = "ratio of expected to observed defaults, weighted to sellers without a loan"
    if again is not None:
        yield ratio_check(figure, again.ratio, action, f"rows worth {again.effective_rows:.0f} after weighting")


def _propensity(subject: Subject, sides: Sides) -> NDArray[np.float64]:
    """Return the probability of being labelled, of the labelled rows and then of the others."""
    import pandas as pd

    both = pd.concat([sides.labelled.values, sides.others.values]).drop(columns=SCORE)
    sellers = pd.concat([sides.labelled.sellers, sides.others.sellers])
    return cross_fitted(both, np.arange(len(both)) < len(sides.places), sellers, subject.seed)


def _said(figures: Mapping[str, float], apart: Estimate, again: Reweighted | None) -> str:
    gap = figures["mean_score_gap"]
    calibrated = (
        f"Labelled rows weighted to look like the others (worth {again.effective_rows:.0f} rows) have an expected "
        f"default rate of {again.ratio} times the observed one."
        if again
        else f"Fewer than {_LEAST_BAD} of the labelled rows went bad, so calibration was not weighted."
    )
    return (
        "Asked: are those who have outcomes like those who have none? "
        f"{figures['labelled']:,.0f} labelled rows were held against {figures['others']:,.0f} sellers without a loan, "
        f"drawn at the same midnights; of those drawn, {figures['others_scorable_share']:.0%} have history enough for "
        f"a score. A model that must tell both apart reaches AUC {apart} (0.5 where they are alike), and the score has "
        f"PSI {figures['score_psi']:.3f} between them; on average the others score {abs(gap):.0f} points "
        f"{'lower' if gap < 0 else 'higher'}. "
        f"{calibrated} This measures the bias as far as features tell it and does not mend it, since nobody knows how "
        "those would have repaid who were never lent to."
    )


def _plot(sides: Sides) -> Figure:
    from training.evidence.drawing import histogram

    scores_of = {"labelled": sides.labelled, "without a loan": sides.others}
    return histogram({label: each.values[SCORE].to_numpy() for label, each in scores_of.items()}, "rows")
