"""Sellers who had no loan, drawn beside labelled rows: nobody knows whether they would have repaid.

Weights that make rows of one population look like those of another, and the calibration that they then show.

Only the approved have outcomes: how far they lie from sellers without a loan, and what that may hide.

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
from training.evidence.drift import SCORE, Sample, drifts
from training.evidence.limits import Limit, LimitCheck, alarms
from training.evidence.metrics import Estimate, evaluate
from training.evidence.segments import ratio_check
from training.evidence.statistics import RESAMPLES, predict_out_of_fold
from training.evidence.study import Finding, scorable_rows, scores

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from features.ingest import OperatingStore
    from features.quality.psi import Stability
    from training.evidence.study import ReviewedModel


_TRIES: Final = 40
"""Random sellers tried for each labelled row; where none of them qualifies, nearly all sellers have loans."""


def sample_unlabelled(store: OperatingStore, rows: pd.DataFrame, seed: int, each: int = 1) -> pd.DataFrame:
    """Draw, for each labelled row, sellers whom the platform knew at that midnight and who had no loan until then.

    Example: beside loans of 2024-05-01 and 2024-05-02 come a seller as of each of these days.

    Args:
        store: the operating data.
        rows: `seller_id` and `as_of` of labelled rows; nobody labelled is drawn.
        seed: of the draws.
        each: how many to draw beside each row.

    Returns:
        Columns `seller_id` and `as_of`, at most `each` rows for a labelled one, without doubles.
    """
    import pandas as pd

    from features.pipeline import accepted_rows

    known = accepted_rows(store, "sellers").groupby("seller_id")["visible_from"].min()
    free_until = _first_loans(store, known.index)
    candidates = known.index.to_numpy()
    labelled = known.index.isin(rows["seller_id"])
    at = np.repeat(rows["as_of"].to_numpy(), each)
    tried = np.random.default_rng(seed).integers(0, len(candidates), (len(at), _TRIES))
    free = (known.to_numpy()[tried] <= at[:, None]) & (free_until.to_numpy()[tried] >= at[:, None])
    fits = free & ~labelled[tried]
    place = np.flatnonzero(fits.any(axis=1))
    chosen = candidates[tried[place, fits[place].argmax(axis=1)]]
    found = pd.DataFrame({"seller_id": chosen, "as_of": at[place]})
    return found.drop_duplicates(ignore_index=True)


def _first_loans(store: OperatingStore, sellers: pd.Index) -> pd.Series:
    """Return when each seller's first loan was paid out; the end of all time for those who had none."""
    import pandas as pd

    from features.pipeline import accepted_rows

    never = pd.Series(pd.Timestamp.max.as_unit("us"), index=sellers)
    if "loans" not in store.covers_through or not store.rows("loans"):
        return never
    first = accepted_rows(store, "loans").groupby("seller_id")["disbursed_at"].min()
    return first.reindex(sellers).fillna(never)


_LEAST_PROPENSITY: Final = 0.02
"""A propensity below this counts as this, so that no single row speaks for more than 49 others."""


@dataclass(frozen=True)
class ReweightedCalibration:
    """Calibration of weighted rows: expected over observed defaults, and how many rows' worth the weights leave."""

    ratio: Estimate
    effective_rows: float


def reweight(
    bad: NDArray[np.bool_], probability: NDArray[np.float64], propensity: NDArray[np.float64], seed: int
) -> ReweightedCalibration:
    """Return the calibration that rows would show if they were of the other population, as far as features tell.

    Each row counts by its odds of being of the other population, `(1 - e) / e`. That corrects for what the features
    know of why these rows and no others have outcomes; what they do not know stays.

    Example: where every propensity is a half, nothing changes and every row is worth one.

    Source: Hirano, Imbens and Ridder, Efficient estimation using the estimated propensity score, 2003; effective rows
    by Kish, Survey sampling, 1965.
    """
    e = np.maximum(propensity, _LEAST_PROPENSITY)
    weight = (1.0 - e) / e
    rng = np.random.default_rng(seed)
    counts = np.stack([np.bincount(rng.integers(0, len(bad), len(bad)), minlength=len(bad)) for _ in range(RESAMPLES)])
    expected, observed = (counts * weight) @ probability, (counts * weight) @ bad
    some = observed > 0
    value = float(weight @ probability) / float(weight @ bad)
    return ReweightedCalibration(
        Estimate.of(value, expected[some] / observed[some]), float(weight.sum() ** 2 / (weight @ weight))
    )


ROWS: Final = 1_500
"""Labelled rows that others are drawn beside: features are computed anew for those."""


_SAMPLED: Final = 2
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
class SelectionSamples:
    """Labelled rows (their places among the test rows) and others, all with history enough for a score."""

    places: NDArray[np.int64]
    labelled: Sample
    others: Sample
    scorable_share: float


def selection(subject: ReviewedModel) -> Finding:
    """Compare labelled test rows with sellers without a loan, as of the same midnights."""
    if subject.store is None:
        said = "Not studied: the labels came without operating data, so sellers without a loan are not known."
        return Finding("selection", _TITLE, said)
    return compared(subject, selection_samples(subject, subject.store))


def selection_samples(subject: ReviewedModel, store: OperatingStore) -> SelectionSamples:
    """Draw sellers without a loan beside the labelled rows, and compute their features as of the same midnights."""
    from features.pipeline import compute_frame

    rows, bundle = subject.test.rows, subject.bundle
    places = np.arange(len(rows))
    if len(rows) > ROWS:
        places = np.sort(np.random.default_rng(subject.seed).choice(places, ROWS, replace=False))
    pairs = sample_unlabelled(store, rows.iloc[places], subject.seed, _SAMPLED)
    features = compute_frame(store, pairs).reset_index()
    enough = scorable_rows(bundle, features)
    places = places[scorable_rows(bundle, subject.test.features.iloc[places])]
    others = features.loc[enough, list(bundle.sheet.names)]
    return SelectionSamples(
        places,
        _sample(subject.test.features.iloc[places], rows["seller_id"].iloc[places], subject.score[places]),
        _sample(others, features.loc[enough, "seller_id"], scores(bundle, others.to_numpy())),
        float(enough.mean()) if len(enough) else 0.0,
    )


def _sample(features: pd.DataFrame, sellers: pd.Series, score: NDArray[np.int64]) -> Sample:
    return Sample(features.assign(**{SCORE: score}), sellers)


def compared(subject: ReviewedModel, sides: SelectionSamples) -> Finding:
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
    again = reweight(bad, probability, propensity[inside], subject.seed) if enough else None
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


def _checks(
    sides: SelectionSamples, score: Stability, apart: Estimate, again: ReweightedCalibration | None
) -> Iterator[LimitCheck]:
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


def _propensity(subject: ReviewedModel, sides: SelectionSamples) -> NDArray[np.float64]:
    """Return the probability of being labelled, of the labelled rows and then of the others."""
    import pandas as pd

    both = pd.concat([sides.labelled.values, sides.others.values]).drop(columns=SCORE)
    sellers = pd.concat([sides.labelled.sellers, sides.others.sellers])
    return predict_out_of_fold(both, np.arange(len(both)) < len(sides.places), sellers, subject.seed)


def _said(figures: Mapping[str, float], apart: Estimate, again: ReweightedCalibration | None) -> str:
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


def _plot(sides: SelectionSamples) -> Figure:
    from training.evidence.report_blocks import histogram

    scores_of = {"labelled": sides.labelled, "without a loan": sides.others}
    return histogram({label: each.values[SCORE].to_numpy() for label, each in scores_of.items()}, "rows")
