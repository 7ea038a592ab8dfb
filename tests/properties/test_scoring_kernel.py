"""Contribution tables equal LightGBM and the definition, for trained models and for random trees."""

from __future__ import annotations

from functools import lru_cache

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from scoring.explain import contributions, verify_tables
from scoring.kernel.compiled import explain_blocks, explain_rows
from scoring.kernel.groups import plan
from scoring.kernel.trees import read_trees
from scoring.model import Model
from tests.counts import repeat
from tests.oracles.shapley import shapley
from tests.scoring import forests
from tests.scoring.forests import Forest

pytestmark = pytest.mark.repeated

_SEEDS = st.integers(0, 2**20)
_CLOSE = 1e-12


@lru_cache(maxsize=8)
def _trained(seed: int, depth: int, zero_as_missing: bool) -> tuple[Model, NDArray[np.float64]]:
    """Return a model of 2 to 6 features, the last one categorical, and some training rows; margins are around one."""
    rng = np.random.default_rng(seed)
    features = int(rng.integers(2, 7))
    matrix = np.round(rng.normal(size=(1500, features)), 2)
    matrix[rng.random(matrix.shape) < 0.15] = 0.0
    matrix[:, -1] = rng.integers(0, 40, len(matrix))
    matrix[rng.random(matrix.shape) < 0.1] = np.nan
    risk = np.nan_to_num(matrix[:, 0] * matrix[:, -2]) + np.isin(matrix[:, -1], [3, 7, 33]) * 2 - 0.5
    data = lightgbm.Dataset(matrix, risk + rng.normal(size=len(risk)) > 0, categorical_feature=[features - 1])
    parameters = {
        "objective": "binary",
        "num_leaves": min(2**depth, 120),
        "max_depth": depth,
        "min_data_in_leaf": 3,
        "min_data_per_group": 5,
        "cat_smooth": 1,
        "max_cat_to_onehot": int(rng.choice([1, 64])),
        "zero_as_missing": zero_as_missing,
        "use_missing": bool(rng.random() < 0.8),
        "learning_rate": 0.2,
        "num_threads": 1,
        "verbosity": -1,
        "seed": seed,
    }
    return Model.from_text(lightgbm.train(parameters, data, 6).model_to_string()), matrix[:300]


@settings(max_examples=repeat(2, 200), deadline=None)
@given(seed=_SEEDS, depth=st.integers(2, 8), zero_as_missing=st.booleans())
@pytest.mark.slow
def test_explanations_of_trained_models_equal_lightgbm(seed: int, depth: int, zero_as_missing: bool) -> None:
    model, matrix = _trained(seed, depth, zero_as_missing)
    _assert_equal_to_lightgbm(model, matrix)


@settings(max_examples=repeat(10, 600), deadline=None)
@given(seed=_SEEDS, depth=st.integers(0, 7), features=st.integers(1, 5))
def test_explanations_of_random_trees_equal_lightgbm(seed: int, depth: int, features: int) -> None:
    forest = Forest(seed, features, depth=depth)
    _assert_equal_to_lightgbm(Model.from_text(forests.text(forest)), forests.rows(forest, 60, seed))


def _assert_equal_to_lightgbm(model: Model, matrix: NDArray[np.float64]) -> None:
    """Assert that all our functions give LightGBM's contributions except for rounding, and its margins to the bit."""
    expected = np.asarray(model.booster.predict(matrix, pred_contrib=True))
    assert model.tables is not None
    actual = contributions(model, matrix)
    assert np.abs(actual.values - expected[:, :-1]).max() <= _CLOSE
    assert np.abs(actual.base - expected[:, -1]).max() <= _CLOSE
    for explain in (explain_rows, explain_blocks):
        values, margins = np.zeros(matrix.shape), np.zeros(len(matrix))
        explain(model.tables, matrix, values, margins)
        assert values.tobytes() == actual.values.tobytes()
        assert margins.tobytes() == np.asarray(model.booster.predict(matrix, raw_score=True)).tobytes()
    verify_tables(model)


@settings(max_examples=repeat(15, 400), deadline=None)
@given(seed=_SEEDS, depth=st.integers(0, 5), features=st.integers(1, 5), min_cover=st.integers(0, 1))
def test_contributions_are_shapley_values_even_in_nodes_without_training_rows(
    seed: int, depth: int, features: int, min_cover: int
) -> None:
    forest = Forest(seed, features, 2, depth, min_cover)
    model = Model.from_text(forests.text(forest))
    matrix = forests.rows(forest, 3, seed)
    actual = contributions(model, matrix)
    for row, values in zip(matrix.tolist(), actual.values, strict=True):
        base, expected = shapley(model.booster.dump_model(), row)
        assert abs(actual.base - base) <= _CLOSE
        assert np.abs(values - expected).max() <= _CLOSE


@settings(max_examples=repeat(4, 150), deadline=None)
@given(seed=_SEEDS, depth=st.integers(1, 6), order=st.randoms(use_true_random=False))
def test_a_row_has_the_same_bits_alone_in_any_batch_and_on_any_threads(seed: int, depth: int, order: object) -> None:
    forest = Forest(seed, 5, trees=7, depth=depth)
    model = Model.from_text(forests.text(forest))
    matrix = forests.rows(forest, 600, seed)
    alone = np.vstack([contributions(model, matrix[[row]]).values for row in range(len(matrix))])
    indexes = list(range(len(matrix)))
    order.shuffle(indexes)  # type: ignore[attr-defined]
    for size, threads in (
        (2, 1),
        (32, 2),
        (33, 1),
        (255, 2),
        (256, 1),
        (257, 2),
        *((600, count) for count in (1, 2, 3, 9)),
    ):
        batch = indexes[:size]
        together = contributions(model, matrix[batch], threads).values
        assert together.tobytes() == alone[batch].tobytes()
    other_layout = np.asfortranarray(np.float64(matrix))
    assert contributions(model, other_layout).values.tobytes() == alone.tobytes()


@settings(max_examples=repeat(15, 400), deadline=None)
@given(seed=_SEEDS, depth=st.integers(0, 7), features=st.integers(1, 5))
def test_groups_contain_every_leaf_once(seed: int, depth: int, features: int) -> None:
    trees = read_trees(forests.text(Forest(seed, features, depth=depth)))
    groups = plan(trees).groups
    values = [leaf.value for group in groups for leaf in group.leaves]
    assert sorted(values) == sorted(value for tree in trees for value in tree.values)
    for group in groups:
        assert len(group.splits) == len(group.leaves) - 1
        assert group.features == tuple(dict.fromkeys(bit.feature for bit in group.bits))
