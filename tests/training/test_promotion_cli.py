"""The commands compare, promote, rollback and challenge on a trained marketplace."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

import training.gate_inputs
from scoring import Assessment, Bundle, Vector, assess
from tests.frames import cached_frames
from tests.training.datasets import OBSERVED, TABLES, dataset
from tests.training.evidence.subjects import boosted, bundle
from tests.world import APPROVAL, World
from training.errors import PromotionError, TrainingError
from training.gate_inputs import PointSumCheck, check_point_sums
from training.gates import Gates
from training.promotion_cli import app
from training.registry import (
    CHALLENGER,
    CHAMPION,
    MODEL_NAME,
    PREVIOUS,
    REPLACED,
    WITHDRAWN,
    Registry,
    aliases,
    find_version,
)
from training.registry.connection import connected
from training.settings import read_settings

pytestmark = pytest.mark.slow

Command = Callable[..., str]


@pytest.fixture(scope="module", autouse=True)
def frames_once() -> Iterator[None]:
    with cached_frames():
        yield


@pytest.fixture(scope="module")
def two_versions(world: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The world with its model registered a second time, and the same champion."""
    world = world.copy(tmp_path_factory.mktemp("two_versions"))
    registry = Registry.on_sqlite(world.home)
    run = find_version(registry, "1").run_id
    with connected(registry) as client:
        client.create_model_version(MODEL_NAME, client.get_model_version(MODEL_NAME, "1").source, run)
    return world


@pytest.fixture
def home(two_versions: World, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state folder of two versions; the first is the champion and has no predecessor."""
    monkeypatch.setenv("SELLERSCORE_HOME", str(two_versions.home))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with connected(Registry.on_sqlite(two_versions.home)) as client:
        for alias in (PREVIOUS, CHALLENGER):
            client.delete_registered_model_alias(MODEL_NAME, alias)
        client.set_registered_model_alias(MODEL_NAME, CHAMPION, "1")
        client.set_model_version_tag(MODEL_NAME, "1", REPLACED, "none")
    return two_versions.home


@pytest.fixture
def run(home: Path) -> Command:  # noqa: ARG001 - sets the state folder
    """Return a function that runs a command and returns its output; errors are raised."""
    runner = CliRunner(env={"COLUMNS": "200"})
    return lambda *arguments: runner.invoke(app, [str(each) for each in arguments], catch_exceptions=False).stdout


def test_comparing_a_model_with_its_copy_finds_no_difference(run: Command, home: Path, tmp_path: Path) -> None:
    found = json.loads(run("compare", "2", "--output", "json"))
    assert (found["candidate"], found["champion"]) == (2, 1)
    assert found["rows"] == int(find_version(Registry.on_sqlite(home), "1").params["test_rows"])
    assert {name: paired["difference"]["value"] for name, paired in found["figures"].items()} == dict.fromkeys(
        ("auc", "gini", "ks", "brier", "log_loss"), 0.0
    )
    (tmp_path / "labels.csv").write_text("seller_id,bad,as_of\nS-000001,true,2025-01-01\n")
    with pytest.raises(TrainingError, match='these labels are "as the label table says"'):
        run("compare", "2", "--labels", tmp_path / "labels.csv")


def test_promotion_and_rollback(run: Command, home: Path) -> None:
    registry = Registry.on_sqlite(home)
    printed = run("promote", "2", *APPROVAL)
    assert "Version 2 of sellerscore is the champion, approved by a second person; version 1 is now" in printed
    assert "the points add up to the score in" in printed
    raised = sorted(name[6:] for name in find_version(registry, "2").tags if name.startswith("alarm."))
    assert "segments" in raised
    assert f"Accepted alarms: {', '.join(raised)}. The gates file accepts them; approved by a second person." in printed
    assert "Running services load it within a minute." in printed
    assert find_version(registry, "2").record["accepted_alarms"] == ", ".join(raised)
    assert aliases(registry) == {CHAMPION: 2, PREVIOUS: 1}
    assert "passed: sums: the points add up" in find_version(registry, "2").record["gates"]
    change = json.loads(run("rollback", "--approved-by", "Ana", "--reason", "a trial", "--output", "json"))
    assert (change["champion"], change["replaced"]) == (1, 2)
    assert aliases(registry) == {CHAMPION: 1}
    assert find_version(registry, "2").record[WITHDRAWN].endswith(": a trial")


def test_failed_gates_are_listed_and_nothing_moves(run: Command, home: Path, tmp_path: Path) -> None:
    gates = tmp_path / "gates.toml"
    gates.write_text('calibration_slope_least = 50\ncalibration_slope_most = 51\nmay_be_unmeasured = ["selection"]\n')
    with pytest.raises(PromotionError, match=r"Version 2 is not promoted; \d+ of 13 gates failed:\n  - ") as error:
        run("promote", "2", *APPROVAL[:4], "--gates", gates)
    assert re.search(r"outcomes: \d+ of \d+ test loans are bad; limit: at least 50", str(error.value))
    assert "sums" not in str(error.value)
    assert aliases(Registry.on_sqlite(home)) == {CHAMPION: 1}
    assert run("promote", "--show-gates", "--gates", gates) == read_settings(gates, Gates).as_toml()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("promote", "2"), r"needs a name and a reason\. Give --approved-by and --reason"),
        (("rollback",), "needs a name and a reason"),
        (("rollback", *APPROVAL[:4]), "Version 1 has no predecessor"),
        (("compare", "9"), r"Unknown version 9 of sellerscore\. Registered versions: 1, 2"),
        (("compare", "2", "previous"), "Unknown alias previous of sellerscore.*aliases: champion"),
        (("promote", "2", *APPROVAL[:4], "--gates", "none.toml"), "settings file none.toml cannot be read"),
        (("challenge", "1"), "cannot be the challenger"),
    ],
)
def test_invalid_input_is_rejected(run: Command, arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(TrainingError, match=message) as error:
        run(*arguments)
    assert "\n" not in str(error.value)


def test_a_challenger_is_set_and_removed(run: Command, home: Path) -> None:
    assert "Version 2 of sellerscore is the challenger" in run("challenge")
    assert aliases(Registry.on_sqlite(home))[CHALLENGER] == 2
    run("challenge", "--stop")
    assert aliases(Registry.on_sqlite(home)) == {CHAMPION: 1}
    assert "no challenger" in run("challenge", "--stop")


def test_point_sums_are_counted_on_assessments(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = dataset(120, 50, seed=3)
    rows.features.loc[:9, "active_days_365d"] = 1.0
    model, covers = bundle(rows, boosted(rows, trees=3)), dict.fromkeys(TABLES, OBSERVED)
    assert check_point_sums(model, rows, covers) == PointSumCheck(110, 0)

    def one_off(bundle_: Bundle, vectors: Sequence[Vector]) -> list[Assessment]:
        first, *rest = assess(bundle_, vectors)[10:]
        return [replace(first, score=first.score + 1), *rest]

    monkeypatch.setattr(training.gate_inputs, "assess", one_off)
    assert check_point_sums(model, rows, covers) == PointSumCheck(110, 1)
