"""A bad file keeps no good row out: its table is set aside and named, the rest goes in, and mended it goes in too."""

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
from features.ingest import IngestReport, ingest, open_store
from features.ingest.delivery import open_delivery
from tests.features.ingest import spoil
from tests.features.ingest.build import AT, Row, accepted, order, store, write, write_orders, write_some

COVERED = {"covers_through": {"orders": "2024-05-01", "stores": "2024-05-01"}}

HARM: dict[str, tuple[Callable[[Path], None], str, tuple[str, ...]]] = {
    "truncated": (spoil.cut, "orders.parquet cannot be read as parquet", ("orders.parquet",)),
    "corrupt": (spoil.corrupt, "orders.parquet cannot be read as parquet", ("orders.parquet",)),
    "missing columns": (spoil.columns, "orders.parquet lacks amount, items", ("orders.parquet",)),
    "column twice": (spoil.twice, "has the column amount more than once", ("orders.parquet",)),
    "table twice": (spoil.csv_beside, "as Parquet and as CSV", ("orders.parquet", "orders.csv")),
    "a folder": (spoil.folder_instead, "orders.parquet is not a file", ("orders.parquet",)),
    "utf-16": (spoil.utf_16, "orders.csv is not UTF-8 but looks like UTF-16", ("orders.csv",)),
    "empty csv": (spoil.empty_csv, "orders.csv is empty", ("orders.csv",)),
}


