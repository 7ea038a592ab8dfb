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

from features.schema import TABLES, Kind, Table
from tests.training.simulation.delivery import MONEY, Delivery
from training.simulation import SimulationConfig, SimulationError, run, sellers, simulate
from training.simulation.write import new_delivery

SMALL = SimulationConfig(sellers=12, days=420, seed=5, orders_per_seller=60)
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


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_columns_and_types_are_the_contracts(delivery: Delivery, table: Table) -> None:
    schema = pq.read_schema(delivery.folder / f"{table.name}.parquet")
    assert {name: schema.field(name).type for name in schema.names} == {
        column.name: TYPES[column.kind] for column in table.columns
    }


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_good_rows_have_values_and_single_keys(delivery: Delivery, table: Table) -> None:
    rows = delivery.good(table.name)
    assert len(rows) > 0
    assert not rows.isna().any().any()
    assert not rows.duplicated(list(table.key)).any()
    for column in table.columns:
        if column.allowed is not None:
            assert set(rows[column.name]) <= set(column.allowed)
        if column.minimum is not None:
            assert rows[column.name].min() >= column.minimum


@pytest.mark.parametrize("table", sorted(MONEY))
def test_the_mess_is_as_counted(delivery: Delivery, table: str) -> None:
    rows, summary = delivery.raw(table), delivery.summary
    bad = delivery.bad(table)
    assert bad.sum() == summary.malformed[table] > 0
    kept = rows[~bad]
    assert kept.duplicated().sum() == summary.duplicates[table]
    key = next(t.key for t in TABLES if t.name == table)
    assert kept.drop_duplicates().duplicated(list(key)).sum() == summary.conflicts[table]
    assert 0.0005 < bad.mean() < 0.002


def test_rows_are_counted_and_about_as_many_as_asked(delivery: Delivery) -> None:
    rows = delivery.summary.rows
    assert {name: len(delivery.raw(name)) for name in (table.name for table in TABLES)} == {
        name: count for name, count in rows.items() if name != "truth"
    }
    assert rows["orders"] == pytest.approx(240 * 400, rel=0.3)
    assert 0.04 < rows["refunds"] / rows["orders"] < 0.10


def test_nothing_is_known_before_it_happens_or_after_the_delivery(delivery: Delivery) -> None:
    for table in TABLES:
        rows = delivery.good(table.name)
        assert rows["known_at"].max() <= delivery.end
        if table.event_time not in {None, "due_on"}:
            assert (rows["known_at"] >= pd.to_datetime(rows[table.event_time])).all()


def test_about_one_row_in_seventy_is_late(delivery: Delivery) -> None:
    orders = delivery.raw("orders")
    late = (orders["known_at"] - orders["ordered_at"] > pd.Timedelta(days=1)).sum()
    assert late == delivery.summary.late["orders"]
    assert 0.01 < late / len(orders) < 0.02


def test_every_row_refers_to_what_was_delivered(delivery: Delivery) -> None:
    known = {name: set(delivery.good(name).iloc[:, 0]) for name in ("sellers", "stores", "orders", "loans")}
    for table in TABLES:
        rows = delivery.good(table.name)
        for name, ids in (
            ("seller_id", "sellers"),
            ("store_id", "stores"),
            ("order_id", "orders"),
            ("loan_id", "loans"),
        ):
            if name in rows.columns:
                assert set(rows[name]) <= known[ids], (table.name, name)


def test_covers_through_is_the_midnight_after_the_last_day(delivery: Delivery) -> None:
    covers = json.loads((delivery.folder / "delivery.json").read_text())["covers_through"]
    assert covers == {table.name: delivery.config.end.isoformat() for table in TABLES}


def test_the_delivery_states_that_it_is_simulated_and_with_which_seed(delivery: Delivery) -> None:
    terms = json.loads((delivery.folder / "delivery.json").read_text())
    assert terms["source"] == f"simulated by sellerscore, seed {delivery.config.seed}"


def test_hidden_state_is_in_no_table_of_the_delivery(delivery: Delivery) -> None:
    hidden = set(delivery.truth().columns) - {"seller_id", "loan_id"}
    files = list(delivery.folder.glob("*.parquet"))
    assert {path.stem for path in files} == {table.name for table in TABLES}
    for path in files:
        assert not hidden & set(pq.read_schema(path).names) - {"price"}


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("one", 5), ("same", 5), ("other", 6)):
        simulate(SimulationConfig(**{**vars(SMALL), "seed": seed}), tmp_path / name)
    assert digests(tmp_path / "one") == digests(tmp_path / "same")
    assert digests(tmp_path / "one")["orders.parquet"] != digests(tmp_path / "other")["orders.parquet"]


def test_more_sellers_leave_the_chunks_before_them_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sellers, "CHUNK_SELLERS", 6)
    monkeypatch.setattr(run, "CHUNK_SELLERS", 6)
    simulate(SimulationConfig(**{**vars(SMALL), "sellers": 6}), tmp_path / "few")
    simulate(SMALL, tmp_path / "more")
    few, more = (pq.read_table(tmp_path / name / "orders.parquet").to_pandas() for name in ("few", "more"))
    pd.testing.assert_frame_equal(few, more.iloc[: len(few)])
    assert len(more) > len(few)


def test_progress_counts_sellers_up_to_all(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    simulate(SMALL, tmp_path / "out", progress=lambda done, of: told.append((done, of)))
    assert told == [(12, 12)]


def test_a_used_folder_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "orders.parquet").write_text("mine")
    with pytest.raises(SimulationError, match="already holds files; name a folder that is new or empty"):
        simulate(SMALL, tmp_path)
    assert (tmp_path / "orders.parquet").read_text() == "mine"


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(SimulationError, match="is a file"):
        simulate(SMALL, tmp_path / "out")


def test_a_run_that_is_cut_off_leaves_nothing(tmp_path: Path) -> None:
    def cut(_done: int, _of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(SMALL, tmp_path / "out", progress=cut)
    assert list(tmp_path.iterdir()) == []


def test_amounts_have_two_decimals(delivery: Delivery) -> None:
    amounts = delivery.good("orders")["amount"]
    assert np.array_equal(amounts.round(2), amounts)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(SimulationError, match="lies under a file"),
        new_delivery(tmp_path / "file" / "d", date(2024, 1, 1), "a test"),
    ):
        pass

    # Rights do not bind the superuser, under whom tests may run.
    def refuse(**_: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    with (
        pytest.raises(SimulationError, match="Permission denied"),
        new_delivery(tmp_path / "d", date(2024, 1, 1), "a test"),
    ):
        pass
