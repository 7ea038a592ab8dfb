"""The written delivery: tables follow the contract, invalid rows are counted, and the seed determines every byte."""

import hashlib
import json
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.schema import BY_NAME, TABLES, Kind, Table
from tests.training.simulation.conftest import MONEY, Delivery
from training.simulation import SimulationConfig, SimulationError, run, sellers, simulate
from training.simulation.write import new_delivery

SMALL = SimulationConfig(sellers=12, days=420, seed=5, orders_per_seller=60)
NOT_SIMULATED: frozenset[str] = frozenset()
"""Tables of the contract that the simulation does not write."""
SIMULATED = [table for table in TABLES if table.name not in NOT_SIMULATED]
TYPES = {
    Kind.ID: pa.string(),
    Kind.TEXT: pa.string(),
    Kind.CURRENCY: pa.string(),
    Kind.COUNTRY: pa.string(),
    Kind.TIME: pa.timestamp("us"),
    Kind.DAY: pa.date32(),
    Kind.MONEY: pa.float64(),
    Kind.NUMBER: pa.float64(),
    Kind.COUNT: pa.int32(),
}
REFERENCES = {"seller_id": "sellers", "store_id": "stores", "order_id": "orders", "loan_id": "loans"}


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("table", SIMULATED, ids=lambda table: table.name)
def test_a_table_follows_the_contract(delivery: Delivery, table: Table) -> None:
    schema = pq.read_schema(delivery.folder / f"{table.name}.parquet")
    assert {name: schema.field(name).type for name in schema.names} == {
        column.name: TYPES[column.kind] for column in table.columns
    }
    rows = delivery.good(table.name)
    assert len(rows) > 0
    assert not rows.isna().any().any()
    assert not rows.duplicated(list(table.key)).any()
    for column in table.columns:
        if column.allowed is not None:
            assert set(rows[column.name]) <= set(column.allowed)
        if column.minimum is not None:
            assert rows[column.name].min() >= column.minimum
        if column.name in REFERENCES:
            assert set(rows[column.name]) <= set(delivery.good(REFERENCES[column.name]).iloc[:, 0])
    assert rows["known_at"].max() <= delivery.end
    if table.event_time not in {None, "due_on"}:
        assert (rows["known_at"] >= pd.to_datetime(rows[table.event_time])).all()
    assert len(delivery.raw(table.name)) == delivery.summary.rows[table.name]


@pytest.mark.parametrize("table", sorted(MONEY))
def test_bad_rows_are_counted(delivery: Delivery, table: str) -> None:
    summary, bad = delivery.summary, delivery.bad(table)
    assert bad.sum() == summary.malformed[table] > 0
    rest = delivery.raw(table)[~bad]
    assert rest.duplicated().sum() == summary.duplicates[table]
    assert rest.drop_duplicates().duplicated(list(BY_NAME[table].key)).sum() == summary.conflicts[table]
    assert 0.0005 < bad.mean() < 0.002


def test_the_numbers_of_rows_are_as_configured_and_some_are_late(delivery: Delivery) -> None:
    rows, orders = delivery.summary.rows, delivery.raw("orders")
    assert rows["orders"] == pytest.approx(240 * 400, rel=0.3)
    assert 0.04 < rows["refunds"] / rows["orders"] < 0.10
    late = (orders["known_at"] - orders["ordered_at"] > pd.Timedelta(days=1)).sum()
    assert late == delivery.summary.late["orders"]
    assert 0.01 < late / len(orders) < 0.02
    amounts = delivery.good("orders")["amount"]
    assert np.array_equal(amounts.round(2), amounts)


def test_the_delivery_states_its_seed_and_covers_the_last_day_of_every_table(delivery: Delivery) -> None:
    terms = json.loads((delivery.folder / "delivery.json").read_text())
    assert terms["covers_through"] == {table.name: delivery.config.end.isoformat() for table in SIMULATED}
    assert terms["source"] == f"simulated by sellerscore, seed {delivery.config.seed}"


def test_tables_without_a_file_are_not_covered(tmp_path: Path) -> None:
    with new_delivery(tmp_path / "d", date(2024, 1, 1), "a test"):
        pass
    assert json.loads((tmp_path / "d" / "delivery.json").read_text())["covers_through"] == {}


def test_hidden_state_is_in_no_table_of_the_delivery(delivery: Delivery) -> None:
    hidden = set(delivery.truth().columns) - {"seller_id", "loan_id"}
    files = list(delivery.folder.glob("*.parquet"))
    assert {path.stem for path in files} == {table.name for table in SIMULATED}
    for path in files:
        assert not hidden & set(pq.read_schema(path).names) - {"price"}


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("one", 5), ("same", 5), ("other", 6)):
        simulate(SimulationConfig(**{**vars(SMALL), "seed": seed}), tmp_path / name)
    assert digests(tmp_path / "one") == digests(tmp_path / "same")
    assert digests(tmp_path / "one")["orders.parquet"] != digests(tmp_path / "other")["orders.parquet"]


def test_more_sellers_do_not_change_earlier_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sellers, "CHUNK_SELLERS", 6)
    monkeypatch.setattr(run, "CHUNK_SELLERS", 6)
    simulate(SimulationConfig(**{**vars(SMALL), "sellers": 6}), tmp_path / "few")
    simulate(SMALL, tmp_path / "more")
    few, more = (pq.read_table(tmp_path / name / "orders.parquet").to_pandas() for name in ("few", "more"))
    pd.testing.assert_frame_equal(few, more.iloc[: len(few)])
    assert len(more) > len(few)


def test_a_folder_with_files_or_a_file_is_rejected_and_not_changed(tmp_path: Path) -> None:
    (tmp_path / "orders.parquet").write_text("mine")
    with pytest.raises(SimulationError, match=r"is not empty\. Use a new or empty folder"):
        simulate(SMALL, tmp_path)
    with pytest.raises(SimulationError, match="is a file"):
        simulate(SMALL, tmp_path / "orders.parquet")
    assert (tmp_path / "orders.parquet").read_text() == "mine"


def test_progress_counts_sellers_and_an_interrupted_run_leaves_no_files(tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        assert (done, total) == (12, 12)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(SMALL, tmp_path / "out", progress=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_folder_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(SimulationError, match="is inside a file"),
        new_delivery(tmp_path / "file" / "d", date(2024, 1, 1), "a test"),
    ):
        pass

    # tests may run as the superuser, who can write anywhere
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with (
        pytest.raises(SimulationError, match="Permission denied"),
        new_delivery(tmp_path / "d", date(2024, 1, 1), "a test"),
    ):
        pass


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("sellers", 0, "from 1 to 999999"),
        ("days", 365, "from 366 to 3660"),
        ("seed", -1, "from 0 to"),
        ("orders_per_seller", 3, "from 20 to"),
        ("faker_share", 1.5, "from 0.0 to 1.0"),
        ("faker_share", float("nan"), "from 0.0 to 1.0"),
    ],
)
def test_a_value_out_of_range_is_named_with_what_is_allowed(name: str, value: float, allowed: str) -> None:
    with pytest.raises(SimulationError, match=f"{name} is {value}. Use a value {allowed}"):
        SimulationConfig(**{name: value})  # type: ignore[arg-type]


def test_the_end_is_the_day_after_the_last_and_the_start_is_within_the_contract() -> None:
    assert SimulationConfig(start=date(2023, 1, 1), days=366).end == date(2024, 1, 2)
    with pytest.raises(SimulationError, match="The first day 1950-01-01 is not allowed"):
        SimulationConfig(start=date(1950, 1, 1))
