"""Backtest: several origins inside the training part, each tested on the period after it and on other borrowers.

The model and the scorecard are fitted to the rows before each origin and judged on the same later rows, so that their
difference is paired. The origins are repeated with another draw of borrowers. Where the rows do not allow
origins in time, folds of borrowers take their place. The rows of the test proper take no part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from training.candidates import Choice, Kind
from training.evidence.discrimination import compare_ranking
from training.evidence.level import estimate_level
from training.evidence.limits import Limit, alarms, quantity
from training.evidence.study import Finding

if TYPE_CHECKING:
    from training.candidates import LeftOut
    from training.evidence.discrimination import RankingComparison

PERIODS: Final = 3
LEAST_BAD: Final = 10
"""Defaults of a period for which figures are printed; fewer carry no claim."""

DIFFERENCE: Final = Limit("difference in AUC on earlier origins (model less scorecard)", 0.0, at_least=True)
FOLD_DIFFERENCE: Final = Limit("difference in AUC on folds of borrowers (model less scorecard)", 0.0, at_least=True)
_ACTION: Final = "Set fit.model to scorecard, or look for features whose effect changes with time."
_FOLD_ACTION: Final = "The scorecard ranks loans of other borrowers better: prefer it, or train on more loans."


def backtest(choice: Choice, repeated: LeftOut | None, seed: int) -> Finding:
    """Compare the chosen model with the scorecard on the rows that the origins left out.

    Args:
        choice: the recipe, with the rows that it was chosen on.
        repeated: the rows that the same origins leave out with another draw of borrowers, if there are any.
        seed: of the resamples.
    """
    import pandas as pd

    draws = [_Compared.of(choice.left_out, choice)]
    if repeated is not None:
        draws.append(_Compared.of(repeated, choice))
    rows = _Compared.joined(draws)
    found = rows.ranking(seed)
    bad = int(rows.bad.sum())
    in_time = choice.out_of_time
    limit, action = (DIFFERENCE, _ACTION) if in_time else (FOLD_DIFFERENCE, _FOLD_ACTION)
    check = limit.check(found.difference, action, quantity(bad, "default"))
    tables = {"By period": pd.DataFrame(_periods(rows, seed))} if in_time else {}
    if len(draws) > 1:
        tables["By draw of borrowers"] = pd.DataFrame(_by_draw(draws, seed))
    repeats = ", with two draws of borrowers" if len(draws) > 1 else ""
    fitted, where = (
        (f"Fitted to the loans before each of several origins{repeats}", "later loans of other borrowers")
        if in_time
        else ("Fitted without each of several folds of borrowers in turn", "loans of the fold left out")
    )
    return Finding(
        "backtest",
        "Backtest on earlier origins" if in_time else "Backtest on folds of borrowers",
        f"{fitted}, the {choice.recipe.kind} ranks "
        f"{len(rows.bad):,} {where} ({bad:,} bad) with an AUC of {found.model}, the scorecard with {found.scorecard}. "
        f"The paired difference is {found.difference.value:+.3f} ({found.difference.low:+.3f} to "
        f"{found.difference.high:+.3f}), borrowers drawn as a whole.",
        figures={
            "defaults": float(bad),
            **found.model.figures("auc"),
            **found.scorecard.figures("scorecard_auc"),
            **found.difference.figures("auc_difference"),
        },
        tables={title: table for title, table in tables.items() if len(table)},
        alarms=alarms((check,)),
        checks=(check,),
    )


@dataclass(frozen=True)
class _Compared:
    """Left-out rows with the probabilities of the model and of the scorecard."""

    bad: NDArray[np.bool_]
    sellers: NDArray[np.int64]
    days: NDArray[np.int64] | None
    model: NDArray[np.float64]
    scorecard: NDArray[np.float64]

    @classmethod
    def of(cls, rows: LeftOut, choice: Choice) -> _Compared:
        model, scorecard = (_probability(rows.margins[kind]) for kind in (choice.recipe.kind, Kind.SCORECARD))
        return cls(rows.bad, rows.sellers, rows.days, model, scorecard)

    @classmethod
    def joined(cls, draws: Sequence[_Compared]) -> _Compared:
        days = [each.days for each in draws if each.days is not None]
        bad, sellers, model, scorecard = (
            np.concatenate([getattr(each, name) for each in draws]) for name in ("bad", "sellers", "model", "scorecard")
        )
        return cls(bad, sellers, np.concatenate(days) if days else None, model, scorecard)

    def select(self, chosen: NDArray[np.bool_]) -> _Compared:
        days = None if self.days is None else self.days[chosen]
        return _Compared(self.bad[chosen], self.sellers[chosen], days, self.model[chosen], self.scorecard[chosen])

    def ranking(self, seed: int) -> RankingComparison:
        import pandas as pd

        return compare_ranking(self.bad, (self.model, self.scorecard), pd.Series(self.sellers), seed)


def _by_draw(draws: Sequence[_Compared], seed: int) -> Iterator[dict[str, object]]:
    for number, rows in enumerate(draws, 1):
        found = rows.ranking(seed)
        yield {
            "draw": number,
            "loans": len(rows.bad),
            "bad": int(rows.bad.sum()),
            "auc": str(found.model),
            "scorecard_auc": str(found.scorecard),
            "difference": str(found.difference),
        }


def _periods(rows: _Compared, seed: int) -> Iterator[dict[str, object]]:
    """Yield a row for each period with enough defaults: AUC of both models, and observed over expected defaults."""
    if rows.days is None:
        return
    ends = np.quantile(rows.days[rows.bad], np.linspace(0, 1, PERIODS + 1)[1:-1])
    period = np.searchsorted(ends, rows.days, side="left")
    for number in np.unique(period):
        part = rows.select(period == number)
        if not LEAST_BAD <= part.bad.sum() < len(part.bad) or part.days is None:
            continue
        ranked = part.ranking(seed)
        level = estimate_level(part.bad, part.model, [str(seller) for seller in part.sellers], seed)
        yield {
            "from": str(np.datetime64(int(part.days.min()), "D")),
            "to": str(np.datetime64(int(part.days.max()), "D")),
            "loans": len(part.bad),
            "bad": int(part.bad.sum()),
            "auc": str(ranked.model),
            "scorecard_auc": str(ranked.scorecard),
            "observed_over_expected": str(level.ratio),
        }


def _probability(margins: NDArray[np.float64]) -> NDArray[np.float64]:
    probability: NDArray[np.float64] = 0.5 + 0.5 * np.tanh(0.5 * margins)
    return probability
