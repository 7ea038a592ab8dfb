"""Running a mapping: the sandbox, reproducible output, rates, coverage, and the count of every source row."""

import hashlib
import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import DeliveryError, FeaturesError, MappingError
from features.importers import (
    ImportOptions,
    SourceReport,
    find_mapping,
    import_delivery,
    read_mapping,
    shipped_mappings,
)
from features.ingest import ingest, open_store
from features.store.folders import draft_folder
from tests.features.importers.exports import TOML, rewrite_orders, run_template, template
from tests.features.ingest.build import accepted

ACCOUNTS = "SELECT 'orders' AS source, 'order' AS mapped_to, NULL AS reason, {rows} AS rows{more} UNION ALL "
ACCOUNTS += "SELECT 'refunds', 'refund', NULL, 1{zero}"


def accounts(rows: int, more: str = "", zero: str = "") -> str:
    return ACCOUNTS.format(rows=rows, more=more, zero=zero)


def digest(folder: Path) -> str:
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return hashlib.sha256(b"".join(path.name.encode() + path.read_bytes() for path in files)).hexdigest()


def test_the_template_reads_its_example(tmp_path: Path) -> None:
    report = run_template(template(tmp_path / "m"), tmp_path / "d")
    assert dict(report.written) == {"sellers": 1, "stores": 1, "orders": 4, "refunds": 1}
    assert report.covers_through == date(2025, 2, 12)
    files = {path.name for path in (tmp_path / "d").iterdir()}
    assert files == {"delivery.json", *(f"{table}.parquet" for table in report.written)}
    run_template(tmp_path / "m", tmp_path / "second")
    assert digest(tmp_path / "second") == digest(tmp_path / "d"), "the same export gives the same bytes"
    ingest(tmp_path / "d", tmp_path / "s")
    buyers = [row["buyer_id"] for row in accepted(open_store(tmp_path / "s"), "orders")]
    assert buyers[0] == buyers[2] != buyers[3]
    assert buyers[1] is None


@pytest.mark.parametrize(
    ("file", "sql", "message"),
    [
        ("orders", "SELECT * FROM read_csv('/etc/passwd')", "orders.sql: Permission Error"),
        ("orders", "SELECT * FROM '/etc/hostname'", "orders.sql: "),
        ("prepare", "CREATE TABLE a AS SELECT * FROM read_text('/etc/hostname')", "prepare.sql: Permission Error"),
        ("prepare", "SET enable_external_access = true", "has a SET statement. Only CREATE"),
        ("prepare", "ATTACH '/tmp/other.db'", "has a ATTACH statement"),
        ("orders", "SELECT 1; SELECT 2", "has SELECT and SELECT. It must be exactly one SELECT"),
        ("orders", "CREATE TABLE x AS SELECT 1", "has CREATE. It must be"),
        ("orders", "SELEC 1", "orders.sql: Parser Error"),
        ("orders", "SELECT nothing FROM an_order", "orders.sql: Binder Error"),
        ("orders", "SELECT order_number AS order_id FROM an_order", "orders.sql lacks store_id, ordered_at, amount"),
        ("accounts", "SELECT 'orders' AS source, 4 AS rows", "accounts.sql lacks mapped_to, reason"),
        ("accounts", accounts(4).replace("'orders'", "'order'"), "counts rows of order. Its sources are orders,"),
        ("accounts", accounts(4).replace("4 AS rows", "'all' AS rows"), "accounts.sql: Conversion Error"),
        ("accounts", accounts(3), "4 rows were read but accounts.sql counts 3"),
        ("accounts", accounts(5), "4 rows were read but accounts.sql counts 5"),
        ("accounts", accounts(4, ", 3 AS orders", ", 0"), "counts 3 rows of orders, but orders.sql selects 4"),
        ("accounts", accounts(4).replace("NULL", "'lost'"), "Exactly one of the two must be set"),
    ],
)
def test_forbidden_sql_and_wrong_counts_are_rejected(file: str, sql: str, message: str, tmp_path: Path) -> None:
    folder = template(tmp_path / "m", **{file: sql})
    with pytest.raises(FeaturesError) as error:
        run_template(folder, tmp_path / "d")
    assert message in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["m"], "nothing was written"


def test_a_final_comment_and_a_semicolon_are_allowed(tmp_path: Path) -> None:
    folder = template(tmp_path / "m")
    for name in ("orders", "accounts"):
        path = folder / f"{name}.sql"
        path.write_text(path.read_text() + "; -- done")
    assert run_template(folder, tmp_path / "d").written["orders"] == 4


