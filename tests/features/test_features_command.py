"""`sellerscore features`: what it writes, what it tells of the catalogue, and what it refuses in one sentence."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

import sellerscore
from features import materialize
from features.catalogue import CATALOGUE, FAMILIES
from features.describe import markdown
from features.engines import spark
from features.engines.duckdb import open_engine
from features.errors import EngineError, StoreError
from features.ingest import ingest, open_store
from features.materialize import ENGINES, materialize_frame, snapshot_of
from features.pipeline import compute_frame, latest_midnight
from features.store.tiles import current_tiles
from features.store.vectors import VectorStore
from tests.oracles.accepted import features_named, frame_from, write_accepted
from tests.oracles.delivered import NO_RATES, deliver, in_dollars
from tests.oracles.market import MIDNIGHTS, Shape, market
from tests.oracles.shapes import MAY_BE_ABSENT

ROWS = in_dollars(market(Shape(seed=6, sellers=3, events=30, absent=frozenset(MAY_BE_ABSENT) - {"orders"})))
"""Orders alone: what the features of other tables are is not in question here."""


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder that has taken the rows in and folded their tiles; not to be changed."""
    folder = tmp_path_factory.mktemp("taken")
    ingest(deliver(ROWS, NO_RATES, folder / "delivery"), folder / "home" / "operating")
    with open_engine() as engine:
        current_tiles(engine, open_store(folder / "home" / "operating"))
    return folder / "home"


