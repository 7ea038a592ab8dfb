"""Settings files: defaults, overrides and errors."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from training.config import TrainConfig
from training.errors import ConfigError
from training.settings import read_settings


def written(folder: Path, text: str) -> Path:
    path = folder / "training.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_a_file_all_settings_have_their_defaults() -> None:
    assert read_settings(None, TrainConfig) == TrainConfig()


def test_a_file_changes_what_it_names_and_the_digest(tmp_path: Path) -> None:
    config = read_settings(written(tmp_path, "[labels]\ndays_past_due = 60\n[fit]\nlearning_rate = 1\n"), TrainConfig)
    assert (config.labels.days_past_due, config.labels.months) == (60, 12)
    assert config.fit.learning_rate == 1.0
    assert config.digest != TrainConfig().digest


def test_printed_settings_can_be_read_back(tmp_path: Path) -> None:
    shown = TrainConfig().as_toml()
    assert read_settings(written(tmp_path, shown), TrainConfig) == TrainConfig()
    assert set(tomllib.loads(shown)) == {"labels", "split", "features", "search", "fit", "refits", "fake_orders"}


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
    ],
)
def test_an_invalid_file_is_an_error(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match="settings file") as raised:
        read_settings(written(tmp_path, text), TrainConfig)
    assert words in str(raised.value)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_settings(tmp_path / "none.toml", TrainConfig)
