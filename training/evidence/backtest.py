"""Backtest: model and scorecard on several earlier out-of-time tests inside the training part, on other sellers.

Both are fitted to the rows before each origin and tested on the same later rows, so their difference is paired. The
origins are repeated with another draw of sellers. If the rows do not allow origins in time, folds of sellers
replace them. The test rows of the run are not used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from training.candidates import Choice, Kind
from training.dataset import SELLER_LOANS
from training.evidence.discrimination import compare_ranking
from training.evidence.level import estimate_level
from training.evidence.limits import Limit, quantity
from training.evidence.metrics import build_table
from training.evidence.statistics import logistic
from training.evidence.study import Finding

if TYPE_CHECKING:
    import pandas as pd

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
    import pandas as pd

    draws = [_predictions(rows, choice) for rows in (choice.left_out, repeated) if rows is not None]
    rows = pd.concat(draws, ignore_index=True)
    ranking, bad = _ranking(rows, seed), int(rows["bad"].sum())
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
        f"{fitted}, the {choice.recipe.kind} ranks {len(rows):,} {where} ({quantity(bad, words.bad)}) with an AUC "
        f"of {ranking.model}, the scorecard with {ranking.scorecard}. The paired difference is {difference.value:+.3f} "
        f"({difference.low:+.3f} to {difference.high:+.3f}). The interval comes from resampling {words.units}.",
        figures={"defaults": float(bad), **ranking.figures},
        tables={title: table for title, table in tables.items() if len(table)},
        checks=(limit.check(difference, action, quantity(bad, words.bad)),),
    )


def _predictions(rows: LeftOut, choice: Choice) -> pd.DataFrame:
    import pandas as pd

    model, scorecard = (logistic(rows.margins[kind]) for kind in (choice.recipe.kind, Kind.SCORECARD))
    columns = {"bad": rows.bad, "seller": rows.sellers, "day": rows.days, "model": model, "scorecard": scorecard}
    return pd.DataFrame(columns)


def _ranking(rows: pd.DataFrame, seed: int) -> RankingComparison:
    predicted = (rows["model"].to_numpy(), rows["scorecard"].to_numpy())
    return compare_ranking(rows["bad"].to_numpy(), predicted, rows["seller"], seed)


def _by_draw(draws: Sequence[pd.DataFrame], seed: int) -> Iterator[dict[str, object]]:
    for number, rows in enumerate(draws, 1):
        ranking = _ranking(rows, seed)
        yield {"draw": number, **_counts_and_auc(rows, ranking), "difference": str(ranking.difference)}


def _by_period(rows: pd.DataFrame, seed: int) -> Iterator[dict[str, object]]:
    """Yield a row for each period with enough defaults: AUC of both models, and observed over expected defaults."""
    ends = rows.loc[rows["bad"], "day"].quantile(np.linspace(0, 1, PERIODS + 1)[1:-1])
    for _, part in rows.groupby(np.searchsorted(ends, rows["day"], side="left")):
        if not LEAST_BAD <= part["bad"].sum() < len(part):
            continue
        level = estimate_level(part["bad"].to_numpy(), part["model"].to_numpy(), part["seller"], seed)
        yield {
            "from": str(np.datetime64(int(part["day"].min()), "D")),
            "to": str(np.datetime64(int(part["day"].max()), "D")),
            **_counts_and_auc(part, _ranking(part, seed)),
            "observed_over_expected": str(level.ratio),
        }


def _counts_and_auc(rows: pd.DataFrame, ranking: RankingComparison) -> dict[str, object]:
    return {
        "rows": len(rows),
        "bad": int(rows["bad"].sum()),
        "auc": str(ranking.model),
        "scorecard_auc": str(ranking.scorecard),
    }
