"""`sellerscore features` and its subcommands `list`, `describe` and `frame`."""

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
from tests.oracles.accepted_rows import features_named, frame_from, write_accepted
from tests.oracles.deliveries import NO_RATES, deliver, in_dollars
from tests.oracles.market import MIDNIGHTS, Shape, market
from tests.oracles.shapes import MAY_BE_ABSENT

ROWS = in_dollars(market(Shape(seed=6, sellers=3, events=30, absent=frozenset(MAY_BE_ABSENT) - {"orders"})))
"""Only orders, since these tests do not depend on the other tables."""


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder with the rows and their tiles; read only."""
    folder = tmp_path_factory.mktemp("ingested")
    ingest(deliver(ROWS, NO_RATES, folder / "delivery"), folder / "home" / "operating")
    with open_engine() as engine:
        current_tiles(engine, open_store(folder / "home" / "operating"))
    return folder / "home"


@pytest.fixture
def home(ingested: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SELLERSCORE_HOME", str(tmp_path / "home"))
    return Path(shutil.copytree(ingested, tmp_path / "home"))


FEW = features_named("orders_90d", "store_count")


@pytest.fixture
def few_features(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write frames of two features; all of them take seconds to compile."""
    monkeypatch.setattr(materialize, "compute_frame", partial(compute_frame, catalogue=FEW))


def run(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(sellerscore.app, ["features", *arguments])


@pytest.mark.slow
def test_the_command_reports_the_stored_vectors(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(home / "operating")
    monkeypatch.setattr("features.materialize.materialize_vectors", lambda *_: (snapshot_of(store), 1234))
    stored = json.loads(run("--output", "json").stdout)
    as_of = latest_midnight(store).isoformat()
    assert stored == {"as_of": as_of, "sellers": 1234, "data": store.version}
    assert f"Vectors of 1,234 sellers as of {as_of}" in run().stdout


@pytest.mark.slow
def test_features_stores_vectors_and_frame_writes_a_frame_only(home: Path) -> None:
    stored = json.loads(run("--output", "json").stdout)
    assert stored["sellers"] == len(list(VectorStore(home / "vectors.db").all_latest()))
    (home / "vectors.db").unlink()
    written = json.loads(run("frame", "--out", str(home / "frame"), "--output", "json").stdout)
    assert (written["as_of"], written["rows"]) == ([stored["as_of"]], stored["sellers"])
    assert not (home / "vectors.db").exists()
    found = pd.read_parquet(home / "frame")
    assert set(found["as_of"]) == {date.fromisoformat(stored["as_of"])}
    assert len(found) == stored["sellers"]
    assert list(found.columns) == ["seller_id", "as_of", *(feature.name for feature in CATALOGUE)]


@pytest.mark.usefixtures("few_features")
@pytest.mark.slow
def test_a_frame_on_disk_has_the_sellers_known_by_each_midnight(home: Path, tmp_path: Path) -> None:
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


def test_an_existing_folder_is_not_overwritten(tmp_path: Path) -> None:
    store = write_accepted({}, tmp_path / "store")
    with pytest.raises(StoreError, match="is there already"):
        materialize_frame(store, MIDNIGHTS[:1], tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be made: Not a directory"):
        materialize_frame(store, MIDNIGHTS[:1], tmp_path / "file" / "frame")


@pytest.mark.usefixtures("few_features")
@pytest.mark.slow
def test_a_midnight_before_all_data_has_no_rows_and_one_after_coverage_is_rejected(home: Path) -> None:
    early = run("frame", "--as-of", "1990-01-01", "--out", str(home / "early"))
    assert early.stdout.startswith("0 rows")
    beyond = run("frame", "--as-of", "2100-01-01", "--out", str(home / "beyond"))
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


def test_the_catalogue_is_printed_as_text_as_a_page_and_as_json() -> None:
    text = run("describe").stdout
    assert all(family in text for family in FAMILIES)
    lines = text.splitlines()
    assert all(feature.name in lines for feature in CATALOGUE)
    assert max(map(len, lines)) <= 100
    words = " ".join(text.split())
    assert all(f"{feature.sign_reason}" in words and feature.meaning in words for feature in CATALOGUE)
    assert "; reason group " in words
    assert "; window " in words
    assert run("describe", "--markdown").stdout == markdown()
    data = json.loads(run("describe", "--output", "json").stdout)
    assert data == json.loads(run("list", "--output", "json").stdout)
    assert [each["name"] for each in data] == [feature.name for feature in CATALOGUE]
    assert all(each["meaning"] and each["unit"] and each["sign_reason"] for each in data)


def test_list_has_a_line_for_each_feature_and_describe_has_the_fields_of_one() -> None:
    assert [line.split()[0] for line in run("list").stdout.splitlines()[1:]] == [each.name for each in CATALOGUE]
    feature = CATALOGUE[0]
    assert f"meaning: {feature.meaning}" in run("describe", feature.name).stdout
    assert json.loads(run("describe", feature.name, "--output", "json").stdout)["unit"] == feature.unit


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["frame", "--engine", "spark"], "Missing option '--out'"),
        (["describe", "--markdown", "--output", "json"], "--markdown describes all features. Leave out the rest."),
        (["describe", "orders"], "Unknown feature 'orders'."),
        (["frame", "--engine", "dask", "--out", "frame"], "'dask' is not one of 'duckdb', 'spark'"),
        (["frame", "--as-of", "2024-02-30", "--out", "frame"], "'2024-02-30' does not match the format"),
    ],
)
def test_invalid_arguments_exit_with_2(arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())


def test_the_help_lists_every_engine() -> None:
    offered = run("frame", "--help").output
    assert all(engine in offered for engine in ENGINES)
    assert "SELLERSCORE_SPARK_MASTER" in offered


@pytest.mark.parametrize(
    ("version", "message"), [(None, "none was found"), ("11.0.20", "is 11.0.20"), ("1.8.0_392", "is 1.8.0_392")]
)
def test_a_missing_or_old_java_exits_with_2(
    version: str | None, message: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "java" / "bin").mkdir(parents=True)
    if version is not None:
        java = home / "java" / "bin" / "java"
        java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2023-07-18' >&2\n")
        java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(home / "java"))
    monkeypatch.setattr(
        sys, "argv", ["sellerscore", "features", "frame", "--engine", "spark", "--out", str(home / "frame")]
    )
    with pytest.raises(SystemExit) as ended:
        sellerscore.main()
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "Spark needs Java 17 or later" in error
    assert message in error
    assert not (home / "frame").exists()


def test_missing_pyspark_raises_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark", None)
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    with pytest.raises(EngineError, match="extra `spark`"), spark.open_engine():
        pass


def test_the_environment_sets_the_master(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(spark.MASTER, raising=False)
    assert spark.master() == "local[*]"
    monkeypatch.setenv(spark.MASTER, "yarn")
    assert spark.master() == "yarn"
