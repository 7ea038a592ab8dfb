"""All commands from ingest to scores: points sum, and errors are one sentence and change nothing."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from api.scores.inputs import to_vector
from features.catalogue import CATALOGUE
from features.store.vectors import VectorStore
from scoring import Bundle
from scoring.explain import contributions
from scoring.vector import to_matrix
from tests.command import Completed, done, run, run_process
from tests.world import APPROVAL, World, shared_world
from training.evidence.studies import STUDIES
from training.registry import DECLINED, NOT_MEASURED
from training.registry.connection import Registry, connected
from training.simulation import SimulationConfig, simulate

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return shared_world(tmp_path_factory)


@pytest.fixture(scope="session")
def portfolio(world: World, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    out = tmp_path_factory.mktemp("portfolio") / "scores.parquet"
    done(world.home, "score-portfolio", "--out", out)
    return parquet.read_table(out).to_pandas().set_index("seller_id")


@pytest.fixture
def mine(world: World, tmp_path: Path) -> World:
    """The world with a state of this test's own."""
    return world.copy(tmp_path)


@pytest.fixture
def fresh(tmp_path: Path) -> World:
    """A state folder with nothing in it."""
    (tmp_path / "home").mkdir()
    return World(tmp_path / "home", tmp_path)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small good delivery to break."""
    folder: Path = tmp_path_factory.mktemp("small") / "delivery"
    simulate(SimulationConfig(sellers=3, days=366, orders_per_seller=20), folder)
    return folder


def refused(world: World, *arguments: str | Path, runner: Callable[..., Completed] = run) -> str:
    """Run a command that must fail with one sentence and change no stored file; return the sentence."""
    before = world.digests()
    result = runner(world.home, *arguments)
    assert result.returncode == 2, result.stdout + result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    sentence = re.sub(r"(?m)^ *\d+ s  .*\n", "", result.stderr).strip()  # without the lines of steps
    assert sentence.startswith("sellerscore: ")
    assert "\n" not in sentence
    # `score` keeps the champion that it read, so there may be more than before
    assert before.items() <= world.digests().items()
    return sentence


def with_orders(small: Path, folder: Path, orders: pa.Table | None) -> Path:
    """Copy the small delivery with other orders, or without any."""
    copied = Path(shutil.copytree(small, folder))
    (copied / "orders.parquet").unlink()
    if orders is not None:
        parquet.write_table(orders, copied / "orders.parquet")
    return copied


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


def test_no_scored_seller_is_without_a_sale_in_the_last_60_days(world: World, portfolio: pd.DataFrame) -> None:
    place = [feature.name for feature in CATALOGUE].index("days_since_last_sale")
    since = {each.seller_id: each.values[place] for each in VectorStore(world.home / "vectors.db").all_latest()}
    for seller, outcome in portfolio["outcome"].items():
        days = since[str(seller)]
        assert (outcome == "inactive") == (days is None or days > 60) or outcome == "insufficient_history"
        assert outcome != "scored" or (days is not None and days <= 60)


def test_sellers_without_a_score_have_no_number(portfolio: pd.DataFrame) -> None:
    others = portfolio[portfolio["outcome"] != "scored"]
    assert set(others["outcome"]) == {"insufficient_history", "inactive"}
    assert others.drop(columns="outcome").isna().all(axis=None)


def test_an_unscored_seller_has_the_same_outcome_alone_and_in_the_portfolio(
    world: World, portfolio: pd.DataFrame
) -> None:
    seller = portfolio["score"].isna().idxmax()
    alone = json.loads(done(world.home, "score", seller, "--output", "json"))["assessment"]
    assert alone["outcome"] == portfolio.loc[seller, "outcome"]
    assert (alone["score"], alone["explanation"]) == (None, None)


def test_a_seller_has_the_same_score_alone_and_in_the_portfolio(world: World, portfolio: pd.DataFrame) -> None:
    seller = portfolio["score"].idxmax()
    printed = run_process(world.home, "score", seller, "--output", "json")
    assert printed.returncode == 0, printed.stderr
    alone = json.loads(printed.stdout)["assessment"]
    row: dict[str, Any] = portfolio.loc[seller].to_dict()
    assert alone["outcome"] == row["outcome"]
    assert [alone[name] for name in ("score", "band", "probability_of_default")] == [
        row[name] for name in ("score", "band", "probability_of_default")
    ]
    explanation = alone["explanation"]
    assert explanation["base_points"] == row["base_points"]
    found = {f"points_{item['feature']}": item["points"] for item in explanation["contributions"]}
    assert found == {name: row[name] for name in found}
    assert ";".join(reason["code"] for reason in explanation["reasons"]) == row["reasons"]


@pytest.mark.soak
def test_a_run_with_all_studies_measures_each_or_states_why_not(mine: World, tmp_path: Path) -> None:
    """The world's own training leaves out the studies that take long."""
    settings = tmp_path / "settings.toml"
    settings.write_text("[fit]\nmax_rounds = 60\nthreads = 1\n\n[refits]\ncount = 2\n\n[fake_orders]\nsellers = 10\n")
    trained = json.loads(done(mine.home, "train", "--config", settings, "--output", "json"))
    with connected(Registry.on_sqlite(mine.home)) as client:
        data = client.get_run(trained["run_id"]).data
        measured = {Path(kept.path).name for kept in client.list_artifacts(trained["run_id"], "evidence")}
    silent = {tag.removeprefix(NOT_MEASURED) for tag in data.tags if tag.startswith(NOT_MEASURED)}
    assert set(STUDIES) <= measured | silent
    # a world this small has too few rows for the study of selection
    assert {"fake_orders", "withholding"} <= measured
    assert "withholding/most_gain_by_rows" in data.metrics
    assert not [tag for tag in data.tags if tag.startswith(DECLINED)]


