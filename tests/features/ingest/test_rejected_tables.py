"""A damaged file rejects its table only; the other tables are ingested, and so is a corrected file later."""

import hashlib
import json
import shutil
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import features.cli
from features.engines.duckdb import engine_errors
from features.errors import DeliveryError
from features.ingest import ingest, open_store, read_report, sources
from features.ingest.delivery import open_delivery
from tests.features.ingest import damage
from tests.features.ingest.build import (
    AT,
    CNY,
    accepted,
    order,
    refund,
    store,
    write,
    write_csv,
    write_orders,
    write_some,
)

COVERED = {"covers_through": {"orders": "2024-05-01", "stores": "2024-05-01"}}


def _digests(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*.parquet")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


ALWAYS_RUN = ("corrupt", "table twice")
"""One damage that is detected when rows are read, and one when tables are opened."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "case", [case if case in ALWAYS_RUN else pytest.param(case, marks=pytest.mark.soak) for case in damage.UNREADABLE]
)
def test_an_unreadable_table_is_rejected_until_it_is_corrected(case: str, base_store: Path, tmp_path: Path) -> None:
    harm, message, files = damage.UNREADABLE[case]
    valid = write_some(tmp_path / "valid", COVERED, stores=[store("T2")], orders=[order("O1", store_id="T2")])
    bad = Path(shutil.copytree(valid, tmp_path / "bad"))
    harm(bad)
    before = _digests(base_store)
    report = ingest(bad, base_store)
    (rejected,) = report.rejected_tables
    assert (rejected.table, rejected.files) == ("orders", files)
    assert message in rejected.why
    assert str(tmp_path) not in rejected.why
    assert "\n" not in rejected.why
    assert {table.table: table.accepted for table in report.tables} == {"stores": 1}
    assert report.covers_through["stores"] == date(2024, 5, 1)
    assert "orders" not in report.covers_through
    assert open_store(base_store).covers_through["orders"] == AT.date(), "unchanged"
    assert report.ignored_files == ()
    assert read_report(base_store, report.delivery_id) == report
    after = _digests(base_store)
    assert before.items() <= after.items(), "earlier files are unchanged"
    assert not [name for name in after.keys() - before.keys() if name.endswith("orders.parquet")]
    assert ingest(bad, base_store) == report.as_repeated()
    corrected = ingest(valid, base_store)
    assert corrected.rejected_tables == ()
    assert (corrected.table("orders").accepted, corrected.table("stores").duplicates) == (1, 1)
    assert open_store(base_store).covers_through["orders"] == date(2024, 5, 1)
    assert [row["order_id"] for row in accepted(open_store(base_store), "orders")] == ["O0", "O1"]


def test_a_first_delivery_is_ingested_without_a_damaged_optional_table(tmp_path: Path) -> None:
    delivery = write(tmp_path / "d", refunds=[refund()])
    damage.corrupt(delivery, "refunds")
    report = ingest(delivery, tmp_path / "s")
    assert [rejected.table for rejected in report.rejected_tables] == ["refunds"]
    assert report.table("orders").accepted == 1
    assert "refunds" not in report.covers_through
    assert open_store(tmp_path / "s").files("refunds") == ()


def test_a_delivery_without_a_readable_table_is_rejected(base_store: Path, tmp_path: Path) -> None:
    bad = write_orders(tmp_path / "d", order("O2"))
    damage.truncate(bad)
    before = open_store(base_store)
    with pytest.raises(DeliveryError, match=r"d was not ingested: orders\.parquet cannot be read as parquet"):
        ingest(bad, base_store)
    assert open_store(base_store) == before


def test_a_damaged_table_changes_the_digest(tmp_path: Path) -> None:
    damaged = write(tmp_path / "damaged", stores=[store("T2")])
    damage.add_csv(damaged)
    never = write(tmp_path / "never", stores=[store("T2")], orders=[])
    one, other = (open_delivery(folder, date(2024, 6, 1)) for folder in (damaged, never))
    assert one.files == {name: damaged / path.name for name, path in other.files.items()}
    copies = [tmp_path / "copy", tmp_path / "other copy"]
    for folder in copies:
        folder.mkdir()
    assert one.copy(copies[0])[1] != other.copy(copies[1])[1]


@pytest.mark.slow
def test_an_older_rate_is_not_used_while_fx_rates_are_rejected(base_store: Path, tmp_path: Path) -> None:
    day_before = AT - timedelta(days=1)
    older = {**CNY, "day": day_before.date(), "usd_per_unit": 0.5, "known_at": day_before}
    ingest(write_some(tmp_path / "rates", fx_rates=[older]), base_store)
    rows = [order("O1", currency="CNY"), order("O2", currency="CNY", ordered_at=day_before), order("O3")]
    bad = write_some(tmp_path / "bad", orders=rows, fx_rates=[CNY])
    damage.corrupt(bad, "fx_rates")
    assert ingest(bad, base_store).table("orders").quarantined == {"rate_unknown": 1}
    micros = {row["order_id"]: row["amount_micros"] for row in accepted(open_store(base_store), "orders")}
    assert micros == {"O0": 12_500_000, "O2": 6_250_000, "O3": 12_500_000}


def test_a_failure_of_the_machine_rejects_the_delivery(
    base_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = write_some(tmp_path / "d", stores=[store("T2")])
    before = open_store(base_store)

    def no_room(*_: object) -> None:
        raise engine_errors()("Out of Memory Error: failed to allocate")

    with monkeypatch.context() as patch:
        patch.setattr("features.ingest.validation.validate_rows", no_room)
        with pytest.raises(DeliveryError, match="could not be ingested, nothing was stored: Out of Memory"):
            ingest(delivery, base_store)
    assert open_store(base_store) == before
    assert ingest(delivery, base_store).table("stores").accepted == 1, "a retry succeeds"


@pytest.mark.usefixtures("no_vectors")
def test_the_command_names_rejected_tables_and_exits_with_2(
    base_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SELLERSCORE_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    base_store.rename(tmp_path / "home" / "operating")
    bad = write_some(tmp_path / "bad", stores=[store("T2")], orders=[order("O2")])
    damage.truncate(bad)
    as_text, as_json = (
        CliRunner().invoke(features.cli.app, ["ingest", str(bad), *form]) for form in ([], ["--output", "json"])
    )
    for result in (as_text, as_json):
        assert result.exit_code == 2
        last = result.stderr.strip().splitlines()[-1]
        assert last.startswith("sellerscore: orders.parquet cannot be read as parquet")
        assert last.endswith("The other tables were ingested.")
    assert "Rejected table: orders (orders.parquet)" in as_text.stdout.splitlines()
    assert [rejected["table"] for rejected in json.loads(as_json.stdout)["rejected_tables"]] == ["orders"]
    assert open_store(tmp_path / "home" / "operating").rows("stores") == 2


@pytest.mark.parametrize(("suffix", "limit"), [("csv", "MAX_ROWS"), ("parquet", "FREE_ROWS")])
def test_a_table_with_too_many_rows_is_rejected(
    suffix: str, limit: str, base_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, limit, 19_999)
    delivery = write_some(tmp_path / "d", stores=[store("T2")])
    if suffix == "csv":
        write_csv(delivery / "refunds.csv", [refund()] * 20_000)
    else:
        # equal rows take less than a byte each
        pq.write_table(pa.Table.from_pylist([refund()] * 20_000), delivery / "refunds.parquet")
    report = ingest(delivery, base_store)
    (rejected,) = report.rejected_tables
    assert rejected.why.startswith(f"refunds.{suffix} has at least 20,000 rows in")
    assert "or split the table into several deliveries" in rejected.why
    assert [table.table for table in report.tables] == ["stores"]