def test_malformed_rows_and_rows_with_a_reason_are_counted(tmp_path: Path) -> None:
    more = "1005,not a date,,US,1,5.00,USD,ads\n1006,2025-01-01T00:00:00Z,,US\n"
    source = run_template(rewrite_orders(template(tmp_path / "m"), more=more), tmp_path / "d").sources[0]
    assert (source.read, dict(source.mapped)) == (6, {"order": 4})
    assert dict(source.not_mapped) == {"created_at_unreadable": 1, "row_malformed": 1}
    detail = "another number of fields than the header, or bytes that are not utf-8; the first is row 6"
    assert f"1 row_malformed ({detail})" in str(source)
    with pytest.raises(FeaturesError, match=r"3 rows were read but accounts.sql counts 2"):
        SourceReport("payments", 3, {"order": 1}, {"amount_missing": 1})


def test_the_cut_end_of_an_export_is_reported(tmp_path: Path) -> None:
    folder = rewrite_orders(template(tmp_path / "m"), more="1006,2025-01-01T00:00:00Z,,US")
    source = run_template(folder, tmp_path / "d").sources[0]
    assert dict(source.not_mapped) == {"row_cut": 1}
    assert "the last line of orders.csv has too few fields and no line end: the file seems to be cut" in str(source)


EXAMPLES = {
    "Day first, in UTC": ("2025-02-11T21:30:00Z", "11.02.2025 21:30", datetime(2025, 2, 11, 21, 30)),  # noqa: DTZ001
    "Local time": ("2025-02-11T21:30:00Z", "2025-02-11 21:30", datetime(2025, 2, 11, 20, 30)),  # noqa: DTZ001
    "Day first and local time": ("2025-02-11T21:30:00Z", "11/02/2025 21:30", datetime(2025, 2, 11, 20, 30)),  # noqa: DTZ001
    "Decimal comma": ("75.00", '"1.234,50"', Decimal("1234.50")),
    "Separators of thousands": ("75.00", '"1,234.50"', Decimal("1234.50")),
}
"""Commented examples in the template's prepare.sql: a value of the last order, its new text, and the value read."""


@pytest.mark.parametrize("title", EXAMPLES)
def test_a_commented_example_of_the_template_works(title: str, tmp_path: Path) -> None:
    old, written, expected = EXAMPLES[title]
    folder = rewrite_orders(template(tmp_path / "m"), (old, written))
    lines = (folder / "prepare.sql").read_text().splitlines()
    titles = [lines[place - 1] for place, line in enumerate(lines) if line.startswith("-- CREATE")]
    assert [title.removeprefix("-- ").split(", such as")[0] for title in titles] == list(EXAMPLES), "all are tested"
    place = next(number for number, line in enumerate(lines) if line.startswith(f"-- {title}, such as"))
    lines[place + 1] = lines[place + 1].removeprefix("-- ")
    (folder / "prepare.sql").write_text("\n".join(lines))
    report = run_template(folder, tmp_path / "d")
    last = pq.read_table(tmp_path / "d" / "orders.parquet").to_pylist()[-1]
    assert expected in (last["ordered_at"], last["amount"])
    assert report.written["orders"] + sum(report.sources[0].not_mapped.values()) == 4


def test_an_offset_is_applied_and_an_unreadable_value_is_reported(tmp_path: Path) -> None:
    more = "1005,31.12.2024,,US,1,5.00,USD,ads\n1006,2025-01-01T00:00:00Z,,US,1,5 USD,USD,ads\n"
    folder = rewrite_orders(template(tmp_path / "m"), ("21:30:00Z", "21:30:00-0500"), more=more)
    report = run_template(folder, tmp_path / "d")
    last = pq.read_table(tmp_path / "d" / "orders.parquet").to_pylist()[-1]
    assert last["ordered_at"] == datetime(2025, 2, 12, 2, 30)  # noqa: DTZ001
    assert report.sources[0].details == {
        "created_at_unreadable": "such as '31.12.2024'; see time_of in prepare.sql",
        "total_unreadable": "such as '5 USD'; see amount_of in prepare.sql",
    }


