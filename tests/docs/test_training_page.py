"""The example in docs/training.md runs unchanged, and the settings in it are valid."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from tests.world import World, shared_world
from training.config import TrainConfig
from training.labels import read_label_table
from training.settings import read_settings

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return shared_world(tmp_path_factory)


def block(language: str) -> str:
    """Return the examples of the page in a language, in their order."""
    found = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found
    return "\n".join(found)


# shap uses a deprecated function of matplotlib when it is imported
@pytest.mark.filterwarnings("ignore:The set_(bad|under|over) function will be deprecated:PendingDeprecationWarning")
def test_the_python_examples_run_as_printed(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "var").symlink_to(world.home)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("SELLERSCORE_HOME", raising=False)
    names: dict[str, object] = {}
    exec(compile(block("python"), "docs/training.md", "exec"), names)  # noqa: S102 - a page of this project
    features, scores = names["features"], names["scores"]
    assert isinstance(features, pd.DataFrame)
    assert isinstance(scores, pd.DataFrame)
    pairs = names["pairs"]
    assert isinstance(pairs, pd.DataFrame)
    assert list(features.index.get_level_values("seller_id")) == pairs["seller_id"].tolist()
    assert scores.index.equals(features.index)
    assert "scored" in set(scores["outcome"])
    assert "probability_of_default" in capsys.readouterr().out


def test_the_label_table_and_the_settings_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(block("csv"))
    (tmp_path / "training.toml").write_text(block("toml"))
    config = read_settings(tmp_path / "training.toml", TrainConfig)
    assert config.split.embargo_days == config.labels.horizon_days == 56
    assert read_label_table(tmp_path / "labels.csv", config.labels).rows["bad"].sum() == 1


def test_the_defaults_stated_are_those_of_the_settings() -> None:
    config = TrainConfig()
    for name, value in (
        ("split.test_days", config.split.test_days),
        ("split.unseen_share", config.split.unseen_share),
        ("search.trials", config.search.trials),
    ):
        assert f"| `{name}` | {value} |" in PAGE
    assert f"the embargo is {config.split.embargo_days} days" in PAGE
