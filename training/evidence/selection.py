"""Selection bias: only approved sellers have outcomes; how different they are from sellers without a loan.

The study measures the bias. It does not correct it, because loans that were never made have no outcomes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from features.quality.psi import ACT
from training.evidence.drift import SCORE, Sample, drift_table, measure_drifts
from training.evidence.limits import Limit, LimitCheck
from training.evidence.metrics import Estimate, evaluate, expand_intervals
from training.evidence.plots import histogram
from training.evidence.segments import ratio_check
from training.evidence.statistics import RESAMPLES, draw_counts, predict_out_of_fold
from training.evidence.study import Finding, draw_positions, scorable_rows, scores

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from features.ingest import OperatingStore
    from training.evidence.study import ReviewedModel

ROWS: Final = 1_500
"""Most labelled rows to compare: the features of the sellers without a loan are computed for each of them."""

LEAST: Final = 50
"""Fewest rows of either sample."""

LABELLED_PSI: Final = Limit("PSI of the score between sellers with and without a loan", ACT)
MOST_APART: Final = Limit("AUC of a model that separates sellers with a loan from sellers without", 0.8)
"""Above 0.8, hardly any labelled row is like the others, so that weights cannot compensate for the difference."""

_TRIES: Final = 40
"""Random sellers tried for each labelled row; if none of them qualifies, nearly all sellers have loans."""

_SAMPLED: Final = 2
"""Sellers drawn for each labelled row: many have too little history for a score."""

_LEAST_PROPENSITY: Final = 0.02
"""Propensities are clipped to this, so that no row has a weight above 49."""

_LEAST_BAD: Final = 10
_SHOWN: Final = 15
_TITLE: Final = "Selection bias"


@dataclass(frozen=True)
class SelectionSamples:
    """Labelled rows (`places` are their positions among the test rows) and sellers without a loan, all scorable."""

    places: NDArray[np.int64]
    labelled: Sample
    others: Sample
    scorable_share: float


@dataclass(frozen=True)
class ReweightedCalibration:
    """Calibration of weighted rows: expected over observed defaults, and the effective number of rows."""

    ratio: Estimate
    effective_rows: float


def study_selection(subject: ReviewedModel) -> Finding:
    """Compare labelled test rows with sellers without a loan, as of the same midnights."""
    if subject.store is None:
        summary = "Not studied: the labels come without operating data, so sellers without a loan are not known."
        return Finding("selection", _TITLE, summary)
    return compare_samples(subject, selection_samples(subject, subject.store))


def sample_unlabelled(store: OperatingStore, rows: pd.DataFrame, seed: int, each: int = 1) -> pd.DataFrame:
    """Draw, for each labelled row, sellers who were on the platform at that midnight and had no loan before it.

    No labelled seller is drawn. The result has the columns `seller_id` and `as_of`, at most `each` rows for a labelled
    one, without duplicates.

    Example: for loans of 2024-05-01 and 2024-05-02, draw a seller as of each of these days.
    """
    import pandas as pd

    from features.pipeline import accepted_rows

    known = accepted_rows(store, "sellers").groupby("seller_id")["visible_from"].min()
    free_until = _first_loans(store, known.index)
    candidates = known.index.to_numpy()
    labelled = known.index.isin(rows["seller_id"])
    as_of = np.repeat(rows["as_of"].to_numpy(), each)
    tried = np.random.default_rng(seed).integers(0, len(candidates), (len(as_of), _TRIES))
    free = (known.to_numpy()[tried] <= as_of[:, None]) & (free_until.to_numpy()[tried] >= as_of[:, None])
    qualified = free & ~labelled[tried]
    drawn = np.flatnonzero(qualified.any(axis=1))
    sellers = candidates[tried[drawn, qualified[drawn].argmax(axis=1)]]
    return pd.DataFrame({"seller_id": sellers, "as_of": as_of[drawn]}).drop_duplicates(ignore_index=True)


def _first_loans(store: OperatingStore, sellers: pd.Index) -> pd.Series:
    """Return when each seller's first loan was paid out; the latest possible time for sellers without a loan."""
    import pandas as pd

    from features.pipeline import accepted_rows

    never = pd.Series(pd.Timestamp.max.as_unit("us"), index=sellers)
    if "loans" not in store.covers_through or not store.rows("loans"):
        return never
    first = accepted_rows(store, "loans").groupby("seller_id")["disbursed_at"].min()
    return first.reindex(sellers).fillna(never)


def reweight(
    bad: NDArray[np.bool_], probability: NDArray[np.float64], propensity: NDArray[np.float64], seed: int
) -> ReweightedCalibration:
    """Return the calibration of rows that are weighted to resemble the other population.

    Each row counts by its odds of belonging to the other population, `(1 - e) / e`. That corrects for the selection
    that the features explain; selection by anything else remains.

    Example: if every propensity is one half, nothing changes and every row has the weight 1.

    Source: Hirano, Imbens and Ridder, Efficient estimation using the estimated propensity score, 2003; effective rows
    by Kish, Survey sampling, 1965.
    """
    e = np.maximum(propensity, _LEAST_PROPENSITY)
    weight = (1.0 - e) / e
    rng = np.random.default_rng(seed)
    counts = np.stack([draw_counts(rng, len(bad)) for _ in range(RESAMPLES)])
    expected, observed = (counts * weight) @ probability, (counts * weight) @ bad
    positive = observed > 0
    value = float(weight @ probability) / float(weight @ bad)
    return ReweightedCalibration(
        Estimate.of(value, expected[positive] / observed[positive]), float(weight.sum() ** 2 / (weight @ weight))
    )


