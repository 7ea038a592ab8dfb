"""All commands from ingest to scores: points sum, and errors are one sentence and change nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyarrow import parquet

from api.scores.inputs import to_vector
from features.catalogue import CATALOGUE
from features.store.vectors import VectorStore
from scoring import Bundle
from scoring.explain import contributions
from scoring.vector import to_matrix
from tests.command import Completed, done, run, run_process
from tests.world import APPROVAL, World
from training.evidence.studies import STUDIES
from training.registry import DECLINED, NOT_MEASURED
from training.registry.connection import Registry, connected

pytestmark = pytest.mark.slow

Refused = Callable[..., str]


@pytest.fixture(scope="module")
def portfolio(world: World, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    out = tmp_path_factory.mktemp("portfolio") / "scores.parquet"
    done(world.home, "score-portfolio", "--out", out)
    return parquet.read_table(out).to_pandas().set_index("seller_id")


@pytest.fixture
def refused(world: World, tmp_path: Path) -> Iterator[Refused]:
    """Return a function that runs a command that must fail and returns its sentence; no stored file may change."""
    mine = world.copy(tmp_path)
    before = mine.digests()

    def sentence_of(*arguments: str | Path, home: Path = mine.home, runner: Callable[..., Completed] = run) -> str:
        result = runner(home, *arguments)
        assert (result.returncode, result.stdout) == (2, ""), result.stderr
        sentence = re.sub(r"(?m)^ *\d+ s  .*\n", "", result.stderr).strip()  # without the lines of steps
        assert sentence.startswith("sellerscore: ")
        assert "\n" not in sentence
        return sentence

    yield sentence_of
    # `score` keeps the champion that it read, so there may be more than before
    assert before.items() <= mine.digests().items()


def test_points_of_every_scored_row_of_the_portfolio_sum_to_the_score(portfolio: pd.DataFrame) -> None:
    scored = portfolio[portfolio["outcome"] == "scored"]
    assert len(scored) > 100
    points = [name for name in portfolio.columns if name.startswith("points_")]
    assert (scored["base_points"] + scored[points].sum(axis=1) == scored["score"]).all()
    assert scored["score"].between(300, 900).all()
    assert scored["score"].nunique() > 30
    by_score = scored.sort_values(["score", "probability_of_default"], ascending=[True, False])
    assert by_score["probability_of_default"].is_monotonic_decreasing


@pytest.mark.usefixtures("portfolio")  # it leaves the champion's bundle in the state folder
def test_the_trained_model_is_explained_as_lightgbm_explains_it_to_rounding(world: World) -> None:
    digest = json.loads((world.home / "champion.json").read_text())["digest"]
    folder = world.home / "bundles" / digest.removeprefix("sha256:")
    bundle = Bundle.from_files({file.name: file.read_bytes() for file in folder.iterdir()})
    assert bundle.reference.explained_by == "tables"
    stored = VectorStore(world.home / "vectors.db").all_latest()
    matrix = to_matrix([to_vector(seller) for seller in stored], bundle.sheet)
    assert len(matrix) == 500
    ours = contributions(bundle.model, matrix, threads=2)
    theirs = np.asarray(bundle.model.booster.predict(matrix, pred_contrib=True))
    assert np.abs(ours.values - theirs[:, :-1]).max() <= 1e-12
    assert abs(ours.base - theirs[0, -1]) <= 1e-12
    assert np.abs(theirs[:, :-1]).max() > 0.01


def test_sellers_without_a_recent_sale_or_enough_history_have_no_number(world: World, portfolio: pd.DataFrame) -> None:
    place = [feature.name for feature in CATALOGUE].index("days_since_last_sale")
    since = {each.seller_id: each.values[place] for each in VectorStore(world.home / "vectors.db").all_latest()}
    for seller, outcome in portfolio["outcome"].items():
        days = since[str(seller)]
        assert outcome in {"insufficient_history", "inactive" if days is None or days > 60 else "scored"}
    others = portfolio[portfolio["outcome"] != "scored"]
    assert set(others["outcome"]) == {"insufficient_history", "inactive"}
    assert others.drop(columns=["as_of", "outcome"]).isna().all(axis=None)


def test_a_seller_has_the_same_score_alone_and_in_the_portfolio(world: World, portfolio: pd.DataFrame) -> None:
    seller = portfolio["score"].idxmax()
    alone = json.loads(done(world.home, "score", seller, "--output", "json"))["assessment"]
    row = portfolio.loc[seller].to_dict()
    names = ("outcome", "score", "band", "probability_of_default")
    assert [alone[name] for name in names] == [row[name] for name in names]
    explanation = alone["explanation"]
    assert explanation["base_points"] == row["base_points"]
    found = {f"points_{item['feature']}": item["points"] for item in explanation["contributions"]}
    assert found == {name: row[name] for name in found}
    assert ";".join(reason["code"] for reason in explanation["reasons"]) == row["reasons"]
    unscored = portfolio["score"].isna().idxmax()
    alone = json.loads(done(world.home, "score", unscored, "--output", "json"))["assessment"]
    assert alone["outcome"] == portfolio.loc[unscored, "outcome"]
    assert (alone["score"], alone["explanation"]) == (None, None)


@pytest.mark.soak
def test_a_run_with_all_studies_measures_each_or_states_why_not(world: World, tmp_path: Path) -> None:
    """The world's own training leaves out the studies that take long."""
    home, settings = world.copy(tmp_path).home, tmp_path / "settings.toml"
    settings.write_text("[fit]\nmax_rounds = 60\nthreads = 1\n\n[refits]\ncount = 2\n\n[fake_orders]\nsellers = 10\n")
    trained = json.loads(done(home, "train", "--config", settings, "--output", "json"))
    with connected(Registry.on_sqlite(home)) as client:
        data = client.get_run(trained["run_id"]).data
        measured = {Path(kept.path).name for kept in client.list_artifacts(trained["run_id"], "evidence")}
    silent = {tag.removeprefix(NOT_MEASURED) for tag in data.tags if tag.startswith(NOT_MEASURED)}
    assert set(STUDIES) <= measured | silent
    # a world this small has too few rows for the study of selection
    assert {"fake_orders", "withholding"} <= measured
    assert "withholding/most_gain_by_rows" in data.metrics
    assert not [tag for tag in data.tags if tag.startswith(DECLINED)]


