"""Training settings: files, contradictions, the embargo, and the features that a model may read."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from tests.training.datasets import dataset
from training.columns import Columns
from training.config import FeatureConfig, TrainConfig
from training.errors import ConfigError
from training.settings import read_settings
from training.split import longest_days

SOME = ("return_rate_90d", "fortnight_hold_28d")


def settings_of(folder: Path, text: str) -> TrainConfig:
    path = folder / "training.toml"
    path.write_text(text, encoding="utf-8")
    return read_settings(path, TrainConfig)


def test_without_a_file_all_settings_have_their_defaults() -> None:
    assert read_settings(None, TrainConfig) == TrainConfig()
    assert set(tomllib.loads(TrainConfig().as_toml())) == {
        *("labels", "split", "features", "search", "fit", "refits", "fake_orders")
    }


@pytest.mark.parametrize(
    "text",
    [
        TrainConfig().as_toml(),
        "[labels]\ndays_past_due = 60\n[fit]\nlearning_rate = 1\n",
        "[search]\ntrials = 25\n[refits]\ncount = 0\n",
        '[labels]\nhorizon_days = 56\ndefinition = "回款下降一半, \\"half\\""\n',
    ],
)
def test_settings_are_read_and_written(tmp_path: Path, text: str) -> None:
    found = settings_of(tmp_path, text)
    shown = tomllib.loads(found.as_toml())
    for section, values in tomllib.loads(text).items():
        assert values.items() <= shown[section].items()
    assert settings_of(tmp_path, found.as_toml()) == found
    assert (found.digest == TrainConfig().digest) == (found == TrainConfig())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x =", "is not TOML"),
        ("fit = 3", "fit is 3; input should be an object"),
        ("[fitt]\nfolds = 3", "there is no setting fitt"),
        ("[fit]\nfold = 3", "there is no setting fit.fold"),
        ("[fit]\nfolds = 1", "fit.folds is 1; input should be greater than or equal to 2"),
        ("[fit]\nfolds = '3'", "fit.folds is '3'; input should be a valid integer"),
        ("[fit]\nlearning_rate = nan", "fit.learning_rate is nan"),
        ("[fit]\nseed = 99999999999", "fit.seed is 99999999999; input should be less than or equal to 2147483647"),
        ("[fit]\nlambda_l2 = inf", "fit.lambda_l2 is inf"),
        ("[fit]\nthreads = 5000", "fit.threads is 5000; input should be less than or equal to 512"),
        ("[fit]\nfeature_fraction = 1e-9", "fit.feature_fraction is 1e-09; input should be greater than or equal to"),
        ("[split]\nembargo_days = 999999999", "split.embargo_days is 999999999; input should be less than or equal to"),
        ("[split]\ntest_days = 999999999", "split.test_days is 999999999; input should be less than or equal to 36525"),
        ("[labels]\nmonths = 0", "labels.months is 0"),
        ("[search]\ntrials = -1", "search.trials is -1"),
        # an embargo that is shorter than an outcome takes
        ("[labels]\nmonths = 18", "Outcomes take up to 550 days (labels.months is 18), but "),
        (
            "[labels]\nhorizon_days = 56\n[split]\nembargo_days = 55",
            "up to 56 days (labels.horizon_days is 56), but split.embargo_days is 55. Set it to 56",
        ),
    ],
)
def test_an_invalid_file_is_an_error(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        settings_of(tmp_path, text)
    assert words in str(raised.value)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"settings file .* cannot be read"):
        read_settings(tmp_path / "none.toml", TrainConfig)
    os.mkfifo(tmp_path / "pipe.toml")
    with pytest.raises(ConfigError, match=r"pipe.toml cannot be read \(it is a named pipe, not a regular file\)"):
        read_settings(tmp_path / "pipe.toml", TrainConfig)


@pytest.mark.parametrize(("months", "days"), [(1, 31), (2, 62), (6, 184), (12, 366), (24, 731), (48, 1461)])
def test_months_take_at_most_as_many_days(months: int, days: int) -> None:
    assert longest_days(months) == days


@pytest.mark.parametrize(
    ("text", "embargo"),
    [
        ("[labels]\nmonths = 6", 366),
        ("[labels]\nmonths = 18\n[split]\nembargo_days = 550", 550),
        ("[labels]\nhorizon_days = 56", 56),
        ("[labels]\nhorizon_days = 400", 400),
        ("[labels]\nhorizon_days = 56\n[split]\nembargo_days = 90", 90),
    ],
)
def test_the_embargo_is_the_configured_one_or_the_horizon_of_the_labels(
    tmp_path: Path, text: str, embargo: int
) -> None:
    assert settings_of(tmp_path, text).split.embargo_days == embargo


def test_a_model_may_read_only_the_configured_features() -> None:
    loans = dataset(60)
    every, only, others = (
        Columns.of_dataset(config.apply(loans)).read_features
        for config in (FeatureConfig(), FeatureConfig(only=SOME), FeatureConfig(exclude=SOME))
    )
    assert every == Columns.of_dataset(loans).read_features
    assert (only, others) == (set(SOME), every - set(SOME))


@pytest.mark.parametrize("setting", ["only", "exclude"])
@pytest.mark.parametrize("name", ["no_such_feature", "visits_90d"])  # the second has no direction
def test_a_feature_that_no_model_may_read_is_rejected_with_the_list(setting: str, name: str) -> None:
    with pytest.raises(ConfigError, match=f"features.{setting} names '{name}'.*Use one of .*return_rate_90d"):
        FeatureConfig(**{setting: (name,)}).apply(dataset(60))


def test_excluding_all_features_is_rejected() -> None:
    with pytest.raises(ConfigError, match="leave no feature"):
        FeatureConfig(only=SOME, exclude=SOME).apply(dataset(60))
