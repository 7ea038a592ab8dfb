"""Hyperparameter search: deterministic, evaluated on later rows, and used only if better beyond chance."""

from __future__ import annotations

from dataclasses import replace

import lightgbm
import numpy as np
import pytest

import training.search
from tests.training.datasets import dataset
from training.fit import FitConfig
from training.sample import Part, Sample
from training.search import SearchConfig, search
from training.stability import measure_stability

CONFIG = FitConfig(learning_rate=0.1, max_rounds=40, patience=5, folds=3, threads=1)


@pytest.fixture(scope="module")
def sample() -> Sample:
    return Sample.of_dataset(dataset(600, 200)).select_columns(range(24))


@pytest.fixture(scope="module")
def parts(sample: Sample) -> int:
    """Number of parts that a trial is evaluated on: two halves of sellers after each origin."""
    assert len(sample.origins(CONFIG.origins, CONFIG.seed)) == 2 * CONFIG.origins
    return 2 * CONFIG.origins


def quiet(_: str) -> None:
    pass


def test_without_trials_the_configured_settings_are_used(sample: Sample) -> None:
    assert SearchConfig().trials == 0
    found = search(sample, CONFIG, 0, quiet)
    assert (found.best, found.findings) == (CONFIG, ())


def test_the_search_is_deterministic_for_a_seed(sample: Sample) -> None:
    one, again, other = (search(sample, replace(CONFIG, seed=seed), 3, quiet) for seed in (7, 7, 8))
    assert one.best == again.best
    trials, same, others = (each.findings[0].tables["Trials"] for each in (one, again, other))
    assert trials.equals(same)
    assert not others["lambda_l2"].equals(trials["lambda_l2"])


def losses(
    monkeypatch: pytest.MonkeyPatch, configured: float, trials: list[float], spread: float = 0.0
) -> list[FitConfig]:
    """Let the configured settings and each trial have these losses, and return the settings of each call.

    With a spread, a trial is better than its loss by so much on every other part, and worse on the others.
    """
    asked: list[FitConfig] = []

    def loss(_: Sample, __: Part, config: FitConfig) -> float:
        asked.append(config)
        tried = list(dict.fromkeys(asked))
        turn = spread if asked.count(config) % 2 else -spread
        return configured if config == CONFIG else trials[tried.index(config) - 1] - turn

    monkeypatch.setattr(training.search, "_loss", loss)
    return asked


def test_the_best_trial_is_used_only_if_it_beats_the_configured_settings(
    sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = losses(monkeypatch, 0.5, [0.6, 0.4, 0.45])
    found = search(sample, CONFIG, 3, quiet)
    assert found.best == list(dict.fromkeys(asked))[2]
    assert "The best trial is used." in found.findings[0].summary
    assert found.findings[0].figures["best_log_loss"] == pytest.approx(0.4)
    assert (found.best.max_rounds, found.best.seed, found.best.folds) == (40, 7, 3)
    losses(monkeypatch, 0.3, [0.6, 0.4, 0.45])
    found = search(sample, CONFIG, 3, quiet)
    assert found.best == CONFIG
    assert "No trial was better beyond chance, so the configured settings are used." in found.findings[0].summary


def test_a_trial_that_is_better_by_chance_is_not_used(
    sample: Sample, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is better by 0.01 on average; the standard error over six parts is 0.1, or 0.001."""
    assert parts == 6
    losses(monkeypatch, 0.5, [0.49], spread=0.1 * np.sqrt(5.0))
    lucky = search(sample, CONFIG, 1, quiet)
    assert lucky.best == CONFIG
    assert lucky.findings[0].figures["best_log_loss"] == pytest.approx(0.49)
    assert "No trial was better beyond chance" in lucky.findings[0].summary
    asked = losses(monkeypatch, 0.5, [0.49], spread=0.001 * np.sqrt(5.0))
    assert search(sample, CONFIG, 1, quiet).best == asked[-1] != CONFIG


def test_trials_are_evaluated_on_later_rows_of_other_sellers(
    sample: Sample, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[FitConfig] = []
    columns = sample.select_columns(measure_stability(sample, CONFIG.stability).selected).columns
    assert columns.read_features < sample.columns.read_features
    original = training.search.boost

    def recorded(inside: Sample, config: FitConfig, rounds: int, stop_on: Sample) -> lightgbm.Booster:
        tried.append(config)
        assert inside.columns == stop_on.columns == columns
        assert inside.days is not None
        assert stop_on.days is not None
        assert inside.days.max() < stop_on.days.min()
        assert set(inside.sellers).isdisjoint(stop_on.sellers)
        return original(inside, config, rounds, stop_on)

    monkeypatch.setattr(training.search, "boost", recorded)
    search(sample, CONFIG, 1, quiet)
    assert tried[:parts] == [CONFIG] * parts
    assert len(tried) == 2 * parts


def test_without_time_trials_are_evaluated_on_folds_of_sellers(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = losses(monkeypatch, 0.5, [0.6])
    search(Sample.of_dataset(dataset(400, 150, days=1)), CONFIG, 1, quiet)
    assert len(asked) == 2 * CONFIG.folds


def test_a_poor_trial_is_pruned_after_its_first_part(
    sample: Sample, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = losses(monkeypatch, 0.5, [0.4, 0.4, 0.4, 0.4, 0.4, 0.9])
    found = search(sample, CONFIG, 6, quiet).findings[0]
    assert len(asked) == parts * 6 + 1
    assert (found.figures["trials"], found.figures["given_up"]) == (6, 1)
    trials = found.tables["Trials"]
    assert trials["folds"].tolist() == [*[parts] * 5, 1]
    assert np.isnan(trials["log_loss"].iloc[5])
    assert trials["mean_so_far"].iloc[5] == pytest.approx(0.9)


def test_progress_names_the_trial_and_the_best_so_far(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    losses(monkeypatch, 0.5, [0.6, 0.4])
    steps: list[str] = []
    search(sample, CONFIG, 2, steps.append)
    assert steps == [
        "search settings: log-loss of the configured settings, before 2 trials",
        "search settings: trial 1 of 2, best log-loss 0.50000",
        "search settings: trial 2 of 2, best log-loss 0.50000",
    ]
