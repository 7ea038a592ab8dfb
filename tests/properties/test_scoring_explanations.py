"""Our contributions against Shapley values by brute force, and points that sum, over models that hypothesis makes."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring import Bundle, assess, serialize_assessment
from scoring.explain import contributions
from scoring.model import Calibration, Model
from scoring.points import to_points
from scoring.scale import Scale
from tests.counts import repeat
from tests.oracles.shapley import shapley
from tests.scoring import build

pytestmark = pytest.mark.repeated

_RECIPES = st.builds(
    build.Recipe,
    seed=st.integers(0, 2**16),
    features=st.integers(2, 5),
    rows=st.sampled_from([60, 250]),
    trees=st.integers(1, 15),
    depth=st.integers(1, 3),
    missing=st.sampled_from([0.0, 0.3]),
)
_FEW = settings(max_examples=repeat(5, 250), deadline=None)
_SCALES = st.builds(
    Scale,
    points=st.floats(300, 900),
    odds=st.floats(0.5, 200),
    double=st.floats(1, 200),
    min=st.integers(0, 500),
    max=st.integers(501, 1000),
)
_CALIBRATIONS = st.builds(Calibration, slope=st.floats(0.05, 5), intercept=st.floats(-4, 4))


@lru_cache(maxsize=64)
def _bundle(recipe: build.Recipe) -> Bundle:
    return build.bundle(recipe)


@_FEW
@given(recipe=_RECIPES, seed=st.integers(0, 2**16))
def test_contributions_are_the_shapley_values_of_the_path_dependent_game(recipe: build.Recipe, seed: int) -> None:
    booster = build.booster(recipe)
    # a row of another share of missing values than training: training may not know a feature to be missing at all
    matrix = np.vstack([build.rows(recipe, 3, seed), np.full(recipe.features, np.nan), np.zeros(recipe.features)])
    ours = contributions(Model.from_text(booster.model_to_string()), matrix)
    for row, values in zip(matrix, ours.values, strict=True):
        base, expected = shapley(booster.dump_model(), row.tolist())
        assert math.isclose(ours.base, base, abs_tol=1e-9)
        assert np.abs(values - expected).max() < 1e-9


@_FEW
@given(recipe=_RECIPES, seed=st.integers(0, 2**16), scale=_SCALES, calibration=_CALIBRATIONS)
def test_points_sum_and_a_higher_score_never_has_a_higher_probability(
    recipe: build.Recipe, seed: int, scale: Scale, calibration: Calibration
) -> None:
    model = _bundle(recipe).model
    matrix = build.rows(recipe, 40, seed)
    points = to_points(contributions(model, matrix), calibration, scale)
    assert (points.base + points.features.sum(axis=1) + points.scale_limit == points.score).all()
    assert points.score.min() >= scale.min
    assert points.score.max() <= scale.max
    margin = calibration.intercept + calibration.slope * model.booster.predict(matrix, raw_score=True)
    assert np.allclose(points.log_odds, margin, atol=1e-6)
    unlimited = points.score - points.scale_limit
    assert (np.abs(unlimited - (scale.offset - scale.factor * margin)) <= 0.5 + 1e-6).all()
    falling = points.score[np.argsort(points.log_odds, kind="stable")]
    assert (np.diff(falling) <= 0).all()
    exact = -scale.factor * calibration.slope * contributions(model, matrix).values
    # the base is rounded too, so a row may need one unit more or less than its own floors and ceilings hold
    assert np.abs(points.features - exact).max() < 2.0


@_FEW
@given(recipe=_RECIPES, seed=st.integers(0, 2**16), order=st.randoms(use_true_random=False), size=st.integers(1, 9))
def test_bytes_are_the_same_alone_in_any_batch_and_in_any_order(
    recipe: build.Recipe, seed: int, order: object, size: int
) -> None:
    bundle = _bundle(recipe)
    vectors = build.vectors(build.rows(recipe, 17, seed))
    alone = [serialize_assessment(assess(bundle, [vector])[0]) for vector in vectors]
    places = list(range(len(vectors)))
    order.shuffle(places)  # type: ignore[attr-defined]
    for start in range(0, len(places), size):
        batch = places[start : start + size]
        together = assess(bundle, [vectors[place] for place in batch])
        assert [serialize_assessment(result) for result in together] == [alone[place] for place in batch]
    for result in assess(bundle, vectors):
        explanation = result.explanation
        assert explanation is not None
        total = explanation.base_points + sum(item.points for item in explanation.contributions)
        assert total == result.score
