"""A damaged file rejects its table only; the other tables are ingested, and so is a corrected file later."""

import hashlib
import json
import shutil
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

import features.cli
from features.engines.duckdb import engine_errors
from features.errors import DeliveryError
from features.ingest import ingest, open_store, read_report
from features.ingest.delivery import open_delivery
from tests.features.ingest import damage
from tests.features.ingest.build import AT, Row, accepted, order, store, write, write_orders, write_some

COVERED = {"covers_through": {"orders": "2024-05-01", "stores": "2024-05-01"}}

DAMAGES: dict[str, tuple[Callable[[Path], None], str, tuple[str, ...]]] = {
    "truncated": (damage.truncate, "orders.parquet cannot be read as parquet", ("orders.parquet",)),
    "corrupt": (damage.corrupt, "orders.parquet cannot be read as parquet", ("orders.parquet",)),
    "missing columns": (damage.drop_columns, "orders.parquet lacks amount, items", ("orders.parquet",)),
    "column twice": (damage.duplicate_column, "has the column amount more than once", ("orders.parquet",)),
    "table twice": (damage.add_csv, "as Parquet and as CSV", ("orders.parquet", "orders.csv")),
    "a folder": (damage.replace_by_folder, "orders.parquet is not a file", ("orders.parquet",)),
    "utf-16": (damage.write_utf_16, "orders.csv is not UTF-8 but looks like UTF-16", ("orders.csv",)),
    "empty csv": (damage.write_empty_csv, "orders.csv is empty", ("orders.csv",)),
}