def _digests(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*.parquet")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


EVERY_DAY = ("corrupt", "table twice")
"""One harm that is found when rows are read, and one when tables are opened."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "case", [*EVERY_DAY, *(pytest.param(case, marks=pytest.mark.soak) for case in HARM if case not in EVERY_DAY)]
)
def test_what_cannot_be_read_is_set_aside_and_goes_in_once_mended(case: str, begun: Path, tmp_path: Path) -> None:
    harm, words, files = HARM[case]
    sound = write_some(tmp_path / "sound", COVERED, stores=[store("T2")], orders=[order("O1", store_id="T2")])
    bad = Path(shutil.copytree(sound, tmp_path / "bad"))
    harm(bad)
    before = _digests(begun)
    report = ingest(bad, begun)
    (aside,) = report.set_aside
    assert (aside.table, aside.files) == ("orders", files)
    assert words in aside.why
    assert str(tmp_path) not in aside.why
    assert "\n" not in aside.why
    assert [table.table for table in report.tables] == ["stores"]
    assert report.table("stores").accepted == 1
    assert report.covers_through["stores"] == date(2024, 5, 1)
    assert "orders" not in report.covers_through
    assert open_store(begun).covers_through["orders"] == AT.date(), "as the first delivery left it"
    assert report.ignored_files == ()
    assert IngestReport.from_json(report.to_json()) == report
    after = _digests(begun)
    assert before.items() <= after.items(), "nothing stored before is lost"
    assert not [name for name in after.keys() - before.keys() if name.endswith("orders.parquet")]
    assert ingest(bad, begun) == report.repeated()
    mended = ingest(sound, begun)
    assert mended.set_aside == ()
    assert (mended.table("orders").accepted, mended.table("stores").duplicates) == (1, 1)
    assert open_store(begun).covers_through["orders"] == date(2024, 5, 1)
    assert [row["order_id"] for row in accepted(open_store(begun), "orders")] == ["O0", "O1"]


@pytest.mark.parametrize("case", ["table twice", "a folder"])
def test_a_table_without_a_single_file_is_set_aside_as_it_is_opened(case: str, tmp_path: Path) -> None:
    harm, words, files = HARM[case]
    delivery = write(tmp_path / "d")
    harm(delivery)
    (aside,) = open_delivery(delivery, date(2024, 6, 1)).set_aside
    assert (aside.table, aside.files) == ("orders", files)
    assert words in aside.why


def test_a_first_delivery_goes_in_without_a_table_that_it_need_not_have(tmp_path: Path) -> None:
    refund: Row = {"refund_id": "R1", "order_id": "O1", "store_id": "T1", "refunded_at": AT, "amount": 1.0}
    refund |= {"currency": "USD", "reason": "refund", "known_at": AT}
    delivery = write(tmp_path / "d", refunds=[refund])
    spoil.corrupt(delivery, "refunds")
    report = ingest(delivery, tmp_path / "s")
    assert [each.table for each in report.set_aside] == ["refunds"]
    assert report.table("orders").accepted == 1
    assert "refunds" not in report.covers_through
    assert open_store(tmp_path / "s").files("refunds") == ()


def test_a_delivery_of_which_nothing_can_be_read_is_refused(begun: Path, tmp_path: Path) -> None:
    bad = write_orders(tmp_path / "d", order("O2"))
    spoil.cut(bad)
    before = open_store(begun)
    with pytest.raises(DeliveryError, match=r"d was not taken: orders\.parquet cannot be read as parquet"):
        ingest(bad, begun)
    assert open_store(begun) == before


def test_a_folder_with_a_spoilt_table_is_not_the_folder_that_never_held_it(tmp_path: Path) -> None:
    spoilt = write(tmp_path / "spoilt", stores=[store("T2")])
    spoil.csv_beside(spoilt)
    never = write(tmp_path / "never", stores=[store("T2")], orders=[])
    one, other = (open_delivery(folder, date(2024, 6, 1)) for folder in (spoilt, never))
    assert one.files == {name: spoilt / path.name for name, path in other.files.items()}
    assert one.digest() != other.digest()


@pytest.mark.slow
def test_while_rates_are_set_aside_no_older_rate_stands_in_for_them(begun: Path, tmp_path: Path) -> None:
    def rate(day: date, usd: float) -> Row:
        known = datetime.combine(day, datetime.min.time())
        return {"day": day, "currency": "CNY", "usd_per_unit": usd, "known_at": known}

    today, yesterday = AT.date(), AT.date() - timedelta(days=1)
    ingest(write_some(tmp_path / "rates", fx_rates=[rate(yesterday, 0.5)]), begun)
    rows = [order("O1", currency="CNY"), order("O2", currency="CNY", ordered_at=AT - timedelta(days=1)), order("O3")]
    bad = write_some(tmp_path / "bad", orders=rows, fx_rates=[rate(today, 0.25)])
    spoil.corrupt(bad, "fx_rates")
    report = ingest(bad, begun)
    assert report.table("orders").quarantined == {"rate_unknown": 1}
    micros = {row["order_id"]: row["amount_micros"] for row in accepted(open_store(begun), "orders")}
    assert micros == {"O0": 12_500_000, "O2": 6_250_000, "O3": 12_500_000}


def test_a_failure_that_is_not_the_files_refuses_the_delivery(
    begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = write_some(tmp_path / "d", stores=[store("T2")])
    before = open_store(begun)

    def no_room(*_: object) -> None:
        raise engine_errors()("Out of Memory Error: failed to allocate")

    with monkeypatch.context() as patch:
        patch.setattr("features.ingest.validation.judged", no_room)
        with pytest.raises(DeliveryError, match="could not be taken, nothing was stored: Out of Memory"):
            ingest(delivery, begun)
    assert open_store(begun) == before
    assert ingest(delivery, begun).table("stores").accepted == 1, "the same files, another time"


def test_of_a_delivery_with_a_tenth_broken_rows_nine_tenths_go_in(tmp_path: Path) -> None:
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


def test_the_same_rows_under_another_name_or_in_another_file_change_nothing(
    begun: Path, taken_first: Path, tmp_path: Path
) -> None:
    renamed = Path(shutil.copytree(taken_first, tmp_path / "tuesday"))
    assert ingest(renamed, begun).already_ingested
    stores = ingest(write_some(tmp_path / "again", stores=[store("T2"), store()]), begun).table("stores")
    assert (stores.duplicates, stores.accepted) == (1, 1)
    assert [row["store_id"] for row in accepted(open_store(begun), "stores")] == ["T1", "T2"]


def test_a_report_from_before_files_were_set_aside_reads_back(begun: Path) -> None:
    held = open_store(begun)
    report = held.report(held.deliveries[0].delivery_id)
    older = json.loads(report.to_json())
    del older["set_aside"]
    assert IngestReport.from_json(json.dumps(older)) == report


def test_the_command_says_what_was_set_aside_and_ends_with_2(
    begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SELLERSCORE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("features.cli._land", lambda **_: None)  # `test_vectors` lands a delivery
    (tmp_path / "home").mkdir()
    begun.rename(tmp_path / "home" / "operating")
    bad = write_some(tmp_path / "bad", stores=[store("T2")], orders=[order("O2")])
    spoil.cut(bad)
    for form in ([], ["--json"]):
        result = CliRunner().invoke(features.cli.app, ["ingest", str(bad), *form])
        assert result.exit_code == 2
        last = result.stderr.strip().splitlines()[-1]
        assert last.startswith("sellerscore: orders.parquet cannot be read as parquet")
        assert last.endswith("the other tables are in")
        if form:
            assert [each["table"] for each in json.loads(result.stdout)["set_aside"]] == ["orders"]
        else:
            assert "Set aside as a whole: orders (orders.parquet)" in result.stdout.splitlines()
    assert open_store(tmp_path / "home" / "operating").rows("stores") == 2
