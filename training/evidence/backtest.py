"""Backtest: model and scorecard on several earlier out-of-time tests inside the training part, on other sellers.

Both are fitted to the rows before each origin and tested on the same later rows, so their difference is paired. The
origins are repeated with another draw of sellers. If the rows do not allow origins in time, folds of sellers
replace them. The test rows of the run are not used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from training.candidates import Choice, Kind
from training.dataset import SELLER_LOANS
from training.evidence.discrimination import compare_ranking
from training.evidence.level import estimate_level
from training.evidence.limits import Limit, quantity
from training.evidence.metrics import build_table
from training.evidence.statistics import logistic
from training.evidence.study import Finding

if TYPE_CHECKING:
    from training.candidates import LeftOut
    from training.evidence.discrimination import RankingComparison

PERIODS: Final = 3
LEAST_BAD: Final = 10
"""Fewest defaults of a period in the table."""

DIFFERENCE: Final = Limit("difference in AUC on earlier origins (model less scorecard)", 0.0, at_least=True)
FOLD_DIFFERENCE: Final = Limit("difference in AUC on folds (model less scorecard)", 0.0, at_least=True)
_ACTION: Final = "Set fit.model to scorecard, or look for features whose effect changes with time."
_OTHER_ACTION: Final = "The scorecard ranks {of_others} better: prefer it, or train on more {rows}."


def study_backtest(choice: Choice, repeated: LeftOut | None, seed: int) -> Finding:
    """Compare the chosen model with the scorecard on the rows that the origins left out.

    Args:
        choice: the recipe, with the rows that it was chosen on.
        repeated: the rows that the same origins leave out with another draw of sellers, if there are any.
        seed: of the resamples.
    """
    draws = [_Predictions.of(choice.left_out, choice)]
    if repeated is not None:
        draws.append(_Predictions.of(repeated, choice))
    rows = _Predictions.joined(draws)
    ranking, bad = rows.ranking(seed), int(rows.bad.sum())
    is_timed = choice.out_of_time
    words = choice.words
    limit = DIFFERENCE if is_timed else FOLD_DIFFERENCE
    has_settings = is_timed and words == SELLER_LOANS
    action = _ACTION if has_settings else _OTHER_ACTION.format(rows=words.rows, of_others=words.of_others)
    tables = {"By period": build_table(_by_period(rows, seed))} if is_timed else {}
    if len(draws) > 1:
        tables[f"By draw of {words.units}"] = build_table(_by_draw(draws, seed))
    repeats = f", with two draws of {words.units}" if len(draws) > 1 else ""
    fitted, where = (
        (f"Fitted to the {words.rows} before each of several origins{repeats}", f"later {words.of_others}")
        if is_timed
        else (f"Fitted without each of several folds of {words.units} in turn", f"{words.rows} of the fold left out")
    )
    difference = ranking.difference
    return Finding(
        "backtest",
        "Backtest on earlier origins" if is_timed else f"Backtest on folds of {words.units}",
        f"{fitted}, the {choice.recipe.kind} ranks {len(rows.bad):,} {where} ({quantity(bad, words.bad)}) with an AUC "
        f"of {ranking.model}, the scorecard with {ranking.scorecard}. The paired difference is {difference.value:+.3f} "
        f"({difference.low:+.3f} to {difference.high:+.3f}). The interval comes from resampling {words.units}.",
        figures={"defaults": float(bad), **ranking.figures},
        tables={title: table for title, table in tables.items() if len(table)},
        checks=(limit.check(difference, action, quantity(bad, words.bad)),),
    )


@dataclass(frozen=True)
class _Predictions:
    bad: NDArray[np.bool_]
    sellers: NDArray[np.int64]
    days: NDArray[np.int64] | None
    model: NDArray[np.float64]
    scorecard: NDArray[np.float64]

    @classmethod
    def of(cls, rows: LeftOut, choice: Choice) -> _Predictions:
        model, scorecard = (logistic(rows.margins[kind]) for kind in (choice.recipe.kind, Kind.SCORECARD))
        return cls(rows.bad, rows.sellers, rows.days, model, scorecard)

    @classmethod
    def joined(cls, draws: Sequence[_Predictions]) -> _Predictions:
        days = [draw.days for draw in draws if draw.days is not None]
        bad, sellers, model, scorecard = (
            np.concatenate([getattr(draw, name) for draw in draws]) for name in ("bad", "sellers", "model", "scorecard")
        )
        return cls(bad, sellers, np.concatenate(days) if days else None, model, scorecard)

    def select(self, chosen: NDArray[np.bool_]) -> _Predictions:
        days = None if self.days is None else self.days[chosen]
        return _Predictions(self.bad[chosen], self.sellers[chosen], days, self.model[chosen], self.scorecard[chosen])

    def ranking(self, seed: int) -> RankingComparison:
        import pandas as pd

        return compare_ranking(self.bad, (self.model, self.scorecard), pd.Series(self.sellers), seed)


def _by_draw(draws: Sequence[_Predictions], seed: int) -> Iterator[dict[str, object]]:
    for number, rows in enumerate(draws, 1):
        ranking = rows.ranking(seed)
        yield {"draw": number, **_counts_and_auc(rows, ranking), "difference": str(ranking.difference)}


def _by_period(rows: _Predictions, seed: int) -> Iterator[dict[str, object]]:
    """Yield a row for each period with enough defaults: AUC of both models, and observed over expected defaults."""
    if rows.days is None:
        return
    ends = np.quantile(rows.days[rows.bad], np.linspace(0, 1, PERIODS + 1)[1:-1])
    period = np.searchsorted(ends, rows.days, side="left")
    for number in np.unique(period):
        part = rows.select(period == number)
        if not LEAST_BAD <= part.bad.sum() < len(part.bad) or part.days is None:
            continue
        level = estimate_level(part.bad, part.model, [str(seller) for seller in part.sellers], seed)
        yield {
            "from": str(np.datetime64(int(part.days.min()), "D")),
            "to": str(np.datetime64(int(part.days.max()), "D")),
            **_counts_and_auc(part, part.ranking(seed)),
            "observed_over_expected": str(level.ratio),
        }


def _counts_and_auc(rows: _Predictions, ranking: RankingComparison) -> dict[str, object]:
    return {
        "rows": len(rows.bad),
        "bad": int(rows.bad.sum()),
        "auc": str(ranking.model),
        "scorecard_auc": str(ranking.scorecard),
    }
