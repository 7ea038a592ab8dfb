"""Comparison of versions: the same catalogue predicts again, different catalogues use stored test predictions."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

import training.compare_versions
from tests.training.datasets import dataset
from tests.training.evidence.subjects import boosted, bundle
from training.compare import Comparison, compare
from training.compare_versions import Contender, compare_versions
from training.errors import ComparisonError
from training.holdout import LabelSource
from training.predictions import predict
from training.registry import Registry, Version

OTHER = "sha256:" + "0" * 64
PARAMS = {
    "evidence": "out_of_time",
    "test_from": "2022-01-01",
    "default_definition": "90+ days past due within 12 months",
    "split.unseen_share": "0.3",
    "split.salt": "sellerscore",
}
ROWS, LATER = dataset(900, 400, seed=2), dataset(500, 400, seed=3)
LATER = replace(LATER, rows=LATER.rows.assign(seller_id="T" + LATER.rows["seller_id"]))
TRAIN = dataset(1_500, 500, seed=1)
MODELS = bundle(TRAIN, boosted(TRAIN)), bundle(TRAIN, boosted(TRAIN, trees=2))


def contender(number: int, other_catalogue: bool = False, **params: str) -> Contender:
    model = MODELS[2 - number]
    if other_catalogue:
        model = replace(model, sheet=replace(model.sheet, catalogue=OTHER))
    return Contender(Version(number, f"run {number}", {**PARAMS, **params}, {}, {}, {}), model, ROWS)


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> dict[int, pd.DataFrame]:
    """The stored predictions of each version; of version 1, those of the first 300 rows and of some others."""
    second = pd.concat([predict(MODELS[1], ROWS).iloc[:300], predict(MODELS[1], LATER)], ignore_index=True)
    tables = {1: second.sample(frac=1.0, random_state=1), 2: predict(MODELS[0], ROWS)}
    monkeypatch.setattr(training.compare_versions, "load_predictions", lambda _, version: tables.get(version.number))
    return tables


def comparison(candidate: Contender, champion: Contender) -> Comparison:
    registry: Registry = None  # type: ignore[assignment]
    source: LabelSource = None  # type: ignore[assignment]
    return compare_versions(registry, source, candidate, champion)


@pytest.mark.parametrize("candidate_is_other", [False, True])
def test_versions_of_different_catalogues_are_compared_on_shared_test_loans(
    stored: dict[int, pd.DataFrame], candidate_is_other: bool
) -> None:
    assert set(stored) == {1, 2}
    found = comparison(contender(2, candidate_is_other), contender(1, other_catalogue=True))
    expected = compare(*MODELS, ROWS.select(ROWS.rows.index.to_series() < 300))
    assert (found.rows, found.figures, found.agreement) == (300, expected.figures, expected.agreement)
    assert expected.figures["auc"].difference.value > 0


def test_versions_of_this_catalogue_predict_again(stored: dict[int, pd.DataFrame]) -> None:
    stored.clear()
    found = comparison(contender(2), contender(1))
    assert 100 < found.rows < 500


def test_a_run_of_another_catalogue_without_predictions_is_rejected(stored: dict[int, pd.DataFrame]) -> None:
    del stored[1]
    with pytest.raises(ComparisonError, match=r"Version 1 was trained with the catalogue sha256:0+, .* stored no test"):
        comparison(contender(2), contender(1, other_catalogue=True))


def test_too_few_loans_in_both_tests_are_rejected(stored: dict[int, pd.DataFrame]) -> None:
    stored[1] = predict(MODELS[1], LATER)
    with pytest.raises(ComparisonError, match="only 0 loans, 0 of them bad, were in both tests"):
        comparison(contender(2), contender(1, other_catalogue=True))


def test_a_version_without_an_out_of_time_test_is_rejected(stored: dict[int, pd.DataFrame]) -> None:
    assert stored
    with pytest.raises(ComparisonError, match="Version 1 was trained on all rows"):
        comparison(contender(2), contender(1, other_catalogue=True, evidence="out_of_fold"))