def currencies(folder: Path, *codes: str) -> Path:
    path = folder / "example" / "orders.csv"
    header, *lines = path.read_text().splitlines()
    lines = [line.replace("USD", codes[number % len(codes)]) for number, line in enumerate(lines)]
    path.write_text("\n".join([header, *lines]) + "\n")
    return folder


def test_an_amount_in_another_currency_needs_a_rate(tmp_path: Path) -> None:
    folder = currencies(template(tmp_path / "m"), "EUR")
    with pytest.raises(DeliveryError, match=r"orders are in EUR. Give the US dollars for one EUR with --usd-per-unit"):
        run_template(folder, tmp_path / "d")
    run_template(folder, tmp_path / "d", usd_per_unit=1.1)
    terms = json.loads((tmp_path / "d" / "delivery.json").read_text())
    assert terms["constant_rate"] == {"currency": "EUR", "usd_per_unit": 1.1}


def test_two_currencies_need_rates_by_day(tmp_path: Path) -> None:
    folder = currencies(template(tmp_path / "m"), "EUR", "GBP")
    with pytest.raises(DeliveryError, match="are in EUR, GBP, but one rate converts one currency"):
        run_template(folder, tmp_path / "d", usd_per_unit=1.1)
    rates = tmp_path / "rates.csv"
    lines = [f"2025-01-01,{code},1.2,2025-01-01T00:00:00Z" for code in ("EUR", "GBP")]
    rates.write_text("\n".join(["day,currency,usd_per_unit,known_at", *lines]) + "\n")
    run_template(folder, tmp_path / "d", fx_rates=rates)
    ingested = ingest(tmp_path / "d", tmp_path / "s")
    assert ingested.table("fx_rates").accepted == 2
    assert ingested.table("orders").quarantined == {"rate_unknown": 1}, "the rate of January is too old for February"


def test_an_invalid_currency_is_quarantined_and_the_rate_converts_the_rest(tmp_path: Path) -> None:
    folder = currencies(template(tmp_path / "m"), "EUR", "DEM2", "EUR", "EUR")
    run_template(folder, tmp_path / "d", usd_per_unit=1.1)
    terms = json.loads((tmp_path / "d" / "delivery.json").read_text())
    assert terms["constant_rate"] == {"currency": "EUR", "usd_per_unit": 1.1}
    orders = ingest(tmp_path / "d", tmp_path / "s").table("orders")
    assert (orders.accepted, orders.quarantined) == (3, {"currency_unknown": 1})
    with pytest.raises(DeliveryError, match=r"orders are in EUR. Give the US dollars for one EUR"):
        run_template(folder, tmp_path / "e")
    with pytest.raises(DeliveryError, match=r"All orders have currency 'RMB'. Use ISO 4217 codes such as USD"):
        run_template(currencies(template(tmp_path / "n"), "RMB"), tmp_path / "e", usd_per_unit=0.14)


def test_coverage_follows_the_latest_event_or_the_option(tmp_path: Path) -> None:
    folder = template(tmp_path / "m")
    assert run_template(folder, tmp_path / "d", covers_through=date(2025, 3, 1)).covers_through == date(2025, 3, 1)
    rewrite_orders(folder, ("2025-02-11", "2225-02-11"))
    with pytest.raises(DeliveryError, match="latest row of orders is of 2225-02-11, which is in the future"):
        run_template(folder, tmp_path / "e")
    prepare = folder / "prepare.sql"
    prepare.write_text(prepare.read_text().replace("AS utc(moment);", "AS TIMESTAMP 'infinity';"))
    with pytest.raises(DeliveryError, match="latest row of orders is of 9999-12-30, which is in the future"):
        run_template(folder, tmp_path / "e")


@pytest.mark.parametrize(
    ("day", "message"),
    [
        (date(2225, 3, 1), "--covers-through is '2225-03-01'; expected a day from 1990-01-01 to tomorrow"),
        (date(1989, 3, 1), "--covers-through is '1989-03-01'; expected a day from 1990-01-01 to tomorrow"),
        (date(2025, 1, 3), "--covers-through is 2025-01-03, but the first order is of 2025-01-03, so no order would"),
    ],
)
def test_a_day_that_ingest_would_not_accept_or_that_covers_no_order_is_refused(
    day: date, message: str, tmp_path: Path
) -> None:
    with pytest.raises(DeliveryError, match=message):
        run_template(template(tmp_path / "m"), tmp_path / "d", covers_through=day)
    assert not (tmp_path / "d").exists()


