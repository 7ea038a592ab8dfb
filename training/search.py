"""Hyperparameter search for LightGBM: a fixed number of trials on later loans of other sellers, with pruning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Final

import numpy as np
from pydantic import Field

from training.evidence.study import Finding
from training.fit import FitConfig, boost
from training.sample import Part, Sample
from training.settings import STRICT
from training.stability import measure_stability

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

_STARTUP_TRIALS: Final = 5
"""Number of trials before pruning starts: the median of fewer is unreliable."""


@dataclass(frozen=True)
class SearchConfig:
    """The `[search]` section: number of trials in addition to the configured settings."""

    __pydantic_config__ = STRICT

    trials: Annotated[int, Field(ge=0, le=10_000)] = 0


@dataclass(frozen=True)
class SearchResult:
    """The best settings, and the findings of the search (none without trials)."""

    best: FitConfig
    findings: tuple[Finding, ...]


def search(sample: Sample, configured: FitConfig, trials: int, step: Callable[[str], None]) -> SearchResult:
    """Try `trials` settings in addition to the configured ones and return the best. The result is deterministic.

    A trial is evaluated by its log-loss on the rows that each rolling origin leaves out (later, of other sellers), with
    early stopping. It is pruned after a part if its mean so far is above the median of earlier trials (Optuna's
    `MedianPruner`). The configured settings are kept unless the best trial beats them on the same parts by more than
    the standard error of the difference: the best of many trials may be only the luckiest.

    Args:
        sample: the training rows; test rows take no part.
        configured: the starting point, and all settings that are not searched.
        trials: number of trials; with 0 the configured settings are returned.
        step: reports progress.
    """
    if trials == 0:
        return SearchResult(configured, ())
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=configured.seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=_STARTUP_TRIALS),
    )
    sample = sample.select_columns(measure_stability(sample, configured.stability).selected)
    origins = sample.origins(configured.origins, configured.seed)
    parts = origins or sample.folds(configured.folds, configured.seed)
    step(f"search settings: log-loss of the configured settings, before {trials} trials")
    baseline = [_loss(sample, part, configured) for part in parts]
    first = float(np.mean(baseline))

    def objective(trial: Trial) -> float:
        best = min([first, *(done.value for done in _completed(study))])
        step(f"search settings: trial {trial.number + 1} of {trials}, best log-loss {best:.5f}")
        return _mean_loss(trial, sample, parts, _suggest(trial, configured))

    study.optimize(objective, n_trials=trials)
    better = [done for done in _completed(study) if _is_better(done.user_attrs["losses"], baseline)]
    best = min(better, key=lambda done: done.value, default=None)
    settings = configured if best is None else replace(configured, **best.params)
    return SearchResult(settings, (_finding(study, first, taken=best is not None),))


def _is_better(losses: list[float], baseline: list[float]) -> bool:
    """Return whether the losses are below the baseline on the same parts by more than the standard error."""
    below = np.array(baseline) - np.array(losses)
    error = below.std(ddof=1) / np.sqrt(len(below)) if len(below) > 1 else 0.0
    return bool(below.mean() > error)


def _mean_loss(trial: Trial, sample: Sample, parts: list[Part], config: FitConfig) -> float:
    import optuna

    losses: list[float] = []
    for number, part in enumerate(parts):
        losses.append(_loss(sample, part, config))
        trial.report(float(np.mean(losses)), number)
        if number + 1 < len(parts) and trial.should_prune():
            raise optuna.TrialPruned
    trial.set_user_attr("losses", losses)
    return float(np.mean(losses))


def _loss(sample: Sample, part: Part, config: FitConfig) -> float:
    inside, outside = part
    booster = boost(sample.take(inside), config, config.max_rounds, sample.take(outside))
    return float(booster.best_score["valid_0"]["binary_logloss"])


def _suggest(trial: Trial, configured: FitConfig) -> FitConfig:
    return replace(
        configured,
        learning_rate=trial.suggest_float("learning_rate", 0.01, 0.1, log=True),
        num_leaves=trial.suggest_int("num_leaves", 4, 32, log=True),
        max_depth=trial.suggest_int("max_depth", 2, 6),
        most_data_in_leaf=trial.suggest_int("most_data_in_leaf", 10, 200, log=True),
        feature_fraction=trial.suggest_float("feature_fraction", 0.1, 1.0),
        bagging_fraction=trial.suggest_float("bagging_fraction", 0.4, 1.0),
        lambda_l2=trial.suggest_float("lambda_l2", 0.1, 100.0, log=True),
    )


def _completed(study: Study) -> list[FrozenTrial]:
    from optuna.trial import TrialState

    return [trial for trial in study.get_trials(deepcopy=False) if trial.state is TrialState.COMPLETE]


def _finding(study: Study, first: float, *, taken: bool) -> Finding:
    import pandas as pd

    done = _completed(study)
    pruned = len(study.trials) - len(done)
    best = min([first, *(trial.value for trial in done)])
    rows = [
        {
            "trial": trial.number,
            "log_loss": trial.value if trial in done else None,
            "folds": len(trial.intermediate_values),
            "mean_so_far": list(trial.intermediate_values.values())[-1],
            **trial.params,
        }
        for trial in study.trials
    ]
    outcome = (
        "The best trial is used."
        if taken
        else "No trial was better beyond chance, so the configured settings are used."
    )
    return Finding(
        name="search",
        title="Search of settings",
        summary=f"{len(study.trials)} settings were tried inside the training part; {pruned} of them were pruned "
        f"before the last part. The log-loss of the configured settings is {first:.5f}, the best is {best:.5f}. "
        f"{outcome}",
        figures={
            "trials": len(study.trials),
            "given_up": pruned,
            "configured_log_loss": first,
            "best_log_loss": best,
        },
        tables={"Trials": pd.DataFrame(rows)},
    )
