"""Performance: default rate and ranking of matured loans by vintage, and challengers compared with the model.

A vintage is the month of `as_of` of the score. Rates, intervals and alarms use matured loans only (see
`training.monitor.inputs`). Whether a loan is matured depends on its day alone and not on its payments, so the matured
part of a vintage is an unbiased sample of it. Open loans, and those that are bad so far, are counted separately.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import numpy as np

from training.compare import NEAR, agreement, paired
from training.config import Threshold
from training.evidence.bands import band_of
from training.evidence.metrics import NO_ESTIMATE, Estimate, build_table, evaluate, expand_intervals
from training.evidence.study import Finding
from training.monitor.score_log import SCORED, short_digest

if TYPE_CHECKING:
    import pandas as pd

    from training.monitor.subject import MonitoredModel

BY_VINTAGE: Final = "Performance by vintage"
CHALLENGERS: Final = "Challengers"

_TITLE: Final = "Performance"
_RANKING: Final = ("auc", "gini")
_SMALLEST: Final = 5e-7
"""Half of the last digit of a stored probability: a stored 0 is below it."""


def vintages(monitored: MonitoredModel) -> Finding:
    """Measure default rate and AUC of the matured loans of the latest vintages, together and by vintage."""
    loans, matured = monitored.loans, latest_loans(monitored)
    rows = by_vintage(monitored)
    figures = {
        "loans": float(len(loans)),
        "unmatched": float(count_unmatched(monitored)),
        "learnt": float(monitored.training_loans),
        "open": float((~loans["matured"]).sum()),
        "bad_so_far": float((loans["bad"] & ~loans["matured"]).sum()),
        "matured": float(len(matured)),
        "bad": float(matured["bad"].sum()),
    }
    tables = {BY_VINTAGE: rows} if len(rows) else {}
    if matured.empty:
        return Finding("vintages", _TITLE, f"{_counts(monitored)} {_no_matured(monitored)}", figures, tables)
    rate, ranking = _default_rate(matured), measure_loans(monitored, matured, _RANKING)
    expected = float(matured["probability_of_default"].mean())
    figures |= expand_intervals({"default_rate": rate, "expected_rate": expected, **ranking})
    summary = f"{_counts(monitored)} {_summary(matured, rate, expected, ranking)}"
    return Finding("vintages", _TITLE, summary, figures, tables, alarms=tuple(_alarms(monitored, ranking)))


def matured_loans(monitored: MonitoredModel) -> pd.DataFrame:
    """Return the matched loans that are matured, with their band and probabilities strictly between 0 and 1."""
    import pandas as pd

    loans, bands = monitored.loans[monitored.loans["matured"]], monitored.model.bundle.policy.bands
    probability = _bounded(loans["probability_of_default"])
    names = pd.Index([band.name for band in bands.items])
    band = pd.Categorical.from_codes(band_of(bands, probability.to_numpy(dtype=np.float64)), names)
    return loans.assign(probability_of_default=probability, band=band)


def _bounded(probability: pd.Series) -> pd.Series:
    return probability.clip(_SMALLEST, 1 - _SMALLEST)


def latest_loans(monitored: MonitoredModel) -> pd.DataFrame:
    """Return the matured loans of the latest `outcomes.vintages` vintages that have any."""
    loans = matured_loans(monitored)
    months = sorted(loans["vintage"].unique())[-monitored.config.outcomes.vintages :]
    return loans[loans["vintage"].isin(months)]


def count_unmatched(monitored: MonitoredModel) -> int:
    """Return the number of loans since the first score that match no valid score."""
    loans = monitored.outcomes.loans
    since = int((loans["day"] >= monitored.scores["as_of"].min()).sum())
    return since - len(monitored.loans) - monitored.training_loans


def _default_rate(loans: pd.DataFrame) -> Estimate:
    """Return the share of bad loans with its 95% Wilson interval, which assumes independent loans."""
    return Estimate.share(int(loans["bad"].sum()), len(loans))


def measure_loans(monitored: MonitoredModel, loans: pd.DataFrame, names: tuple[str, ...]) -> dict[str, Estimate]:
    """Return metrics of matured loans by name, or nothing if there are too few bad or good loans."""
    if not _has_enough_loans(monitored, loans):
        return {}
    bad, probability = loans["bad"].to_numpy(dtype=bool), loans["probability_of_default"].to_numpy(dtype=np.float64)
    return evaluate(bad, probability, names=names, sellers=loans["seller_id"])


def _has_enough_loans(monitored: MonitoredModel, loans: pd.DataFrame) -> bool:
    bad = int(loans["bad"].sum())
    return min(bad, len(loans) - bad) >= monitored.config.outcomes.least_of_a_kind


def by_vintage(monitored: MonitoredModel) -> pd.DataFrame:
    """Return a row for each vintage, including those without a matured loan."""
    matured = dict(list(matured_loans(monitored).groupby("vintage")))
    rows = []
    for vintage, loans in monitored.loans.groupby("vintage"):
        part = matured.get(vintage, loans.iloc[:0])
        ranking = measure_loans(monitored, part, _RANKING)
        rows.append(
            {
                "vintage": vintage,
                "state": _state(len(part), len(loans)),
                "loans": len(loans),
                "matured": len(part),
                "bad": int(part["bad"].sum()),
                "default_rate": _default_rate(part) if len(part) else NO_ESTIMATE,
                "expected_rate": float(part["probability_of_default"].mean()),
                **(dict.fromkeys(_RANKING, NO_ESTIMATE) | ranking),
                "open": len(loans) - len(part),
                "bad_so_far": int((loans["bad"] & ~loans["matured"]).sum()),
            }
        )
    return build_table(rows)


def _state(matured: int, loans: int) -> str:
    if matured == loans:
        return "matured"
    return "matured in part" if matured else "not matured yet"


def _alarms(monitored: MonitoredModel, ranking: dict[str, Estimate]) -> Iterator[str]:
    validated = monitored.model.bundle.reference.validation.get("auc")
    if validated is None or "auc" not in ranking:
        return
    threshold = validated - monitored.config.outcomes.auc_loss_most
    if Threshold(lower=threshold).is_breached(ranking["auc"]):
        yield (
            f"The AUC on matured loans is {ranking['auc']}; it was {validated:.3f} at validation. Threshold: at least "
            f"{threshold:.3f}."
        )


def _counts(monitored: MonitoredModel) -> str:
    outcomes = monitored.outcomes
    if outcomes.unknown:
        return outcomes.unknown
    trained = monitored.training_loans
    left_out = f" {trained:,} more match a score but were used in training; they are left out." if trained else ""
    return (
        f"Outcomes are known up to {outcomes.known_through}. {len(monitored.loans):,} loans match a score: they were "
        f"disbursed while it was valid. {count_unmatched(monitored):,} loans since the first score match none."
        f"{left_out}"
    )


def _no_matured(monitored: MonitoredModel) -> str:
    if monitored.loans.empty:
        return "Performance cannot be measured yet."
    return (
        f"None of them is matured ({monitored.model.bundle.policy.default_definition}), so performance cannot be "
        "measured yet. Early defaults do not show the default rate."
    )


def _summary(matured: pd.DataFrame, rate: Estimate, expected: float, ranking: dict[str, Estimate]) -> str:
    ranked = f"The AUC is {ranking['auc']}" if ranking else "There are too few bad or good loans for an AUC"
    return (
        f"{len(matured):,} loans of {matured['vintage'].nunique()} vintages are matured. {int(matured['bad'].sum()):,} "
        f"of them are bad: {rate.value:.1%} ({rate.low:.1%} to {rate.high:.1%}); the model expected {expected:.1%}. "
        f"{ranked}. Open loans, including those that are bad so far, are not part of these metrics. Intervals of rates "
        "(Wilson) assume independent loans; intervals of AUC resample sellers. In a year that is bad for all sellers, "
        "a vintage is less certain than its interval shows."
    )


def shadow(monitored: MonitoredModel) -> Finding:
    """Compare every challenger that scored the same requests with the model."""
    import pandas as pd

    title = "Challengers"
    pairs = monitored.scores.merge(monitored.shadow, on="score_id", suffixes=("", "_challenger"))
    if pairs.empty:
        return Finding("shadow", title, "No challenger scored the same requests.")
    rows = [_compare(monitored, str(digest), part) for digest, part in pairs.groupby("model_challenger")]
    summary = (
        f"{len(rows)} challenger{'s' if len(rows) > 1 else ''} scored some of the same requests; no bank sees these "
        f"scores. Points are challenger less model; `near` is the share within {NEAR} points. AUC is measured on "
        "matured loans that match such a score; its difference has a bootstrap interval on the same resamples."
    )
    newest = max(rows, key=lambda row: str(row["last"]))
    named = ("pairs", "mean_points", "near", "same_band", "auc_difference")
    figures = {name: float(newest[name]) for name in named if not np.isnan(float(newest[name]))}
    return Finding("shadow", title, summary, figures, {CHALLENGERS: pd.DataFrame(rows)})


def _compare(monitored: MonitoredModel, digest: str, pairs: pd.DataFrame) -> dict[str, str | float]:
    bands = monitored.model.bundle.policy.bands
    both = pairs[(pairs["outcome"] == SCORED) & (pairs["outcome_challenger"] == SCORED)]
    ours, theirs = (
        both[[f"score{end}"]]
        .set_axis(["score"], axis="columns")
        .assign(band=[bands.of(probability) for probability in both[f"probability_of_default{end}"]])
        for end in ("", "_challenger")
    )
    found = agreement(ours, theirs)
    return {
        "challenger": short_digest(digest),
        "pairs": len(pairs),
        "last": pairs["as_of"].max().date().isoformat(),
        "same_outcome": float((pairs["outcome"] == pairs["outcome_challenger"]).mean()),
        "rank_correlation": float("nan") if found.rank_correlation is None else found.rank_correlation,
        "mean_points": float((theirs["score"] - ours["score"]).mean()),
        "near": found.within_20_points,
        "same_band": found.same_band,
        **_compare_auc(monitored, both),
    }


def _compare_auc(monitored: MonitoredModel, both: pd.DataFrame) -> dict[str, float]:
    """Return the AUC of challenger and model on the matured loans that match one of these scores."""
    loans = latest_loans(monitored).merge(both[["score_id", "probability_of_default_challenger"]], on="score_id")
    auc, auc_given, difference = float("nan"), float("nan"), NO_ESTIMATE
    if _has_enough_loans(monitored, loans):
        ours, theirs = loans["probability_of_default"], _bounded(loans["probability_of_default_challenger"])
        probabilities = (theirs.to_numpy(dtype=np.float64), ours.to_numpy(dtype=np.float64))
        bad = loans["bad"].to_numpy(dtype=bool)
        found = paired(bad, *probabilities, names=("auc",), sellers=loans["seller_id"])["auc"]
        auc, auc_given, difference = found.candidate, found.champion, found.difference
    return {"loans": len(loans), "auc": auc, "auc_given": auc_given, **difference.figures("auc_difference")}