def test_an_export_of_impossible_years_is_refused_as_ingest_would(tmp_path: Path) -> None:
    folder = rewrite_orders(template(tmp_path / "m"), ("2025-", "1925-"))
    (folder / "example" / "refunds.csv").unlink()
    with pytest.raises(DeliveryError, match=r"`ingest` would reject this delivery. delivery.json: covers_through of"):
        run_template(folder, tmp_path / "d")


RATES = "day,currency,usd_per_unit,known_at\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("day,currency,usd_per_unit\n", "rates.csv lacks known_at. It has the columns day, currency, usd_per_unit."),
        (RATES, "rates.csv has no rows. Give a rate for each currency and day"),
        (
            f"{RATES}2025-01-01,EUR,0,2025-01-01\n2025-01-01,GBP,1.2,2025-01-01\n",
            "rates.csv: 1 of 2 rows break a rule, such as usd_per_unit_too_small: usd_per_unit is below the minimum",
        ),
        (f"{RATES}2025-01-01,EUR,1.1,2225-01-01\n", "1 of 1 rows break a rule, such as known_at_"),
    ],
)
def test_rates_that_ingest_would_not_accept_are_refused(text: str, message: str, tmp_path: Path) -> None:
    rates = tmp_path / "rates.csv"
    rates.write_text(text)
    with pytest.raises(DeliveryError) as error:
        run_template(template(tmp_path / "m"), tmp_path / "d", fx_rates=rates)
    assert message in str(error.value)


def test_a_single_file_is_the_only_required_source(tmp_path: Path) -> None:
    folder = template(tmp_path / "m")
    renamed = (folder / "example" / "orders.csv").rename(tmp_path / "last month [final].csv")
    report = run_template(folder, tmp_path / "d", renamed)
    assert (report.written["orders"], len(report.sources)) == (4, 1)
    assert "refunds" not in report.written
    assert "refunds" not in json.loads((tmp_path / "d" / "delivery.json").read_text())["covers_through"]


def test_files_of_one_source_are_combined_and_parquet_keeps_its_types(tmp_path: Path) -> None:
    folder = template(tmp_path / "m")
    columns = {name: [None] for name in ("customer_email", "country", "channel")}
    more = {**columns, "order_number": [7], "created_at": [date(2025, 2, 20)], "items": [1], "total": [3.5]}
    path = folder / "example" / "orders [2].parquet"
    pq.write_table(pa.table({**more, "currency": ["USD"]}), path)
    orders = folder / "orders.sql"
    orders.write_text(orders.read_text().replace("order_number AS order_id", "order_number::VARCHAR AS order_id"))
    report = run_template(folder, tmp_path / "[d]*")
    assert (report.sources[0].read, report.written["orders"]) == (5, 5)


def test_missing_files_and_columns_are_named(tmp_path: Path) -> None:
    folder = rewrite_orders(template(tmp_path / "m"), ("total,currency", "sum,currency"))
    with pytest.raises(DeliveryError, match=r"orders.csv lacks total\. It has the columns order_number") as error:
        run_template(folder, tmp_path / "d")
    assert "items, sum, currency, channel. The columns of orders are order_number," in str(error.value)
    assert "rename columns in the file, or correct those of [sources.orders] in mapping.toml" in str(error.value)
    (folder / "example" / "orders.csv").unlink()
    with pytest.raises(DeliveryError, match=r"lacks a file for orders \(orders\*.csv or .*It contains refunds.csv"):
        run_template(folder, tmp_path / "d")
    with pytest.raises(DeliveryError, match="is not a folder or file"):
        run_template(folder, tmp_path / "d", tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("old", "new", "encoding", "messages"),
    [
        (",", ";", "utf-8", ("the one column 'order_number;created_at;", "by a semicolon, not a comma", '";" under')),
        (",", "\t", "utf-8", (r"'order_number\tcreated_at\t", "by a tab, not a comma", r'delimiter = "\t" under')),
        ("total", "größe", "cp1252", ("Its text does not seem to be utf-8", 'set encoding = "cp1252" under')),
        ("", "", "utf-16", ("is not UTF-8 but looks like UTF-16", 'set encoding = "utf-16" under [sources.orders]')),
        ("channel", ",".join(f"c{n}" for n in range(9)), "utf-8", ("c0, c1, c2, c3, c4 and 4 more.",)),
    ],
)
def test_a_wrong_delimiter_or_encoding_is_named(
    old: str, new: str, encoding: str, messages: tuple[str, ...], tmp_path: Path
) -> None:
    folder = rewrite_orders(template(tmp_path / "m"), (old, new), encoding=encoding)
    with pytest.raises(DeliveryError) as error:
        run_template(folder, tmp_path / "d")
    for message in messages:
        assert message in str(error.value)


