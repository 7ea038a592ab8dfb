"""Training settings: contradictions, the embargo, and the features that a model may read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.datasets import dataset
from training.columns import Columns
from training.config import FeatureConfig, TrainConfig
from training.errors import ConfigError
from training.labels import LabelConfig
from training.settings import read_settings
from training.split import SplitConfig, longest_days


@pytest.mark.parametrize(("months", "days"), [(1, 31), (2, 62), (6, 184), (12, 366), (24, 731), (48, 1461)])
def test_months_take_at_most_as_many_days(months: int, days: int) -> None:
    assert longest_days(months) == days


def test_an_embargo_shorter_than_an_outcome_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "training.toml"
    path.write_text("[labels]\nmonths = 18\n")
    with pytest.raises(ConfigError, match=r"Outcomes take up to 550 days \(labels.months is 18\), but .* is 366. Set"):
        read_settings(path, TrainConfig)
    path.write_text("[labels]\nmonths = 18\n[split]\nembargo_days = 550\n")
    assert read_settings(path, TrainConfig).split.embargo_days == 550


def test_a_longer_embargo_than_needed_is_allowed() -> None:
    assert TrainConfig(labels=LabelConfig(months=6)).split == SplitConfig()


def test_the_settings_of_search_and_refits_are_read_and_written(tmp_path: Path) -> None:
    path = tmp_path / "training.toml"
    path.write_text("[search]\ntrials = 25\n[refits]\ncount = 0\n")
    found = read_settings(path, TrainConfig)
    assert (found.search.trials, found.refits.count) == (25, 0)
    path.write_text(found.as_toml())
    assert read_settings(path, TrainConfig) == found
    path.write_text("[search]\ntrials = -1\n")
    with pytest.raises(ConfigError, match=r"search\.trials is -1"):
        read_settings(path, TrainConfig)


def test_the_embargo_follows_the_horizon_of_a_label_table(tmp_path: Path) -> None:
    path = tmp_path / "training.toml"
    path.write_text("[labels]\nhorizon_days = 56\n")
    found = read_settings(path, TrainConfig)
    assert found.split.embargo_days == 56
    path.write_text(found.as_toml())
    assert read_settings(path, TrainConfig) == found
    path.write_text("[labels]\nhorizon_days = 400\n")
    assert read_settings(path, TrainConfig).split.embargo_days == 400


def test_an_embargo_that_is_set_stays_and_must_cover_the_horizon(tmp_path: Path) -> None:
    path = tmp_path / "training.toml"
    path.write_text("[labels]\nhorizon_days = 56\n[split]\nembargo_days = 90\n")
    assert read_settings(path, TrainConfig).split.embargo_days == 90
    path.write_text("[labels]\nhorizon_days = 56\n[split]\nembargo_days = 55\n")
    with pytest.raises(ConfigError, match=r"up to 56 days \(labels.horizon_days is 56\), but .* is 55. Set it to 56"):
        read_settings(path, TrainConfig)


def test_a_definition_in_any_language_is_written_and_read(tmp_path: Path) -> None:
    path = tmp_path / "training.toml"
    path.write_text('[labels]\ndefinition = "回款下降一半, \\"half\\""\n', encoding="utf-8")
    found = read_settings(path, TrainConfig)
    assert found.labels.table_definition == '回款下降一半, "half"'
    path.write_text(found.as_toml(), encoding="utf-8")
    assert read_settings(path, TrainConfig) == found


SOME = ("return_rate_90d", "fortnight_hold_28d")


def test_only_the_named_features_have_a_column() -> None:
    assert Columns.of_dataset(FeatureConfig(only=SOME).apply(dataset(60))).read_features == set(SOME)


def test_an_excluded_feature_has_no_column_and_the_others_stay() -> None:
    loans = dataset(60)
    before, after = (
        Columns.of_dataset(each).read_features for each in (loans, FeatureConfig(exclude=SOME).apply(loans))
    )
    assert before - after == set(SOME)


def test_defaults_change_nothing() -> None:
    loans = dataset(60)
    assert Columns.of_dataset(FeatureConfig().apply(loans)) == Columns.of_dataset(loans)


@pytest.mark.parametrize("setting", ["only", "exclude"])
@pytest.mark.parametrize("name", ["no_such_feature", "visits_90d"])  # the second has no direction
def test_a_feature_that_no_model_may_read_is_refused_with_the_list(setting: str, name: str) -> None:
    with pytest.raises(ConfigError, match=f"features.{setting} names '{name}'.*Use one of .*return_rate_90d"):
        FeatureConfig(**{setting: (name,)}).apply(dataset(60))


def test_leaving_out_everything_is_refused() -> None:
    with pytest.raises(ConfigError, match="leave no feature"):
        FeatureConfig(only=SOME, exclude=SOME).apply(dataset(60))