def test_a_second_ingest_of_a_delivery_changes_nothing(mine: World) -> None:
    before = mine.digests()
    assert json.loads(done(mine.home, "ingest", mine.delivery, "--output", "json"))["already_ingested"]
    assert mine.digests() == before


def test_an_impossible_request_is_a_one_line_error(mine: World) -> None:
    cases: list[tuple[tuple[str | Path, ...], str]] = [
        (("score", "S-nobody"), 'The latest feature snapshot has no data of the seller "S-nobody"'),
        (("promote", "99", *APPROVAL), "Unknown version 99 of sellerscore. Registered versions: 1."),
        (("train", "--labels", "none.csv"), "There is no label table at none.csv"),
        (("simulate", "--days", "365", "--out", "new"), "days is 365. Use a value from 366 to 3660"),
        (("simulate", "--sellers", "0", "--out", "new"), "sellers is 0. Use a value from 1"),
        # a simulation never mixes with files that are there
        (("simulate", "--out", mine.home), "Use a new or empty folder"),
    ]
    for arguments, sentence in cases:
        assert sentence in refused(mine, *arguments)


def test_a_rejected_process_exits_with_2_and_a_message(mine: World) -> None:
    assert "none" in refused(mine, "ingest", "none", runner=run_process)


def test_an_invalid_label_table_is_a_one_line_error(mine: World, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    for row, sentence in (
        ("S-000001,perhaps,2025-01-01", "Line 2 of the label table"),
        ("S-nobody,true,2025-01-01", "not in the store. The first is 'S-nobody'"),
        ("S-000001,true,2025-01-01", "has 1 bad of 1 labels and needs at least 20"),
    ):
        labels.write_text(f"seller_id,bad,as_of\n{row}\n")
        assert sentence in refused(mine, "train", "--labels", labels)


def test_a_first_delivery_without_orders_is_rejected(fresh: World, small: Path, tmp_path: Path) -> None:
    orders = parquet.read_table(small / "orders.parquet")
    assert "has no orders" in refused(fresh, "ingest", with_orders(small, tmp_path / "none", None))
    assert "has no rows" in refused(fresh, "ingest", with_orders(small, tmp_path / "empty", orders.slice(0, 0)))


def test_bad_rows_are_quarantined_by_rule_and_the_rest_is_accepted(
    fresh: World, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("features.cli._update_vectors", lambda quiet: quiet)  # vectors of these rows would take seconds
    rows = parquet.read_table(small / "orders.parquet")
    good = [row for row in rows.to_pylist() if row["amount"] is not None and 0 < row["amount"] < 1e6][:20]
    unlike = ({"amount": float("nan")}, {"amount": -5.0}, {"currency": "XXX"}, {"currency": None})
    bad = [{**good[0], **change, "order_id": f"bad-{number}"} for number, change in enumerate(unlike)]
    delivery = with_orders(small, tmp_path / "broken", pa.Table.from_pylist([*good, *bad], schema=rows.schema))
    # a column of another type is quarantined by its name
    spoiled = parquet.read_table(delivery / "refunds.parquet")
    lists = pa.array([[1.0]] * len(spoiled))
    parquet.write_table(
        spoiled.set_column(spoiled.column_names.index("amount"), "amount", lists), delivery / "refunds.parquet"
    )
    ended = run(fresh.home, "ingest", delivery, "--output", "json")
    assert (ended.returncode, f"all {len(spoiled):,} rows of refunds were quarantined" in ended.stderr) == (2, True)
    found = {each["table"]: each for each in json.loads(ended.stdout)["tables"]}
    orders, refunds = found["orders"], found["refunds"]
    assert sum(orders["quarantined"].values()) >= len(bad)
    assert orders["read"] == orders["accepted"] + orders["duplicates"] + sum(orders["quarantined"].values())
    assert orders["read"] == len(good) + len(bad)
    assert orders["accepted"] >= len(good) - 2
    assert len(orders["quarantined"]) >= 3
    assert (len(spoiled), refunds["accepted"]) == (refunds["read"], 0)
    assert refunds["quarantined"]["amount_not_a_number"] > 0.8 * len(spoiled) > 0


def test_without_data_each_command_names_the_first_step(fresh: World) -> None:
    assert "Ingest a delivery first" in refused(fresh, "train")
    assert "Ingest a delivery first" in refused(fresh, "features")
    assert "Run `sellerscore train`" in refused(fresh, "promote", *APPROVAL)


def test_an_unreachable_cluster_is_a_one_line_error(mine: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SELLERSCORE_DASK_SCHEDULER", "nowhere:at all")
    assert "No Dask scheduler answers at nowhere:at all" in refused(mine, "train", "--engine", "dask")