def _digests(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*.parquet")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


ALWAYS_RUN = ("corrupt", "table twice")
"""One damage that is detected when rows are read, and one when tables are opened."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "case", [*ALWAYS_RUN, *(pytest.param(case, marks=pytest.mark.soak) for case in DAMAGES if case not in ALWAYS_RUN)]
)
def test_an_unreadable_table_is_rejected_and_ingested_once_corrected(case: str, begun: Path, tmp_path: Path) -> None:
    harm, message, files = DAMAGES[case]
    valid = write_some(tmp_path / "valid", COVERED, stores=[store("T2")], orders=[order("O1", store_id="T2")])
    bad = Path(shutil.copytree(valid, tmp_path / "bad"))
    harm(bad)
    before = _digests(begun)
    report = ingest(bad, begun)
    (rejected,) = report.rejected_tables
    assert (rejected.table, rejected.files) == ("orders", files)
    assert message in rejected.why
    assert str(tmp_path) not in rejected.why
    assert "\n" not in rejected.why
    assert [table.table for table in report.tables] == ["stores"]
    assert report.table("stores").accepted == 1
    assert report.covers_through["stores"] == date(2024, 5, 1)
    assert "orders" not in report.covers_through
    assert open_store(begun).covers_through["orders"] == AT.date(), "unchanged"
    assert report.ignored_files == ()
    assert read_report(begun, report.delivery_id) == report
    after = _digests(begun)
    assert before.items() <= after.items(), "earlier files are unchanged"
    assert not [name for name in after.keys() - before.keys() if name.endswith("orders.parquet")]
    assert ingest(bad, begun) == report.as_repeated()
    corrected = ingest(valid, begun)
    assert corrected.rejected_tables == ()
    assert (corrected.table("orders").accepted, corrected.table("stores").duplicates) == (1, 1)
    assert open_store(begun).covers_through["orders"] == date(2024, 5, 1)
    assert [row["order_id"] for row in accepted(open_store(begun), "orders")] == ["O0", "O1"]


@pytest.mark.parametrize("case", ["table twice", "a folder"])
def test_a_table_with_two_files_or_a_folder_is_rejected_when_it_is_opened(case: str, tmp_path: Path) -> None:
    harm, message, files = DAMAGES[case]
    delivery = write(tmp_path / "d")
    harm(delivery)
    (rejected,) = open_delivery(delivery, date(2024, 6, 1)).rejected
    assert (rejected.table, rejected.files) == ("orders", files)
    assert message in rejected.why


def test_a_first_delivery_is_ingested_without_a_damaged_optional_table(tmp_path: Path) -> None:
    refund: Row = {"refund_id": "R1", "order_id": "O1", "store_id": "T1", "refunded_at": AT, "amount": 1.0}
    refund |= {"currency": "USD", "reason": "refund", "known_at": AT}
    delivery = write(tmp_path / "d", refunds=[refund])
    damage.corrupt(delivery, "refunds")
    report = ingest(delivery, tmp_path / "s")
    assert [each.table for each in report.rejected_tables] == ["refunds"]
    assert report.table("orders").accepted == 1
    assert "refunds" not in report.covers_through
    assert open_store(tmp_path / "s").files("refunds") == ()


def test_a_delivery_without_a_readable_table_is_rejected(begun: Path, tmp_path: Path) -> None:
    bad = write_orders(tmp_path / "d", order("O2"))
    damage.truncate(bad)
    before = open_store(begun)
    with pytest.raises(DeliveryError, match=r"d was not ingested: orders\.parquet cannot be read as parquet"):
        ingest(bad, begun)
    assert open_store(begun) == before


def test_a_damaged_table_changes_the_digest(tmp_path: Path) -> None:
    damaged = write(tmp_path / "damaged", stores=[store("T2")])
    damage.add_csv(damaged)
    never = write(tmp_path / "never", stores=[store("T2")], orders=[])
    one, other = (open_delivery(folder, date(2024, 6, 1)) for folder in (damaged, never))
    assert one.files == {name: damaged / path.name for name, path in other.files.items()}
    assert one.digest() != other.digest()


@pytest.mark.slow
def test_an_older_rate_is_not_used_while_fx_rates_are_rejected(begun: Path, tmp_path: Path) -> None:
    def rate(day: date, usd: float) -> Row:
        known = datetime.combine(day, datetime.min.time())
        return {"day": day, "currency": "CNY", "usd_per_unit": usd, "known_at": known}

    today, yesterday = AT.date(), AT.date() - timedelta(days=1)
    ingest(write_some(tmp_path / "rates", fx_rates=[rate(yesterday, 0.5)]), begun)
    rows = [order("O1", currency="CNY"), order("O2", currency="CNY", ordered_at=AT - timedelta(days=1)), order("O3")]
    bad = write_some(tmp_path / "bad", orders=rows, fx_rates=[rate(today, 0.25)])
    damage.corrupt(bad, "fx_rates")
    report = ingest(bad, begun)
    assert report.table("orders").quarantined == {"rate_unknown": 1}
    micros = {row["order_id"]: row["amount_micros"] for row in accepted(open_store(begun), "orders")}
    assert micros == {"O0": 12_500_000, "O2": 6_250_000, "O3": 12_500_000}


def test_a_failure_of_the_machine_rejects_the_delivery(
    begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = write_some(tmp_path / "d", stores=[store("T2")])
    before = open_store(begun)

    def no_room(*_: object) -> None:
        raise engine_errors()("Out of Memory Error: failed to allocate")

    with monkeypatch.context() as patch:
        patch.setattr("features.ingest.validation.validate_rows", no_room)
        with pytest.raises(DeliveryError, match="could not be ingested, nothing was stored: Out of Memory"):
            ingest(delivery, begun)
    assert open_store(begun) == before
    assert ingest(delivery, begun).table("stores").accepted == 1, "a retry succeeds"


def test_valid_rows_are_accepted_when_a_tenth_of_the_rows_is_invalid(tmp_path: Path) -> None:
    broken: list[Row] = [
        {"amount": -1.0},
        {"currency": "XXX"},
        {"store_id": "T9"},
        {"items": 0},
        {"buyer_country": None},
    ]
    rows = [order(f"O{n:03}", **(broken[n // 10 % 5] if n % 10 == 0 else {})) for n in range(300)]
    orders = ingest(write(tmp_path / "d", orders=rows), tmp_path / "s").table("orders")
    assert (orders.read, orders.accepted, orders.duplicates) == (300, 270, 0)
    rules = ("amount_negative", "buyer_country_missing", "currency_unknown", "items_too_small", "store_unknown")
    assert orders.quarantined == dict.fromkeys(rules, 6)
    kept = {str(row["order_id"]) for row in accepted(open_store(tmp_path / "s"), "orders")}
    assert kept == {f"O{n:03}" for n in range(300) if n % 10}


def test_the_same_rows_in_a_renamed_folder_or_another_file_change_nothing(
    begun: Path, first_delivery_folder: Path, tmp_path: Path
) -> None:
    renamed = Path(shutil.copytree(first_delivery_folder, tmp_path / "tuesday"))
    assert ingest(renamed, begun).already_ingested
    stores = ingest(write_some(tmp_path / "again", stores=[store("T2"), store()]), begun).table("stores")
    assert (stores.duplicates, stores.accepted) == (1, 1)
    assert [row["store_id"] for row in accepted(open_store(begun), "stores")] == ["T1", "T2"]


def test_the_command_names_rejected_tables_and_exits_with_2(
    begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SELLERSCORE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("features.cli._update_vectors", lambda **_: None)  # `test_vectors` lands a delivery
    (tmp_path / "home").mkdir()
    begun.rename(tmp_path / "home" / "operating")
    bad = write_some(tmp_path / "bad", stores=[store("T2")], orders=[order("O2")])
    damage.truncate(bad)
    for form in ([], ["--output", "json"]):
        result = CliRunner().invoke(features.cli.app, ["ingest", str(bad), *form])
        assert result.exit_code == 2
        last = result.stderr.strip().splitlines()[-1]
        assert last.startswith("sellerscore: orders.parquet cannot be read as parquet")
        assert last.endswith("The other tables were ingested.")
        if form:
            assert [each["table"] for each in json.loads(result.stdout)["rejected_tables"]] == ["orders"]
        else:
            assert "Rejected table: orders (orders.parquet)" in result.stdout.splitlines()
    assert open_store(tmp_path / "home" / "operating").rows("stores") == 2