@pytest.fixture
def home(taken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SELLERSCORE_HOME", str(tmp_path / "home"))
    return Path(shutil.copytree(taken, tmp_path / "home"))


FEW = features_named("orders_90d", "store_count")


@pytest.fixture
def few_features(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write frames of two features; all of them take seconds to compile."""
    monkeypatch.setattr(materialize, "compute_frame", partial(compute_frame, catalogue=FEW))


def run(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(sellerscore.app, ["features", *arguments])


@pytest.mark.slow
def test_vectors_are_stored_when_no_frame_is_asked_for(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(home / "operating")
    monkeypatch.setattr("features.materialize.refresh", lambda *_: (snapshot_of(store), 1234))
    stored = json.loads(run("--json").stdout)
    as_of = latest_midnight(store).isoformat()
    assert stored == {"as_of": as_of, "sellers": 1234, "data": store.version}
    assert f"Vectors of 1,234 sellers as of {as_of}" in run().stdout


@pytest.mark.slow
def test_vectors_are_stored_when_nothing_is_asked_for_and_a_frame_when_it_is(home: Path) -> None:
    stored = json.loads(run("--json").stdout)
    assert stored["sellers"] == len(list(VectorStore(home / "vectors.db").all_latest()))
    (home / "vectors.db").unlink()
    written = json.loads(run("--out", str(home / "frame"), "--json").stdout)
    assert (written["as_of"], written["rows"]) == ([stored["as_of"]], stored["sellers"])
    assert not (home / "vectors.db").exists()
    found = pd.read_parquet(home / "frame")
    assert set(found["as_of"]) == {date.fromisoformat(stored["as_of"])}
    assert len(found) == stored["sellers"]
    assert list(found.columns) == ["seller_id", "as_of", *(feature.name for feature in CATALOGUE)]


@pytest.mark.usefixtures("few_features")
@pytest.mark.slow
def test_a_frame_on_disk_is_the_frame_of_the_sellers_known_by_each_midnight(home: Path, tmp_path: Path) -> None:
    store = open_store(home / "operating")
    days = (MIDNIGHTS[4], MIDNIGHTS[0], MIDNIGHTS[4])
    rows = materialize_frame(store, days, tmp_path / "some" / "frame")
    found = pd.read_parquet(tmp_path / "some" / "frame").set_index(["seller_id", "as_of"]).sort_index()
    known = {
        (row["seller_id"], day)
        for row in ROWS["sellers"]
        for day in days
        if pd.Timestamp(row["known_at"]).date() <= day
    }
    assert len(found) == rows
    assert set(found.index) <= known
    expected = frame_from(store, list(found.index), catalogue=FEW)
    assert found.to_numpy().tobytes() == expected.to_numpy().tobytes()
    assert [path.name for path in (tmp_path / "some").iterdir()] == ["frame"]


def test_a_folder_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    store = write_accepted({}, tmp_path / "store")
    with pytest.raises(StoreError, match="is there already"):
        materialize_frame(store, MIDNIGHTS[:1], tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be made: Not a directory"):
        materialize_frame(store, MIDNIGHTS[:1], tmp_path / "file" / "frame")


@pytest.mark.usefixtures("few_features")
@pytest.mark.slow
def test_a_midnight_before_all_data_has_no_rows_and_one_beyond_orders_is_refused(home: Path) -> None:
    early = run("--as-of", "1990-01-01", "--out", str(home / "early"))
    assert early.stdout.startswith("0 rows")
    beyond = run("--as-of", "2100-01-01", "--out", str(home / "beyond"))
    assert beyond.exit_code == 2
    assert "were delivered through" in " ".join(beyond.output.split())
    assert not (home / "beyond").exists()


@pytest.mark.parametrize(("traffic", "back"), [(1000, 0), (0, 0), (-1, 1), (-7, 7), (-8, 0), (-400, 0)])
def test_vectors_wait_for_a_table_that_ends_up_to_a_week_before_orders(home: Path, traffic: int, back: int) -> None:
    store = open_store(home / "operating")
    orders = date(2024, 3, 1)
    covers = {"orders": orders, "refunds": orders, "traffic": orders + timedelta(days=traffic)}
    delivered = replace(store, deliveries=(replace(store.deliveries[-1], covers_through=covers),))
    assert latest_midnight(delivered) == orders - timedelta(days=back)


def test_the_catalogue_is_told_in_words_as_a_page_and_as_data() -> None:
    told = run("--describe").stdout
    assert all(family in told for family in FAMILIES)
    lines = told.splitlines()
    assert all(feature.name in lines for feature in CATALOGUE)
    assert max(map(len, lines)) <= 100
    words = " ".join(told.split())
    assert all(f"{feature.sign_reason}" in words and feature.meaning in words for feature in CATALOGUE)
    assert "; reason group " in words
    assert "; window " in words
    assert run("--describe", "--markdown").stdout == markdown()
    data = json.loads(run("--describe", "--json").stdout)
    assert [each["name"] for each in data] == [feature.name for feature in CATALOGUE]
    assert all(each["meaning"] and each["unit"] and each["sign_reason"] for each in data)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--engine", "spark"], "--engine spark is for a frame; name its folder with --out"),
        (["--as-of", "2024-03-01"], "--as-of is for a frame; name its folder with --out"),
        (["--markdown"], "--markdown is for --describe"),
        (["--describe", "--markdown", "--json"], "--markdown and --json are two forms; name one"),
        (["--describe", "--out", "frame"], "--describe computes nothing; leave out the other options"),
        (["--engine", "dask", "--out", "frame"], "'dask' is not one of 'duckdb', 'spark'"),
        (["--as-of", "2024-02-30", "--out", "frame"], "'2024-02-30' does not match the format"),
    ],
)
def test_options_that_do_not_go_together_are_refused(arguments: list[str], said: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert said in " ".join(result.output.split())


def test_every_engine_that_the_command_offers_writes_frames() -> None:
    offered = run("--help").output
    assert all(engine in offered for engine in ENGINES)
    assert "SELLERSCORE_SPARK_MASTER" in offered


@pytest.mark.parametrize(
    ("version", "said"), [(None, "none was found"), ("11.0.20", "is 11.0.20"), ("1.8.0_392", "is 1.8.0_392")]
)
def test_without_a_java_that_spark_can_run_on_the_command_says_so(
    version: str | None, said: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "java" / "bin").mkdir(parents=True)
    if version is not None:
        java = home / "java" / "bin" / "java"
        java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2023-07-18' >&2\n")
        java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(home / "java"))
    monkeypatch.setattr(sys, "argv", ["sellerscore", "features", "--engine", "spark", "--out", str(home / "frame")])
    with pytest.raises(SystemExit) as ended:
        sellerscore.main()
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "Spark needs Java 17 or later" in told
    assert said in told
    assert not (home / "frame").exists()


def test_without_pyspark_the_command_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark", None)
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    with pytest.raises(EngineError, match="extra `spark`"), spark.open_engine():
        pass


def test_the_master_is_what_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(spark.MASTER, raising=False)
    assert spark.master() == "local[*]"
    monkeypatch.setenv(spark.MASTER, "yarn")
    assert spark.master() == "yarn"
