"""Features that settings keep out of a model: by name, checked, and never none."""

from __future__ import annotations

import pytest

from tests.training.datasets import dataset
from training.columns import Columns
from training.errors import ConfigError
from training.feature_choice import FeatureConfig

SOME = ("return_rate_90d", "fortnight_hold_28d")


def test_only_the_named_features_have_a_column() -> None:
    assert Columns.of_dataset(FeatureConfig(only=SOME).apply(dataset(60))).shown == set(SOME)


def test_an_excluded_feature_has_no_column_and_the_others_stay() -> None:
    loans = dataset(60)
    before, after = (Columns.of_dataset(each).shown for each in (loans, FeatureConfig(exclude=SOME).apply(loans)))
    assert before - after == set(SOME)


def test_defaults_change_nothing() -> None:
    loans = dataset(60)
    assert Columns.of_dataset(FeatureConfig().apply(loans)) == Columns.of_dataset(loans)


@pytest.mark.parametrize("setting", ["only", "exclude"])
@pytest.mark.parametrize("name", ["no_such_feature", "visits_90d"])  # the second has no direction
def test_a_feature_that_no_model_may_read_is_refused_with_the_list(setting: str, name: str) -> None:
    with pytest.raises(ConfigError, match=f"features.{setting} names '{name}'.*allowed are .*return_rate_90d"):
        FeatureConfig(**{setting: (name,)}).apply(dataset(60))


def test_leaving_out_everything_is_refused() -> None:
    with pytest.raises(ConfigError, match="leave no feature"):
        FeatureConfig(only=SOME, exclude=SOME).apply(dataset(60))
