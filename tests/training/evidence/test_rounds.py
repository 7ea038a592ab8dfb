"""The loss by round: the losses are those of the model after each round, and a limit that cuts it short is stated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.training.datasets import dataset
from training.evidence.rounds import TABLE, boosting_rounds, loss_curve
from training.fit import FitConfig, boost
from training.sample import Sample

CONFIG = FitConfig(learning_rate=0.1, max_rounds=60, patience=60, folds=3, threads=1)


def log_loss(bad: np.ndarray, margins: np.ndarray) -> float:
    return float(np.log1p(np.exp(-np.where(bad > 0, margins, -margins))).mean())


def test_losses_are_those_of_the_model_after_each_round() -> None:
    sample = Sample.of_dataset(dataset(1_200, 400))
    curve = loss_curve(sample, CONFIG)
    assert curve.is_later
    inside, outside = sample.origins(CONFIG.origins, CONFIG.seed)[-1]
    grown, left_out = sample.take(inside), sample.take(outside)
    booster = boost(grown, CONFIG, CONFIG.max_rounds)
    for number in (1, 20, len(curve.left_out)):
        for rows, losses in ((grown, curve.training), (left_out, curve.left_out)):
            margins = booster.predict(rows.matrix, raw_score=True, num_iteration=number)
            assert losses[number - 1] == pytest.approx(log_loss(rows.bad, margins))
    assert curve.left_out[curve.best - 1] == curve.left_out.min()


def test_without_time_one_fold_of_sellers_is_left_out() -> None:
    curve = loss_curve(Sample.of_dataset(dataset(600, days=1)), replace(CONFIG, max_rounds=5))
    assert not curve.is_later
    assert len(curve.training) == len(curve.left_out) == 5


@pytest.mark.parametrize(("most", "at_limit"), [(4, True), (600, False)])
def test_a_number_of_rounds_that_the_limit_decided_is_stated(most: int, at_limit: bool) -> None:
    config = replace(CONFIG, learning_rate=0.3, max_rounds=most, patience=20)
    curve = loss_curve(Sample.of_dataset(dataset(1_200, 400)), config)
    found = boosting_rounds(curve, curve.best, config)
    assert bool(found.figures["at_limit"]) is at_limit
    assert ("raise the limit or fit.learning_rate" in found.said) is at_limit
    assert bool(found.alarms) is at_limit
    table = found.tables[TABLE]
    assert len(table) <= 51
    assert curve.best in table["round"].tolist()
    assert table["left_out"].min() == found.figures["left_out_log_loss"]
