"""The loss of each boosting round: on the rows that trees are grown on, and on rows that are left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from training.evidence.study import Finding

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from training.fit import FitConfig
    from training.sample import Sample

NAME: Final = "rounds"
TABLE: Final = "Loss by round"
_LISTED: Final = 50
"""Rounds in the table: enough for the shape of the curve."""

_TRAINING, _LEFT_OUT = "training", "left_out"


@dataclass(frozen=True)
class LossCurve:
    """Log-loss after each round, shape (rounds,) each.

    Attributes:
        training: on the rows that the trees are grown on.
        left_out: on later rows of other sellers, or on a fold of sellers.
        is_later: whether the rows left out are later.
    """

    training: NDArray[np.float64]
    left_out: NDArray[np.float64]
    is_later: bool

    @property
    def best(self) -> int:
        """The round with the least loss on the rows left out, counted from 1."""
        return int(self.left_out.argmin()) + 1

    def table(self) -> pd.DataFrame:
        """Return up to 50 rounds at even distances, and the best round."""
        import pandas as pd

        rounds = len(self.left_out)
        listed = np.unique([*np.linspace(1, rounds, min(rounds, _LISTED)).round().astype(int), self.best])
        return pd.DataFrame(
            {"round": listed, _TRAINING: self.training[listed - 1], _LEFT_OUT: self.left_out[listed - 1]}
        )


def loss_curve(sample: Sample, config: FitConfig) -> LossCurve:
    """Record the loss of each round as the number of rounds is chosen: until the loss on the rows left out has risen.

    Left out are the rows of the latest origin, or one fold of sellers if there are too few; see `fit.choose_recipe`.
    """
    import lightgbm

    later = sample.origins(config.origins, config.seed)
    inside, outside = (later or sample.folds(config.folds, config.seed))[-1]
    grown, left_out = sample.take(inside), sample.take(outside)
    data = lightgbm.Dataset(grown.matrix, grown.bad)
    losses: dict[str, dict[str, list[float]]] = {}
    lightgbm.train(
        config.parameters(sample.columns, len(grown.bad), int(grown.bad.sum())),
        data,
        num_boost_round=config.max_rounds,
        valid_sets=[data, lightgbm.Dataset(left_out.matrix, left_out.bad, reference=data)],
        valid_names=[_TRAINING, _LEFT_OUT],
        callbacks=[lightgbm.early_stopping(config.patience, verbose=False), lightgbm.record_evaluation(losses)],
    )
    training, outside_loss = (np.array(losses[name]["binary_logloss"]) for name in (_TRAINING, _LEFT_OUT))
    return LossCurve(training, outside_loss, bool(later))


def boosting_rounds(curve: LossCurve, rounds: int, config: FitConfig) -> Finding:
    """Report the loss by round, and whether the number of rounds was limited by `fit.max_rounds`.

    Args:
        curve: the recorded losses.
        rounds: of the boosted trees, in the recipe of the model.
        config: the settings of the fit.
    """
    rows = "later rows of other borrowers" if curve.is_later else "a fold of borrowers"
    at_limit = curve.best > 0.98 * config.max_rounds
    limit = (
        f" The loss still fell at the limit of {config.max_rounds:,} rounds (fit.max_rounds): raise the limit or "
        "fit.learning_rate."
        if at_limit
        else ""
    )
    return Finding(
        NAME,
        "Boosting rounds",
        f"Boosted trees have {rounds:,} rounds. The loss on {rows} was least after {curve.best:,} rounds: log-loss "
        f"{curve.left_out[curve.best - 1]:.5f}, and {curve.training[curve.best - 1]:.5f} on the rows that the trees "
        f"were grown on.{limit}",
        figures={
            "rounds": float(rounds),
            "best_round": float(curve.best),
            "left_out_log_loss": float(curve.left_out[curve.best - 1]),
            "at_limit": float(at_limit),
        },
        tables={TABLE: curve.table()},
        plots={"loss_by_round": _plot(curve, rounds)},
        alarms=(limit.strip(),) if at_limit else (),
    )


def _plot(curve: LossCurve, rounds: int) -> Figure:
    from training.evidence.report_blocks import BAD, FAINT, GOOD, new_figure, plain

    figure = new_figure(6.4, 3.8)
    axes = figure.subplots()
    numbers = np.arange(1, len(curve.left_out) + 1)
    axes.plot(numbers, curve.training, color=GOOD, label="rows that trees are grown on")
    axes.plot(numbers, curve.left_out, color=BAD, label="rows left out")
    axes.axvline(curve.best, color=FAINT, linestyle=":", linewidth=1, label=f"least loss, round {curve.best:,}")
    if rounds <= len(numbers):
        axes.axvline(rounds, color=FAINT, linestyle="--", linewidth=1, label=f"rounds of the model, {rounds:,}")
    axes.set(xlabel="Round", ylabel="Log-loss", title="Loss by boosting round")
    axes.legend(frameon=False, fontsize=8.5)
    plain(axes)
    return figure
