"""How scores fared, by vintage: the month of the midnight that a score speaks of.

Only matured loans are judged, in every vintage. A loan whose months are not over says nothing yet, and least of all
when it is bad already: of its vintage the bad show first, and a rate of those known so far would be far too high. Such
loans are counted beside, as open and as bad so far, and enter no rate, no interval and no alarm. Which loans are
matured depends on their day alone and never on how they fare, so that a vintage that is matured in part is judged
without bias on the part that is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from training.evidence.finding import Finding
from training.evidence.intervals import wilson
from training.evidence.metrics import Estimate, evaluate

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from training.monitor.watched import Watched

BY_VINTAGE: Final = "Performance by vintage"
NOTHING: Final = Estimate(float("nan"), float("nan"), float("nan"))
LEAST_PROBABILITY: Final = 5e-7
"""Half of the last digit that a probability is given with: what is given as 0 lies below it."""

_TITLE: Final = "How did scores fare?"


def vintages(watched: Watched) -> Finding:
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
        return Finding("vintages", _TITLE, f"{_counted(watched)} {_nothing(watched)}", counts, tables)
    rate, ranked = default_rate(judged), _ranked(watched, judged)
    expected = float(judged["probability_of_default"].mean())
    figures = {**counts, **rate.figures("default_rate"), "expected_rate": expected}
    for name, figure in ranked.items():
        figures |= figure.figures(name)
    said = f"{_counted(watched)} {_said(judged, rate, expected, ranked)}"
    return Finding("vintages", _TITLE, said, figures, tables, alarms=tuple(_alarms(watched, ranked)))


def matured(watched: Watched) -> pd.DataFrame:
    """Return the loans that met a score and have had all their months, with probabilities above 0 and below 1."""
    loans = watched.loans[watched.loans["matured"]]
    bounded = loans["probability_of_default"].clip(LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    return loans.assign(probability_of_default=bounded)


def latest(watched: Watched) -> pd.DataFrame:
    """Return the matured loans of the latest vintages that have any, as many as the limits say."""
    found = matured(watched)
    counted = sorted(found["vintage"].unique())[-watched.config.outcomes.vintages :]
    return found[found["vintage"].isin(counted)]


def unmatched(watched: Watched) -> int:
    """Return how many loans were paid out since the first score and met none that was valid."""
    loans = watched.outcomes.loans
    return int((loans["day"] >= watched.scores["as_of"].min()).sum()) - len(watched.loans) - watched.learnt


def default_rate(loans: pd.DataFrame) -> Estimate:
    """Return the share of loans that went bad, with its 95% interval (Wilson); loans count as independent."""
    low, high = (float(end) for end in wilson(loans["bad"].sum(), len(loans)))
    return Estimate(float(loans["bad"].mean()), low, high)


def enough(watched: Watched, loans: pd.DataFrame) -> bool:
    """Whether there are loans of both kinds enough to be ranked, or to fit a slope to."""
    bad = int(loans["bad"].sum())
    return min(bad, len(loans) - bad) >= watched.config.outcomes.least_of_a_kind


def by_vintage(watched: Watched) -> pd.DataFrame:
    """Return a line a vintage, those without a matured loan too."""
    import pandas as pd

    judged = dict(list(matured(watched).groupby("vintage")))
    lines = []
    for vintage, loans in watched.loans.groupby("vintage"):
        known = judged.get(vintage, loans.iloc[:0])
        rate, expected = NOTHING, float("nan")
        if len(known):
            rate, expected = default_rate(known), float(known["probability_of_default"].mean())
        ranked = _ranked(watched, known)
        lines.append(
            {
                "vintage": vintage,
                "state": _state(len(known), len(loans)),
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


def _state(known: int, loans: int) -> str:
    if known == loans:
        return "matured"
    return "matured in part" if known else "not matured yet"


def _ranked(watched: Watched, loans: pd.DataFrame) -> dict[str, Estimate]:
    """Return AUC and Gini where there are outcomes enough of both kinds, else nothing."""
    if not enough(watched, loans):
        return {}
    bad = loans["bad"].to_numpy(dtype=bool)
    return evaluate(
        bad,
        loans["probability_of_default"].to_numpy(dtype=np.float64),
        names=("auc", "gini"),
        sellers=loans["seller_id"],
    )


def _alarms(watched: Watched, ranked: dict[str, Estimate]) -> Iterator[str]:
    validated = watched.model.bundle.reference.validation.get("auc")
    if validated is None or "auc" not in ranked:
        return
    limit = validated - watched.config.outcomes.auc_loss_most
    if ranked["auc"].high < limit:
        yield (
            f"The model ranks worse than when it was validated: AUC {ranked['auc']} on matured loans, {validated:.3f} "
            f"then; surely below {limit:.3f}, which is allowed."
        )


def _counted(watched: Watched) -> str:
    outcomes = watched.outcomes
    if outcomes.unknown:
        return outcomes.unknown
    learnt = f" {watched.learnt:,} more did that the model learnt from, and are left out." if watched.learnt else ""
    return (
        f"Outcomes are known up to {outcomes.known_through}. {len(watched.loans):,} loans met a score: they were paid "
        f"out while it was valid. {unmatched(watched):,} since the first score met none.{learnt}"
    )


def _nothing(watched: Watched) -> str:
    if watched.loans.empty:
        return "So nobody can say yet how scores fared."
    return (
        f"None of them has had all its months ({watched.model.bundle.policy.default_definition}), so nobody can say "
        "yet how scores fared; those that are bad already are no measure of the others."
    )


def _said(judged: pd.DataFrame, rate: Estimate, expected: float, ranked: dict[str, Estimate]) -> str:
    order = f"AUC is {ranked['auc']}" if ranked else "bad or good loans are too few to rank"
    return (
        f"Of the {len(judged):,} that have had all their months, in {judged['vintage'].nunique()} vintages, "
        f"{int(judged['bad'].sum()):,} went bad: {rate.value:.1%} ({rate.low:.1%} to {rate.high:.1%}), where the model "
        f"said {expected:.1%}; {order}. Loans that are still open, also those that are bad so far, enter none of these "
        "figures. Intervals of rates (Wilson) take loans as independent, those of AUC draw sellers as a whole: a bad "
        "year for all of them makes a vintage less certain."
    )