def test_a_second_ingest_of_a_delivery_changes_nothing(world: World, tmp_path: Path) -> None:
    mine = world.copy(tmp_path)
    before = mine.digests()
    assert json.loads(done(mine.home, "ingest", mine.delivery, "--output", "json"))["already_ingested"]
    assert mine.digests() == before


def test_an_impossible_request_is_a_one_line_error_and_changes_nothing(
    refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SELLERSCORE_DASK_SCHEDULER", "nowhere:at all")
    cases: list[tuple[tuple[str | Path, ...], str]] = [
        (("score", "S-nobody"), 'The latest feature snapshot has no data of the seller "S-nobody"'),
        (("promote", "99", *APPROVAL), "Unknown version 99 of sellerscore. Registered versions: 1."),
        (("train", "--labels", "none.csv"), "There is no label table at none.csv"),
        (("train", "--engine", "dask"), "No Dask scheduler answers at nowhere:at all"),
        (("simulate", "--days", "365", "--out", "new"), "days is 365. Use a value from 366 to 3660"),
        (("simulate", "--sellers", "0", "--out", "new"), "sellers is 0. Use a value from 1"),
        # a simulation never mixes with files that are there
        (("simulate", "--out", tmp_path / "home"), "Use a new or empty folder"),
    ]
    for arguments, sentence in cases:
        assert sentence in refused(*arguments)
    labels = tmp_path / "labels.csv"
    for row, sentence in (
        ("S-000001,perhaps,2025-01-01", "Line 2 of the label table"),
        ("S-nobody,true,2025-01-01", "not in the store. The first is 'S-nobody'"),
        ("S-000001,true,2025-01-01", "Too few bad rows for training: 1 of 1; at least 20 are needed"),
    ):
        labels.write_text(f"seller_id,bad,as_of\n{row}\n")
        assert sentence in refused("train", "--labels", labels)


def test_a_rejected_process_exits_with_2_and_a_message(refused: Refused) -> None:
    assert "none" in refused("ingest", "none", runner=run_process)


def test_without_data_each_command_names_the_first_step(refused: Refused, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for command, sentence in (
        (("train",), "Ingest a delivery first"),
        (("features",), "Ingest a delivery first"),
        (("promote", *APPROVAL), "Run `sellerscore train`"),
    ):
        assert sentence in refused(*command, home=empty)
