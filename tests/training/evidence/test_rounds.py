"""The loss by round: the losses are those of the model after each round, and a limit that cuts it short is stated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.training.datasets import dataset
from training.evidence.rounds import TABLE, loss_curve, study_boosting_rounds
from training.fit import FitConfig, boost
from training.sample import Sample

CONFIG = FitConfig(learning_rate=0.1, max_rounds=60, patience=60, folds=3, threads=1)


@pytest.fixture(scope="module")
def sample() -> Sample:
    return Sample.of_dataset(dataset(1_200, 400))


def test_losses_are_those_of_the_model_after_each_round(sample: Sample) -> None:
    curve = loss_curve(sample, CONFIG)
    assert curve.is_later
    inside, outside = (sample.take(rows) for rows in sample.origins(CONFIG.origins, CONFIG.seed)[-1])
    booster = boost(inside, CONFIG, CONFIG.max_rounds)
    for number in (1, 20, len(curve.left_out)):
        for rows, losses in ((inside, curve.training), (outside, curve.left_out)):
            margins = booster.predict(rows.matrix, raw_score=True, num_iteration=number)
            loss = np.log1p(np.exp(-np.where(rows.bad > 0, margins, -margins))).mean()
            assert losses[number - 1] == pytest.approx(loss)
    assert curve.left_out[curve.best - 1] == curve.left_out.min()


def test_without_time_one_fold_of_sellers_is_left_out() -> None:
    curve = loss_curve(Sample.of_dataset(dataset(600, days=1)), replace(CONFIG, max_rounds=5))
    assert not curve.is_later
    assert len(curve.training) == len(curve.left_out) == 5


@pytest.mark.parametrize(("most", "at_limit"), [(4, True), (600, False)])
def test_a_number_of_rounds_that_the_limit_decided_is_stated(sample: Sample, most: int, at_limit: bool) -> None:
    config = replace(CONFIG, learning_rate=0.3, max_rounds=most, patience=20)
    curve = loss_curve(sample, config)
    finding = study_boosting_rounds(curve, curve.best, config)
    stated = "Raise fit.max_rounds or fit.learning_rate" in finding.summary
    assert (finding.figures["at_limit"], stated, bool(finding.alarms)) == (at_limit, at_limit, at_limit)
    table = finding.tables[TABLE]
    assert len(table) <= 51
    assert curve.best in table["round"].tolist()
    assert table["left_out"].min() == finding.figures["left_out_log_loss"]