@pytest.mark.parametrize(("name", "settings"), [("shopify", {"seller_id": "S1"}), ("online-retail", {})])
def test_a_shipped_importer_does_not_suggest_to_edit_its_mapping(
    name: str, settings: dict[str, str], tmp_path: Path
) -> None:
    mapping = find_mapping(name)
    for header in (";".join(mapping.sources[0].columns), "Name,Größe"):
        path = tmp_path / "orders.csv"
        path.write_bytes(header.encode("cp1252") + b"\n")
        with pytest.raises(DeliveryError) as error:
            import_delivery(mapping, path, tmp_path / "d", ImportOptions(settings))
        assert "mapping.toml" not in str(error.value)
        assert "Save the file " in str(error.value)


def test_the_delimiter_and_encoding_of_the_message_work(tmp_path: Path) -> None:
    declared = TOML.replace("[sources.refunds]", 'delimiter = ";"\nencoding = "utf-16"\n[sources.refunds]')
    folder = rewrite_orders(template(tmp_path / "m", mapping=declared), (",", ";"), encoding="utf-16")
    assert run_template(folder, tmp_path / "d").written["orders"] == 4
    declared = TOML.replace("[sources.refunds]", 'encoding = "cp1252"\n[sources.refunds]')
    folder = rewrite_orders(template(tmp_path / "n", mapping=declared), ("total", "größe"))
    message = r'not seem to be cp1252\. Save the file as cp1252, or set encoding = "utf-8"'
    with pytest.raises(DeliveryError, match=message):
        run_template(folder, tmp_path / "e")


@pytest.mark.parametrize("end", ["", "\n"])
@pytest.mark.parametrize("name", shipped_mappings())
def test_an_export_without_rows_is_rejected(name: str, end: str, tmp_path: Path) -> None:
    mapping = find_mapping(name)
    for source in mapping.sources:
        path = tmp_path / "e" / source.files[-1].replace("*", "").replace(".parquet", ".csv")
        path.parent.mkdir(exist_ok=True)
        path.write_text(source.delimiter.join(source.columns) + end)
    settings = {each.name: "S1" for each in mapping.parameters if each.default is None}
    with pytest.raises(DeliveryError) as error:
        import_delivery(mapping, tmp_path / "e", tmp_path / "d", ImportOptions(settings))
    assert "No row of the export becomes an order" in str(error.value)
    assert f"{mapping.sources[0].name}: no rows, only column names" in str(error.value)


def test_an_output_folder_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = template(tmp_path / "m")
    (tmp_path / "file").write_text("")
    with pytest.raises(DeliveryError, match="is inside a file"):
        run_template(folder, tmp_path / "file" / "d")
    with pytest.raises(DeliveryError, match="is not empty"):
        run_template(folder, folder)

    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    with pytest.raises(DeliveryError, match="cannot be written: Permission denied"):
        run_template(folder, tmp_path / "d")


def test_drafts_of_killed_imports_are_deleted_and_those_of_running_ones_are_kept(tmp_path: Path) -> None:
    killed = tmp_path / ".incoming-0123456789abcdef"
    (killed / "work").mkdir(parents=True)
    with draft_folder(tmp_path) as running:
        run_template(template(tmp_path / "m"), tmp_path / "d")
        assert running.is_dir()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d", "m"]


def test_an_export_without_orders_is_rejected(tmp_path: Path) -> None:
    folder = rewrite_orders(template(tmp_path / "m"), ("T", " at "))
    with pytest.raises(DeliveryError, match=r"No row of the export becomes an order.*4 created_at_unreadable"):
        run_template(folder, tmp_path / "d")


def test_a_required_table_must_not_need_an_optional_source(tmp_path: Path) -> None:
    folder = template(tmp_path / "m", mapping=TOML.replace("[tables.refunds]", "[tables.orders]"))
    (folder / "example" / "refunds.csv").unlink()
    with pytest.raises(MappingError, match="orders cannot be written without optional sources"):
        import_delivery(read_mapping(folder), folder / "example", tmp_path / "d", ImportOptions({"seller_id": "S1"}))
