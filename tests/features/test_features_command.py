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
from features.catalogue import CATALOGUE, FAMILIES, digest
from features.describe import markdown
from features.engines import spark
from features.errors import EngineError, StoreError
from features.ingest import ingest, open_store
from features.materialize import materialize_frame, snapshot_of
from features.pipeline import latest_midnight
from features.store.frame_files import open_frame
from features.store.vectors import VectorStore
from tests.frames import frame_of
from tests.oracles.accepted_rows import features_named, fold, frame_from, write_accepted
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
    fold(open_store(folder / "home" / "operating"))
    return folder / "home"


@pytest.fixture
def home(ingested: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SELLERSCORE_HOME", str(tmp_path / "home"))
    return Path(shutil.copytree(ingested, tmp_path / "home"))


FEW = ("orders_90d", "store_count")


@pytest.fixture
def few_features(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute two features, with all others missing; all of them take seconds to compile."""
    monkeypatch.setattr(materialize, "compute_frame", partial(frame_of, names=FEW))


def run(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(sellerscore.app, ["features", *arguments])


@pytest.mark.usefixtures("few_features")
@pytest.mark.slow
def test_features_stores_vectors_and_frame_writes_a_frame_only(home: Path) -> None:
    stored = json.loads(run("--output", "json").stdout)
    store, sellers = open_store(home / "operating"), len(list(VectorStore(home / "vectors.db").all_latest()))
    assert stored == {"as_of": latest_midnight(store).isoformat(), "sellers": sellers, "data": store.version}
    assert f"Vectors of {sellers} sellers as of {stored['as_of']}" in run().stdout
    (home / "vectors.db").unlink()
    written = json.loads(run("frame", "--out", str(home / "frame"), "--output", "json").stdout)
    assert (written["as_of"], written["rows"]) == ([stored["as_of"]], sellers)
    assert not (home / "vectors.db").exists()
    found = pd.read_parquet(home / "frame")
    assert set(found["as_of"]) == {date.fromisoformat(stored["as_of"])}
    assert len(found) == sellers
    names = [feature.name for feature in CATALOGUE]
    assert list(found.columns) == ["seller_id", "as_of", *names]
    described = open_frame(home / "frame", names, digest(CATALOGUE))
    assert (described.rows, described.snapshot) == (sellers, snapshot_of(store))


@pytest.mark.usefixtures("few_features")
@pytest.mark.slow
def test_a_frame_on_disk_has_the_sellers_known_by_each_midnight(home: Path, tmp_path: Path) -> None:
    store = open_store(home / "operating")
    days = (MIDNIGHTS[4], MIDNIGHTS[0], MIDNIGHTS[4])
    rows = materialize_frame(store, days, tmp_path / "some" / "frame")
    found = pd.read_parquet(tmp_path / "some" / "frame").set_index(["seller_id", "as_of"]).sort_index()
    sellers = [(row["seller_id"], pd.Timestamp(row["known_at"]).date()) for row in ROWS["sellers"]]
    assert len(found) == rows
    assert set(found.index) <= {(seller, day) for seller, known in sellers for day in days if known <= day}
    expected = frame_from(store, list(found.index), catalogue=features_named(*FEW))
    assert found[list(expected.columns)].to_numpy().tobytes() == expected.to_numpy().tobytes()
    assert [path.name for path in (tmp_path / "some").iterdir()] == ["frame"]
    early = run("frame", "--as-of", "1990-01-01", "--out", str(home / "early"))
    assert early.stdout.startswith("0 rows"), "before all data"
    beyond = run("frame", "--as-of", "2100-01-01", "--out", str(home / "beyond"))
    assert beyond.exit_code == 2
    assert "were delivered through" in " ".join(beyond.output.split())
    assert not (home / "beyond").exists()


def test_an_existing_folder_is_not_overwritten(tmp_path: Path) -> None:
    store = write_accepted({}, tmp_path / "store")
    with pytest.raises(StoreError, match="is there already"):
        materialize_frame(store, MIDNIGHTS[:1], tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be made: Not a directory"):
        materialize_frame(store, MIDNIGHTS[:1], tmp_path / "file" / "frame")


@pytest.mark.parametrize(("traffic", "back"), [(1000, 0), (0, 0), (-1, 1), (-7, 7), (-8, 0), (-400, 0)])
def test_vectors_wait_for_a_table_that_ends_up_to_a_week_before_orders(home: Path, traffic: int, back: int) -> None:
    store = open_store(home / "operating")
    orders = date(2024, 3, 1)
    covers = {"orders": orders, "refunds": orders, "traffic": orders + timedelta(days=traffic)}
    delivered = replace(store, deliveries=(replace(store.deliveries[-1], covers_through=covers),))
    assert latest_midnight(delivered) == orders - timedelta(days=back)


def test_the_catalogue_is_printed_as_text_as_a_page_and_as_json() -> None:
    text, names = run("describe").stdout, [feature.name for feature in CATALOGUE]
    lines, words = text.splitlines(), " ".join(text.split())
    assert {*FAMILIES, *names} <= set(lines)
    assert max(map(len, lines)) <= 100
    assert all(feature.sign_reason in words and feature.meaning in words for feature in CATALOGUE)
    assert "; reason group " in words
    assert "; window " in words
    assert run("describe", "--markdown").stdout == markdown()
    data = json.loads(run("describe", "--output", "json").stdout)
    assert data == json.loads(run("list", "--output", "json").stdout)
    assert [row["name"] for row in data] == names
    assert all(row["meaning"] and row["unit"] and row["sign_reason"] for row in data)
    assert [line.split()[0] for line in run("list").stdout.splitlines()[1:]] == names
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
    monkeypatch.setenv("SELLERSCORE_UMASK", "022")  # the mask of this process outlives the test
    monkeypatch.setenv("JAVA_HOME", str(home / "java"))
    # other tests in this process may share a session
    monkeypatch.setattr("pyspark.sql.SparkSession.getActiveSession", lambda: None)
    arguments = ["features", "frame", "--engine", "spark", "--out", str(home / "frame")]
    monkeypatch.setattr(sys, "argv", ["sellerscore", *arguments])
    with pytest.raises(SystemExit) as ended:
        sellerscore.main()
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "Spark needs Java 17 or later" in error
    assert message in error
    assert not (home / "frame").exists()


def test_spark_is_optional_and_its_master_is_set_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    offered = run("frame", "--help").output
    assert all(name in offered for name in ("duckdb", "spark", "SELLERSCORE_SPARK_MASTER"))
    monkeypatch.delenv(spark.MASTER, raising=False)
    assert spark.master() == "local[*]"
    monkeypatch.setenv(spark.MASTER, "yarn")
    assert spark.master() == "yarn"
    monkeypatch.setitem(sys.modules, "pyspark", None)
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    with pytest.raises(EngineError, match="extra `spark`"), spark.open_engine():
        pass