def selection_samples(subject: ReviewedModel, store: OperatingStore) -> SelectionSamples:
    """Draw sellers without a loan for the labelled rows, and compute their features as of the same midnights."""
    from features.pipeline import compute_frame

    rows, bundle = subject.test.rows, subject.bundle
    places = draw_positions(np.arange(len(rows)), ROWS, subject.seed)
    pairs = sample_unlabelled(store, rows.iloc[places], subject.seed, _SAMPLED)
    features = compute_frame(store, pairs).reset_index()
    enough = scorable_rows(bundle, features)
    places = places[scorable_rows(bundle, subject.test.features.iloc[places])]
    others = features.loc[enough, list(bundle.sheet.names)]
    return SelectionSamples(
        places,
        Sample.scored(subject.test.features.iloc[places], rows["seller_id"].iloc[places], subject.score[places]),
        Sample.scored(others, features.loc[enough, "seller_id"], scores(bundle, others.to_numpy())),
        float(enough.mean()) if len(enough) else 0.0,
    )


def compare_samples(subject: ReviewedModel, samples: SelectionSamples) -> Finding:
    """Measure the difference between both samples, unless either is too small."""
    count = len(samples.labelled.values), len(samples.others.values)
    if min(count) < LEAST:
        summary = (
            f"Not studied: {count[0]} labelled rows and {count[1]} sellers without a loan at the same midnights have "
            f"enough history for a score. The study needs {LEAST} of each."
        )
        return Finding("selection", _TITLE, summary)
    drifts = measure_drifts(samples.labelled, samples.others)
    propensity = _propensity(subject, samples)
    inside = np.arange(len(propensity)) < len(samples.places)
    apart = evaluate(inside, propensity, subject.seed, ("auc",))["auc"]
    bad, probability = subject.bad[samples.places], subject.probability[samples.places]
    enough = int(bad.sum()) >= _LEAST_BAD
    reweighted = reweight(bad, probability, propensity[inside], subject.seed) if enough else None
    means = [float(sample.values[SCORE].mean()) for sample in (samples.labelled, samples.others)]
    measured: dict[str, float | Estimate] = {
        "labelled": float(count[0]),
        "others": float(count[1]),
        "others_scorable_share": samples.scorable_share,
        "score_psi": drifts[SCORE].stability.psi,
        "mean_score_gap": means[1] - means[0],
        "propensity_auc": apart,
    }
    if reweighted:
        measured |= {
            "reweighted_expected_over_observed": reweighted.ratio,
            "effective_rows": reweighted.effective_rows,
        }
    figures = expand_intervals(measured)
    return Finding(
        "selection",
        _TITLE,
        _summary(figures, apart, reweighted),
        figures=figures,
        tables={"What parts them most": drift_table(dict(list(drifts.items())[:_SHOWN]), ("labelled", "others"))},
        plots={"score": _plot(samples)},
        checks=tuple(_checks(samples, drifts[SCORE].psi, apart, reweighted)),
    )


def _checks(
    samples: SelectionSamples, score: Estimate, apart: Estimate, reweighted: ReweightedCalibration | None
) -> Iterator[LimitCheck]:
    sample = f"{len(samples.labelled.values):,} rows with and {len(samples.others.values):,} without a loan"
    action = (
        "The outcomes do not represent sellers without a loan. Do not use the observed default rates for them before "
        "loans to such sellers have matured."
    )
    yield LABELLED_PSI.check(score, action, sample)
    yield MOST_APART.check(apart, action, sample)
    if reweighted is not None:
        figure = "ratio of expected to observed defaults, weighted to sellers without a loan"
        effective = f"{reweighted.effective_rows:.0f} effective rows after weighting"
        yield ratio_check(figure, reweighted.ratio, action, effective)


def _propensity(subject: ReviewedModel, samples: SelectionSamples) -> NDArray[np.float64]:
    import pandas as pd

    both = pd.concat([samples.labelled.values, samples.others.values]).drop(columns=SCORE)
    sellers = pd.concat([samples.labelled.sellers, samples.others.sellers])
    return predict_out_of_fold(both, np.arange(len(both)) < len(samples.places), sellers, subject.seed)


def _summary(figures: Mapping[str, float], apart: Estimate, reweighted: ReweightedCalibration | None) -> str:
    gap = figures["mean_score_gap"]
    calibration = (
        f"Weighted to resemble sellers without a loan, the labelled rows ({reweighted.effective_rows:.0f} effective "
        f"rows) have an expected default rate of {reweighted.ratio} times the observed one."
        if reweighted
        else f"Fewer than {_LEAST_BAD} of the labelled rows defaulted, so calibration was not weighted."
    )
    return (
        "Are sellers with outcomes like sellers without? The study compares "
        f"{figures['labelled']:,.0f} labelled rows with {figures['others']:,.0f} sellers without a loan, drawn at the "
        f"same midnights; {figures['others_scorable_share']:.0%} of the drawn sellers have enough history for a score. "
        f"A model that separates the two reaches an AUC of {apart} (0.5 if they are alike). The PSI of the score "
        f"between them is {figures['score_psi']:.3f}, and sellers without a loan score {abs(gap):.0f} points "
        f"{'lower' if gap < 0 else 'higher'} on average. {calibration} This measures the bias that the features "
        "explain. It does not correct it, because loans that were never made have no outcomes."
    )


def _plot(samples: SelectionSamples) -> Figure:
    populations = {"labelled": samples.labelled, "without a loan": samples.others}
    return histogram({label: each.values[SCORE].to_numpy() for label, each in populations.items()}, "rows")
