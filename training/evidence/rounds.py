"""Boosting rounds: the log-loss after each round, on the rows that trees are trained on and on rows left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from training.dataset import SELLER_LOANS, Words
from training.evidence.plots import BAD, FAINT, GOOD, new_plot
from training.evidence.study import Finding

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from training.fit import FitConfig
    from training.sample import Sample

NAME: Final = "rounds"
TABLE: Final = "Loss by round"
_LISTED: Final = 50
"""Rounds in the table: enough to show the shape of the curve."""

_TRAINING, _LEFT_OUT = "training", "left_out"


@dataclass(frozen=True)
class LossCurve:
    """Log-loss after each round, shape (rounds,) each.

    Attributes:
        training: on the rows that the trees are trained on.
        left_out: on later rows of other sellers, or on a fold of sellers.
        is_later: whether the rows left out are later.
        words: what reports call the rows.
    """

    training: NDArray[np.float64]
    left_out: NDArray[np.float64]
    is_later: bool
    words: Words = SELLER_LOANS

    @property
    def best(self) -> int:
        """The round with the lowest loss on the rows left out, counted from 1."""
        return int(self.left_out.argmin()) + 1


def loss_curve(sample: Sample, config: FitConfig) -> LossCurve:
    """Record the loss of each round as the number of rounds is chosen: until the loss on the rows left out has risen.

    Left out are the rows of the latest origin, or one fold of sellers if there are too few; see `fit.choose_recipe`.
    """
    import lightgbm

    later = sample.origins(config.origins, config.seed)
    inside, outside = (later or sample.folds(config.folds, config.seed))[-1]
    train, left_out = sample.take(inside), sample.take(outside)
    data = lightgbm.Dataset(train.matrix, train.bad)
    losses: dict[str, dict[str, list[float]]] = {}
    lightgbm.train(
        config.parameters(sample.columns, len(train.bad), int(train.bad.sum())),
        data,
        num_boost_round=config.max_rounds,
        valid_sets=[data, lightgbm.Dataset(left_out.matrix, left_out.bad, reference=data)],
        valid_names=[_TRAINING, _LEFT_OUT],
        callbacks=[lightgbm.early_stopping(config.patience, verbose=False), lightgbm.record_evaluation(losses)],
    )
    training, outside_loss = (np.array(losses[name]["binary_logloss"]) for name in (_TRAINING, _LEFT_OUT))
    return LossCurve(training, outside_loss, bool(later), sample.words)


def study_boosting_rounds(curve: LossCurve, rounds: int, config: FitConfig) -> Finding:
    """Report the loss by round, and whether `fit.max_rounds` limited the number of rounds.

    Args:
        curve: the recorded losses.
        rounds: number of rounds in the recipe of the model.
        config: the settings of the fit.
    """
    words = curve.words
    rows = f"later {words.of_others}" if curve.is_later else f"a fold of {words.units}"
    at_limit = curve.best > 0.98 * config.max_rounds
    alarm = f"The loss was still falling at the limit of {config.max_rounds:,} rounds. " + (
        "Raise fit.max_rounds or fit.learning_rate."
        if words == SELLER_LOANS
        else "A column that separates the outcomes almost completely has this effect: read the study of target leakage."
    )
    return Finding(
        NAME,
        "Boosting rounds",
        f"The boosted trees have {rounds:,} rounds. The log-loss on {rows} is lowest after {curve.best:,} rounds: "
        f"{curve.left_out[curve.best - 1]:.5f}. On the rows that the trees were trained on, it is "
        f"{curve.training[curve.best - 1]:.5f} then.{f' {alarm}' if at_limit else ''}",
        figures={
            "rounds": float(rounds),
            "best_round": float(curve.best),
            "left_out_log_loss": float(curve.left_out[curve.best - 1]),
            "at_limit": float(at_limit),
        },
        tables={TABLE: _table(curve)},
        plots={"loss_by_round": _plot(curve, rounds)},
        alarms=(alarm,) if at_limit else (),
    )


def _table(curve: LossCurve) -> pd.DataFrame:
    """Return up to 50 rounds at equal distances, and the best round."""
    import pandas as pd

    rounds = len(curve.left_out)
    listed = np.unique([*np.linspace(1, rounds, min(rounds, _LISTED)).round().astype(int), curve.best])
    return pd.DataFrame({"round": listed, _TRAINING: curve.training[listed - 1], _LEFT_OUT: curve.left_out[listed - 1]})


def _plot(curve: LossCurve, rounds: int) -> Figure:
    figure, axes = new_plot(6.4, 3.8)
    numbers = np.arange(1, len(curve.left_out) + 1)
    axes.plot(numbers, curve.training, color=GOOD, label="training rows")
    axes.plot(numbers, curve.left_out, color=BAD, label="rows left out")
    axes.axvline(curve.best, color=FAINT, linestyle=":", linewidth=1, label=f"lowest loss, round {curve.best:,}")
    if rounds <= len(numbers):
        axes.axvline(rounds, color=FAINT, linestyle="--", linewidth=1, label=f"rounds of the model, {rounds:,}")
    axes.set(xlabel="Round", ylabel="Log-loss", title="Loss by boosting round")
    axes.legend(frameon=False, fontsize=8.5)
    return figure
