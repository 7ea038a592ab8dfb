"""How scores fared, by vintage: the month of the midnight that a score speaks of.

Only matured loans are judged, in every vintage. A loan whose months are not over says nothing yet, and least of all
when it is bad already: of its vintage the bad show first, and a rate of those known so far would be far too high. Such
loans are counted beside, as open and as bad so far, and enter no rate, no interval and no alarm. Which loans are
matured depends on their day alone and never on how they fare, so that a vintage that is matured in part is judged
without bias on the part that is.

What challengers say to the same requests, beside the model whose scores were given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from training.compare import NEAR, Paired
from training.evidence.metrics import Estimate, evaluate, resampled
from training.evidence.statistics import wilson_interval
from training.evidence.study import Finding
from training.monitor.score_log import SCORED, short_digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from training.monitor.subject import MonitoredModel


BY_VINTAGE: Final = "Performance by vintage"


NOTHING: Final = Estimate(float("nan"), float("nan"), float("nan"))


LEAST_PROBABILITY: Final = 5e-7
"""Half of the last digit that a probability is given with: what is given as 0 lies below it."""


_VINTAGES_TITLE: Final = "How did scores fare?"


def vintages(watched: MonitoredModel) -> Finding:
    """Judge matured loans by vintage, and those of the latest vintages together."""
    loans, judged = watched.loans, latest(watched)
    table = by_vintage(watched)
    counts = {
        "loans": float(len(loans)),
        "unmatched": float(unmatched(watched)),
        "learnt": float(watched.learnt),
        "open": float((~loans["matured"]).sum()),
        "bad_so_far": float((loans["bad"] & ~loans["matured"]).sum()),
        "matured": float(len(judged)),
        "bad": float(judged["bad"].sum()),
    }
    tables = {BY_VINTAGE: table} if len(table) else {}
    if judged.empty:
        return Finding("vintages", _VINTAGES_TITLE, f"{_counted(watched)} {_no_vintages(watched)}", counts, tables)
    rate, ranked = default_rate(judged), _ranking(watched, judged)
    expected = float(judged["probability_of_default"].mean())
    figures = {**counts, **rate.figures("default_rate"), "expected_rate": expected}
    for name, figure in ranked.items():
        figures |= figure.figures(name)
    said = f"{_counted(watched)} {_summary(judged, rate, expected, ranked)}"
    return Finding("vintages", _VINTAGES_TITLE, said, figures, tables, alarms=tuple(_alarms(watched, ranked)))


def matured(watched: MonitoredModel) -> pd.DataFrame:
    """Return the loans that met a score and have had all their months, with probabilities above 0 and below 1."""
    loans = watched.loans[watched.loans["matured"]]
    bounded = loans["probability_of_default"].clip(LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    return loans.assign(probability_of_default=bounded)


def latest(watched: MonitoredModel) -> pd.DataFrame:
    """Return the matured loans of the latest vintages that have any, as many as the limits say."""
    found = matured(watched)
    counted = sorted(found["vintage"].unique())[-watched.config.outcomes.vintages :]
    return found[found["vintage"].isin(counted)]


def unmatched(watched: MonitoredModel) -> int:
    """Return how many loans were paid out since the first score and met none that was valid."""
    loans = watched.outcomes.loans
    return int((loans["day"] >= watched.scores["as_of"].min()).sum()) - len(watched.loans) - watched.learnt


def default_rate(loans: pd.DataFrame) -> Estimate:
    """Return the share of loans that went bad, with its 95% interval (Wilson); loans count as independent."""
    low, high = (float(end) for end in wilson_interval(loans["bad"].sum(), len(loans)))
    return Estimate(float(loans["bad"].mean()), low, high)


def has_enough_loans(watched: MonitoredModel, loans: pd.DataFrame) -> bool:
    """Whether there are loans of both kinds enough to be ranked, or to fit a slope to."""
    bad = int(loans["bad"].sum())
    return min(bad, len(loans) - bad) >= watched.config.outcomes.least_of_a_kind


def by_vintage(watched: MonitoredModel) -> pd.DataFrame:
    """Return a line a vintage, those without a matured loan too."""
    import pandas as pd

    judged = dict(list(matured(watched).groupby("vintage")))
    lines = []
    for vintage, loans in watched.loans.groupby("vintage"):
        known = judged.get(vintage, loans.iloc[:0])
        rate, expected = NOTHING, float("nan")
        if len(known):
            rate, expected = default_rate(known), float(known["probability_of_default"].mean())
        ranked = _ranking(watched, known)
        lines.append(
            {
                "vintage": vintage,
                "state": _vintage_state(len(known), len(loans)),
                "loans": len(loans),
                "matured": len(known),
                "bad": int(known["bad"].sum()),
                **rate.figures("default_rate"),
                "expected_rate": expected,
                **ranked.get("auc", NOTHING).figures("auc"),
                **ranked.get("gini", NOTHING).figures("gini"),
                "open": len(loans) - len(known),
                "bad_so_far": int((loans["bad"] & ~loans["matured"]).sum()),
            }
        )
    return pd.DataFrame(lines)


def _vintage_state(known: int, loans: int) -> str:
    if known == loans:
        return "matured"
    return "matured in part" if known else "not matured yet"


def _ranking(watched: MonitoredModel, loans: pd.DataFrame) -> dict[str, Estimate]:
    """Return AUC and Gini where there are outcomes enough of both kinds, else nothing."""
    if not has_enough_loans(watched, loans):
        return {}
    bad = loans["bad"].to_numpy(dtype=bool)
    return evaluate(
        bad,
        loans["probability_of_default"].to_numpy(dtype=np.float64),
        names=("auc", "gini"),
        sellers=loans["seller_id"],
    )


def _alarms(watched: MonitoredModel, ranked: dict[str, Estimate]) -> Iterator[str]:
    validated = watched.model.bundle.reference.validation.get("auc")
    if validated is None or "auc" not in ranked:
        return
    limit = validated - watched.config.outcomes.auc_loss_most
    if ranked["auc"].high < limit:
        yield (
            f"The model ranks worse than when it was validated: AUC {ranked['auc']} on matured loans, {validated:.3f} "
            f"then; surely below {limit:.3f}, which is allowed."
        )


def _counted(watched: MonitoredModel) -> str:
    outcomes = watched.outcomes
    if outcomes.unknown:
        return outcomes.unknown
    learnt = f" {watched.learnt:,} more did that the model learnt from, and are left out." if watched.learnt else ""
    return (
        f"Outcomes are known up to {outcomes.known_through}. {len(watched.loans):,} loans met a score: they were paid "
        f"out while it was valid. {unmatched(watched):,} since the first score met none.{learnt}"
    )


def _no_vintages(watched: MonitoredModel) -> str:
    if watched.loans.empty:
        return "So nobody can say yet how scores fared."
    return (
        f"None of them has had all its months ({watched.model.bundle.policy.default_definition}), so nobody can say "
        "yet how scores fared; those that are bad already are no measure of the others."
    )


def _summary(judged: pd.DataFrame, rate: Estimate, expected: float, ranked: dict[str, Estimate]) -> str:
    order = f"AUC is {ranked['auc']}" if ranked else "bad or good loans are too few to rank"
    return (
        f"Of the {len(judged):,} that have had all their months, in {judged['vintage'].nunique()} vintages, "
        f"{int(judged['bad'].sum()):,} went bad: {rate.value:.1%} ({rate.low:.1%} to {rate.high:.1%}), where the model "
        f"said {expected:.1%}; {order}. Loans that are still open, also those that are bad so far, enter none of these "
        "figures. Intervals of rates (Wilson) take loans as independent, those of AUC draw sellers as a whole: a bad "
        "year for all of them makes a vintage less certain."
    )


CHALLENGERS: Final = "Challengers beside it"


_SHADOW_TITLE: Final = "What do challengers say?"


def shadow(watched: MonitoredModel) -> Finding:
    """Hold every challenger that scored the same requests beside the model."""
    import pandas as pd

    pairs = watched.scores.merge(watched.shadow, on="score_id", suffixes=("", "_beside"))
    if pairs.empty:
        return Finding("shadow", _SHADOW_TITLE, "No challenger scored beside it.")
    lines = [_line(watched, str(digest), part) for digest, part in pairs.groupby("model_beside")]
    said = (
        f"{len(lines)} challenger{'s' if len(lines) > 1 else ''} scored some of the same requests, shown to nobody. "
        f"Points are the challenger's less the given ones; near means within {NEAR}. AUC is on matured loans that met "
        "such a score; its difference, challenger less this model, has a bootstrap interval on the same resamples."
    )
    newest = lines[-1] if len(lines) == 1 else max(lines, key=lambda line: str(line["last"]))
    named = ("pairs", "mean_points", "near", "same_band", "auc_difference")
    figures = {name: float(newest[name]) for name in named if not np.isnan(float(newest[name]))}
    return Finding("shadow", _SHADOW_TITLE, said, figures, {CHALLENGERS: pd.DataFrame(lines)})


def _line(watched: MonitoredModel, digest: str, pairs: pd.DataFrame) -> dict[str, str | float]:
    bands = watched.model.bundle.policy.bands
    both = pairs[(pairs["outcome"] == SCORED) & (pairs["outcome_beside"] == SCORED)]
    apart = (both["score_beside"] - both["score"]).to_numpy(dtype=np.float64)
    letters = [[bands.of(each) for each in both[f"probability_of_default{end}"]] for end in ("", "_beside")]
    return {
        "challenger": short_digest(digest),
        "pairs": len(pairs),
        "last": pairs["as_of"].max().date().isoformat(),
        "same_outcome": float((pairs["outcome"] == pairs["outcome_beside"]).mean()),
        "rank_correlation": _rank_correlation(both),
        "mean_points": float(apart.mean()) if len(apart) else float("nan"),
        "near": float((np.abs(apart) <= NEAR).mean()) if len(apart) else float("nan"),
        "same_band": float(np.mean([a == b for a, b in zip(*letters, strict=True)])) if len(apart) else float("nan"),
        **_ranks(watched, both),
    }


def _rank_correlation(both: pd.DataFrame) -> float:
    """Return Spearman's coefficient of both scores; NaN where one of them is the same for everyone."""
    from scipy.stats import spearmanr

    if both["score"].nunique() < 2 or both["score_beside"].nunique() < 2:  # noqa: PLR2004 - two are no constant
        return float("nan")
    return float(spearmanr(both["score"], both["score_beside"]).statistic)


def _ranks(watched: MonitoredModel, both: pd.DataFrame) -> dict[str, float]:
    """Return AUC of both on the matured loans that met one of these scores, and the difference."""
    loans = latest(watched).merge(both[["score_id", "probability_of_default_beside"]], on="score_id")
    if not has_enough_loans(watched, loans):
        found = Paired(float("nan"), float("nan"), NOTHING)
    else:
        bad = loans["bad"].to_numpy(dtype=bool)
        beside = loans["probability_of_default_beside"].clip(LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
        # the same seed draws the same rows for both
        ours, theirs = (
            resampled(bad, each.to_numpy(dtype=np.float64), names=("auc",), sellers=loans["seller_id"])
            for each in (loans["probability_of_default"], beside)
        )
        difference = Estimate.of(theirs[0]["auc"] - ours[0]["auc"], theirs[1]["auc"] - ours[1]["auc"])
        found = Paired(theirs[0]["auc"], ours[0]["auc"], difference)
    return {
        "loans": len(loans),
        "auc": found.candidate,
        "auc_given": found.champion,
        **found.difference.figures("auc_difference"),
    }
