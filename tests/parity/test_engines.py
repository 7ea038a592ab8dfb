"""DuckDB and Spark give equal tiles and features for the same rows and definitions.

`make test` compares one small market; `make soak` compares all features of larger markets and several deliveries.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import sellerscore
from features.catalogue import CATALOGUE, Feature, digest
from features.engines.duckdb import open_engine
from features.ingest import OperatingStore, ingest, open_store
from features.materialize import materialize_frame, write_spark_frame
from features.store.frame_files import DESCRIPTION, open_frame
from features.store.tiles import TileSet, current_spark_tiles, current_tiles
from tests.oracles.accepted_rows import features_named, fold, frame_from, write_accepted
from tests.oracles.deliveries import NO_RATES, deliver, in_dollars, rates_of
from tests.oracles.market import MIDNIGHTS, Market, Shape, market, together
from tests.oracles.market_events import CURRENCIES
from tests.oracles.shapes import MAY_BE_ABSENT
from tests.properties.test_features_oracle import WHOLE

if TYPE_CHECKING:
    from ibis.backends.pyspark import Backend

SHAPES = (
    Shape(seed=1, sellers=10, events=60),
    Shape(seed=2, sellers=5, events=30, largest=10**15),
    Shape(seed=3, sellers=1, events=90, absent=frozenset({"purchases"})),
    Shape(seed=4, sellers=3, events=3, largest=3),
)

ALL_BUT_ORDERS = frozenset(MAY_BE_ABSENT) - {"orders"}
SMALL = Shape(seed=4, sellers=4, events=12, absent=ALL_BUT_ORDERS)
FEW = features_named("orders_90d", "days_on_platform")


NAMES = [feature.name for feature in CATALOGUE]
KEYS = ["seller_id", "as_of"]


def read_frame(folder: Path, names: Sequence[str] = NAMES) -> pd.DataFrame:
    """Return a frame of the named features sorted by its keys, after checking the types of its columns."""
    table = ds.dataset(folder, format="parquet").to_table()
    expected = [("seller_id", pa.string()), ("as_of", pa.date32()), *((name, pa.float64()) for name in names)]
    assert [(field.name, field.type) for field in table.schema] == expected
    assert not any(table[name].to_pandas().dropna().map(np.isinf).any() for name in names)
    frame: pd.DataFrame = table.to_pandas().set_index(KEYS).sort_index()
    return frame


def differences(actual: pd.DataFrame, expected: pd.DataFrame) -> list[str]:
    assert list(actual.index) == list(expected.index)
    assert list(actual.columns) == list(expected.columns)
    return [
        name for name in actual.columns if not _agree(actual[name].to_numpy(), expected[name].to_numpy(), name in WHOLE)
    ]


def _agree(actual: np.ndarray, expected: np.ndarray, whole: bool) -> bool:
    return np.allclose(actual, expected, rtol=0 if whole else 1e-9, atol=0, equal_nan=True)


def tile_rows(paths: Iterable[Path]) -> tuple[dict[str, str], list[tuple[object, ...]]]:
    parts = [pq.read_table(path) for path in paths]
    types = {field.name: str(field.type) for field in parts[0].schema}
    rows = [tuple(row[name] for name in types) for part in parts for row in part.to_pylist()]
    return types, sorted(rows, key=repr)


@dataclass(frozen=True)
class Built:
    """Results of Spark for a store of two deliveries, folded one after the other."""

    store: OperatingStore
    first: TileSet
    tiles: TileSet
    frame: Path
    row_counts: list[int]


def test_a_small_market_has_the_same_tiles_and_features_on_both(spark: Backend, tmp_path: Path) -> None:
    store = write_accepted(market(SMALL), tmp_path / "store")
    expected = assert_same_frame(spark, store, tmp_path / "frame", FEW)
    assert expected.notna().any().all(), "a feature that is always missing proves nothing"
    with open_engine() as engine, current_spark_tiles(spark, store) as tiles, current_tiles(engine, store) as others:
        assert_same_tiles(tiles, others)


@pytest.mark.soak
def test_declared_absent_data_and_start_dates_are_equal_on_both(spark: Backend, tmp_path: Path) -> None:
    rows = in_dollars(market(Shape(seed=6, sellers=4, events=40, absent=frozenset({"refunds", "loans"}))))
    rows["orders"] = [{**row, "buyer_id": None} for row in rows["orders"]]
    folder = deliver({name: table for name, table in rows.items() if table}, NO_RATES, tmp_path / "d")
    begins = (MIDNIGHTS[0] - timedelta(days=60)).isoformat()
    terms = {"absent": ["refunds", "buyer_ids"], "begins": {"traffic": begins}}
    (folder / "delivery.json").write_text(json.dumps(terms))
    ingest(folder, tmp_path / "store")
    store, available = open_store(tmp_path / "store"), ("settled_net_sales_90d", "cancel_rate_180d", "visits_90d")
    catalogue = features_named(*available, "top_buyer_share_180d", "orders_beyond_visits_30d")
    expected = assert_same_frame(spark, store, tmp_path / "frame", catalogue)
    assert expected["top_buyer_share_180d"].isna().all()
    assert expected["settled_net_sales_90d"].notna().any()


@pytest.mark.soak
def test_sellers_whose_data_end_on_different_days_are_equal_on_both(spark: Backend, tmp_path: Path) -> None:
    rows = market(SMALL)
    store = write_accepted(rows, tmp_path / "store")
    covers = dict.fromkeys(("orders", "refunds"), MIDNIGHTS[0])
    early, late = (replace(store.deliveries[0], covers_through=each) for each in (covers, {"orders": MIDNIGHTS[1]}))
    claims = [replace(late, delivery_id="late", rows={}, covers_stores="listed"), replace(early, covers_stores="all")]
    named = sorted({row["store_id"] for row in rows["stores"]})[::2]
    file = store.listed_file(claims[0])
    file.parent.mkdir(parents=True)
    pq.write_table(pa.table({"store_id": named, "seller_id": pa.nulls(len(named), pa.string())}), file)
    by_store = replace(store, deliveries=tuple(reversed(claims)))
    expected = assert_same_frame(spark, by_store, tmp_path / "frame", features_named("orders_90d", "cancel_rate_180d"))
    days = expected.index.get_level_values("as_of")
    assert 0 < sum(days == days.max()) < sum(days == days.min()), "some sellers are left out as of the later midnight"


def assert_same_frame(
    spark: Backend, store: OperatingStore, folder: Path, catalogue: Sequence[Feature]
) -> pd.DataFrame:
    assert write_spark_frame(spark, store, MIDNIGHTS[:2], folder, catalogue) > 0
    actual = read_frame(folder, [feature.name for feature in catalogue])
    expected = frame_from(store, list(actual.index), catalogue=catalogue).set_axis(actual.index)
    assert differences(actual, expected) == []
    return expected


def assert_same_tiles(actual: TileSet, expected: TileSet) -> None:
    assert actual.known_since == expected.known_since
    assert set(actual.files) == set(expected.files)
    for name, files in expected.files.items():
        assert tile_rows(actual.files[name]) == tile_rows(files), name


@pytest.fixture(scope="module")
def built(spark: Backend, tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("built")
    store = _in_two(together({str(shape.seed): market(shape) for shape in SHAPES}), folder / "store")
    with _row_counts_on_driver() as row_counts:
        first = _spark_tiles(spark, OperatingStore(store.folder, store.deliveries[:1]))
        tiles = _spark_tiles(spark, store)
        assert write_spark_frame(spark, store, MIDNIGHTS, folder / "frame") > 0
    return Built(store, first, tiles, folder / "frame", row_counts)


def _spark_tiles(spark: Backend, store: OperatingStore) -> TileSet:
    with current_spark_tiles(spark, store) as tiles:
        return tiles


def _in_two(rows: Market, folder: Path) -> OperatingStore:
    """Return a store with two deliveries: all parties with half of the events, then the other half."""
    half = {name: table if name in ("sellers", "stores") else table[::2] for name, table in rows.items()}
    rest = {name: [] if name in ("sellers", "stores") else table[1::2] for name, table in rows.items()}
    both = (write_accepted(part, folder).deliveries for part in (half, rest))
    return OperatingStore(folder, tuple(delivery for deliveries in both for delivery in deliveries))


@pytest.mark.soak
def test_tiles_are_equal_row_for_row(built: Built) -> None:
    fold(OperatingStore(built.store.folder, built.store.deliveries[:1]))
    with open_engine() as engine, current_tiles(engine, built.store) as expected:
        assert_same_tiles(built.tiles, expected)


@pytest.mark.soak
def test_the_split_into_deliveries_does_not_change_frames(built: Built, tmp_path: Path) -> None:
    whole = write_accepted(together({str(shape.seed): market(shape) for shape in SHAPES}), tmp_path / "store")
    materialize_frame(whole, MIDNIGHTS, tmp_path / "frame")
    expected = read_frame(tmp_path / "frame")
    assert expected.notna().any().all(), "a feature that is always missing proves nothing"
    assert differences(read_frame(built.frame), expected) == []


@pytest.mark.soak
def test_a_delivery_keeps_the_tiles_of_earlier_deliveries(built: Built) -> None:
    for name, files in built.first.files.items():
        assert built.tiles.files[name][: len(files)] == files
    assert any(len(built.tiles.files[name]) > len(files) for name, files in built.first.files.items())


@pytest.mark.soak
def test_existing_tiles_are_not_recomputed(built: Built, spark: Backend) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("the tiles were recomputed")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("features.store.tiles._add_fold", fail)
        assert _spark_tiles(spark, built.store) == built.tiles


@pytest.mark.soak
def test_only_folds_and_the_manifest_remain(built: Built) -> None:
    remaining = sorted(path.name.partition("-")[0] for path in (built.store.folder / "tiles-spark").iterdir())
    assert remaining == [".lock", ".readers", "fold", "fold", "manifest.json"]


@pytest.mark.soak
def test_the_driver_receives_a_few_values_and_no_rows(built: Built) -> None:
    assert built.row_counts
    assert max(built.row_counts) <= len(built.tiles.known_since)


@pytest.mark.soak
def test_a_store_id_that_was_a_buyer_rebuilds_all_tiles(spark: Backend, tmp_path: Path) -> None:
    rows = market(Shape(seed=8, sellers=2, events=3, absent=ALL_BUT_ORDERS))
    buyer, order = next(
        (order["buyer_id"], order) for order in rows["orders"] if str(order["buyer_id"]).startswith("B")
    )
    late = {"store_id": buyer, "seller_id": "S0", "marketplace": "etsy", "known_at": order["known_at"]}
    before = write_accepted(rows, tmp_path)
    after = write_accepted({"sellers": [], "stores": [late | {"opened_at": order["ordered_at"]}]}, tmp_path)
    store = OperatingStore(tmp_path, (*before.deliveries, *after.deliveries))
    earlier, rebuilt = (
        {path.parent for path in _spark_tiles(spark, state).files["orders"]} for state in (before, store)
    )
    assert earlier.isdisjoint(rebuilt)


@pytest.mark.soak
def test_the_command_writes_the_same_frame_on_both_engines(
    spark: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert spark is not None  # the command uses the existing session
    rows = market(Shape(seed=5, sellers=4, events=30, absent=ALL_BUT_ORDERS))
    ingest(deliver(rows, rates_of(rows, CURRENCIES), tmp_path / "delivery"), tmp_path / "operating")
    monkeypatch.setenv("SELLERSCORE_HOME", str(tmp_path))
    days = [part for day in MIDNIGHTS[-2:] for part in ("--as-of", day.isoformat())]
    outputs = {}
    for engine in ("duckdb", "spark"):
        arguments = [
            "features",
            "frame",
            "--engine",
            engine,
            *days,
            "--out",
            str(tmp_path / engine),
            "--output",
            "json",
        ]
        result = CliRunner().invoke(sellerscore.app, arguments)
        assert result.exit_code == 0, result.output
        outputs[engine] = json.loads(result.stdout)
    frame = read_frame(tmp_path / "duckdb")
    assert len(frame) == outputs["duckdb"]["rows"] == outputs["spark"]["rows"] > 0
    assert outputs["spark"]["as_of"] == [day.isoformat() for day in MIDNIGHTS[-2:]]
    assert differences(read_frame(tmp_path / "spark"), frame) == []
    descriptions = [(tmp_path / engine / DESCRIPTION).read_bytes() for engine in ("duckdb", "spark")]
    assert descriptions[0] == descriptions[1]
    one_day = tmp_path / "one-day"
    materialize_frame(open_store(tmp_path / "operating"), MIDNIGHTS[-1:], one_day, "spark")
    opened = open_frame(one_day, NAMES, digest(CATALOGUE))
    assert sum(len(block.values) for block in opened.blocks()) == opened.rows > 0


@contextmanager
def _row_counts_on_driver() -> Iterator[list[int]]:
    """Yield a list that collects the number of rows of every result on the driver."""
    from pyspark.sql.classic.dataframe import DataFrame

    row_counts: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        for name in ("toPandas", "collect", "toArrow"):
            patch.setattr(DataFrame, name, _counting(getattr(DataFrame, name), row_counts))
        yield row_counts


def _counting(method: Callable[..., Sized], row_counts: list[int]) -> Callable[..., Sized]:
    def count_rows(*args: object) -> Sized:
        result = method(*args)
        row_counts.append(len(result))
        return result

    return count_rows
