"""Backtest: several origins inside the training part, each tested on the period after it and on other sellers.

The model and the scorecard are fitted to the rows before each origin and judged on the same later rows, so that their
difference is paired. The rows of the test proper take no part.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from training.candidates import Choice, Kind
from training.evidence.discrimination import compare_ranking
from training.evidence.finding import Finding
from training.evidence.level import estimate_level
from training.evidence.limits import Limit, alarms, quantity

if TYPE_CHECKING:
    pass

PERIODS: Final = 3
LEAST_BAD: Final = 10
"""Defaults of a period for which figures are printed; fewer carry no claim."""

DIFFERENCE: Final = Limit("difference in AUC on earlier origins (model less scorecard)", 0.0, at_least=True)
_ACTION: Final = "Set fit.model to scorecard, or look for features whose effect changes with time."


def backtest(choice: Choice, seed: int) -> Finding:
    """Compare the chosen model with the scorecard on the rows that the origins left out."""
    import pandas as pd

    rows = choice.left_out
    pair = tuple(_probability(rows.margins[kind]) for kind in (choice.recipe.kind, Kind.SCORECARD))
    found = compare_ranking(rows.bad, (pair[0], pair[1]), pd.Series(rows.sellers), seed)
    bad = int(rows.bad.sum())
    check = DIFFERENCE.check(found.difference, _ACTION, quantity(bad, "default"))
    table = pd.DataFrame(_periods(choice, pair[0], pair[1], seed))
    where = "later loans of other sellers" if choice.out_of_time else "loans of other sellers"
    return Finding(
        "backtest",
        "Backtest on earlier origins",
        f"Fitted to the loans before each of several origins, the {choice.recipe.kind} ranks {len(rows.bad):,} {where} "
        f"({bad:,} bad) with an AUC of {found.model}, the scorecard with {found.scorecard}. The paired difference is "
        f"{found.difference.value:+.3f} ({found.difference.low:+.3f} to {found.difference.high:+.3f}), sellers drawn "
        "as a whole.",
        figures={
            "defaults": float(bad),
            **found.model.figures("auc"),
            **found.scorecard.figures("scorecard_auc"),
            **found.difference.figures("auc_difference"),
        },
        tables={"By period": table} if len(table) else {},
        alarms=alarms((check,)),
        checks=(check,),
    )


def _periods(
    choice: Choice, model: NDArray[np.float64], scorecard: NDArray[np.float64], seed: int
) -> Iterator[dict[str, object]]:
    """Yield a row for each period with enough defaults: AUC of both models, and observed over expected defaults."""
    import pandas as pd

    rows = choice.left_out
    if rows.days is None or not choice.out_of_time:
        return
    ends = np.quantile(rows.days[rows.bad], np.linspace(0, 1, PERIODS + 1)[1:-1])
    period = np.searchsorted(ends, rows.days, side="left")
    for number in np.unique(period):
        inside = period == number
        bad = rows.bad[inside]
        if not LEAST_BAD <= bad.sum() < len(bad):
            continue
        days, sellers = rows.days[inside], rows.sellers[inside]
        ranked = compare_ranking(bad, (model[inside], scorecard[inside]), pd.Series(sellers), seed)
        level = estimate_level(bad, model[inside], [str(seller) for seller in sellers], seed)
        yield {
            "from": str(np.datetime64(int(days.min()), "D")),
            "to": str(np.datetime64(int(days.max()), "D")),
            "loans": len(bad),
            "bad": int(bad.sum()),
            "auc": str(ranked.model),
            "scorecard_auc": str(ranked.scorecard),
            "observed_over_expected": str(level.ratio),
        }


def _probability(margins: NDArray[np.float64]) -> NDArray[np.float64]:
    probability: NDArray[np.float64] = 0.5 + 0.5 * np.tanh(0.5 * margins)
    return probability
