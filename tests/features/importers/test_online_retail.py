"""Sums of invoice lines: orders, refunds of cancellations, and the count of every line."""

from datetime import datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from features.errors import FeaturesError, MappingError
from features.importers import ImportOptions, find_mapping, import_delivery
from tests.features.importers.exports import import_and_ingest, values, write_rows
from tests.features.ingest.build import Row, accepted


def line(number: object, quantity: object, price: object, **changes: object) -> Row:
    row: Row = {"InvoiceNo": number, "StockCode": "85123A", "Description": "HOLDER", "Quantity": quantity}
    row |= {"InvoiceDate": "2010-12-01 08:26", "UnitPrice": price, "CustomerID": "17850.0", "Country": "United Kingdom"}
    return {**row, **changes}


LINES = [
    line("536365", 6, "2.55"),
    line("536365", 2, "3.39", StockCode="POST"),
    line("536366", 1, "1.85", CustomerID=None, Country="Unspecified", InvoiceDate="2010-12-01T09:00:00"),
    line("C536379", -1, "27.50", StockCode="D", InvoiceDate="2010-12-02 09:41"),
    line("C536379", -2, "1.25", InvoiceDate="2010-12-02 09:41"),
    line("536366", -1, "0.35", StockCode="D", CustomerID=None, Country="Unspecified", InvoiceDate="2010-12-01 09:00"),
    line("536367", -1, "2.00", StockCode="D"),
    line("C536400", -1, "13541.33", StockCode="AMAZONFEE", CustomerID=None),
    line("A563185", 1, "-11062.06", StockCode="B"),
    line("536414", 56, "0"),
    line("536589", -10, "1.00"),
    line("C536590", 10, "1.00"),
    line("536591", "many", "1.00"),
    line("536592", 1, "1.00", InvoiceDate="yesterday"),
    line(None, 1, "1.00"),
]


def test_lines_add_up(tmp_path: Path) -> None:
    export = write_rows(tmp_path / "retail.csv", LINES, encoding="utf-8")
    report, store = import_and_ingest("online-retail", export, tmp_path, usd_per_unit=1.58, seller_id="shop")
    (counts,) = report.sources
    mapped = {"discount_after_sale": 1, "discount_of_order": 1, "line_of_refund": 1, "line_of_order": 3}
    assert counts.mapped == mapped
    reasons = ("adjustment", "cancellation_without_negative_quantity", "correction_of_stock", "date_unreadable", "fee")
    reasons += ("discount_without_goods", "invoice_number_missing", "price_of_zero", "quantity_or_price_unreadable")
    assert counts.not_mapped == dict.fromkeys(reasons, 1)
    first, guest = accepted(store, "orders")
    assert (first["order_id"], first["amount"], first["items"], first["buyer_id"]) == ("536365", 22.08, 8, "17850")
    assert (first["ordered_at"], first["buyer_country"]) == (datetime(2010, 12, 1, 8, 26), "GB")  # noqa: DTZ001
    assert (guest["buyer_id"], guest["buyer_country"]) == (None, "ZZ")
    assert (guest["amount"], guest["items"]) == (1.5, 1), "less the discount, which is no item"
    refunds = [("C536379", None, 2.5), ("C536379-D", None, 27.5)]
    assert values(store, "refunds", "refund_id", "order_id", "amount") == refunds
    assert counts.details["date_unreadable"].startswith("InvoiceDate 'yesterday' cannot be read; set how")
    assert values(store, "stores", "seller_id") == ["shop"]


def test_buyers_keep_their_identifier_and_impossible_numbers_are_counted(tmp_path: Path) -> None:
    buyers = ("007", "7", "7.9", "17850.0", "nan", "1e30")
    lines = [line(f"5364{number:02}", 1, "2.00", CustomerID=buyer) for number, buyer in enumerate(buyers)]
    lines += [line("536500", "nan", "1.00"), line("536501", "1e18", "1.00"), line("536502", 1, "1e14")]
    export = write_rows(tmp_path / "retail.csv", lines, encoding="utf-8")
    report, store = import_and_ingest("online-retail", export, tmp_path, usd_per_unit=1.58, seller_id="shop")
    assert report.sources[0].not_mapped == {"quantity_or_price_unreadable": 3}
    assert values(store, "orders", "buyer_id") == ["007", "7", "7.9", "17850", None, "1e30"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            b"InvoiceNo,StockCode,Quantity,InvoiceDate,UnitPrice,CustomerID,Country,UnitPrice\n",
            "column UnitPrice more",
        ),
        ("InvoiceNo,StockCode\n".encode("utf-16"), "looks like UTF-16"),
    ],
)
def test_an_ambiguous_or_unreadable_header_is_an_error(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "retail.csv").write_bytes(content)
    options = ImportOptions({"seller_id": "shop"}, 1.58)
    with pytest.raises(FeaturesError, match=words):
        import_delivery(find_mapping("online-retail"), tmp_path / "retail.csv", tmp_path / "d", options)


def test_manual_lines_of_a_cancellation_are_refunds_and_equal_lines_are_all_kept(tmp_path: Path) -> None:
    lines = [line("536365", 6, "2.50"), line("536365", 6, "2.50"), line("536365", 1, "4.00", StockCode="M")]
    lines += [line("C536379", -1, "9.00", StockCode="M", InvoiceDate="2010-12-02 09:41")] * 2
    lines += [line("536365", 1, "5.00", StockCode=code) for code in ("AMAZONFEE", "Bank Charges", "CRUK")]
    export = write_rows(tmp_path / "retail.csv", lines)
    report, store = import_and_ingest("online-retail", export, tmp_path, usd_per_unit=1.58)
    (reported,) = report.sources
    assert reported.mapped == {"line_of_order": 3, "line_of_refund": 2}
    assert reported.not_mapped == {"fee": 3}
    assert values(store, "orders", "amount", "items") == [(34.0, 13)]
    assert values(store, "refunds", "refund_id", "amount") == [("C536379", 18.0)]


@pytest.mark.parametrize(
    ("dates", "words"),
    [
        (
            ["13/4/2024 8:26", "3/4/2024 8:26"],
            "InvoiceDate '13/4/2024 8:26' of retail.csv begins with the day. Set",
        ),
        (["3/4/2024 8:26"], "InvoiceDate '3/4/2024 8:26' of retail.csv may begin with the day or the month, as all"),
    ],
)
def test_dates_that_may_begin_with_the_day_need_a_format(dates: list[str], words: str, tmp_path: Path) -> None:
    export = write_rows(
        tmp_path / "retail.csv", [line(str(n), 1, "1.00", InvoiceDate=at) for n, at in enumerate(dates)]
    )
    with pytest.raises(MappingError) as error:
        import_and_ingest("online-retail", export, tmp_path, usd_per_unit=1.58)
    assert words in str(error.value)
    settings = {"date_format": "%d/%m/%Y %H:%M"}
    report, store = import_and_ingest("online-retail", export, tmp_path, usd_per_unit=1.58, **settings)
    assert len(report.sources[0].not_mapped) == 0
    assert {at.month for at in values(store, "orders", "ordered_at")} == {4}


def test_dates_of_a_file_with_months_first_are_read_and_years_have_four_digits(tmp_path: Path) -> None:
    dates = ("12/13/2010 8:26", "12/1/2010 8:26", "12/1/10 8:26")
    export = write_rows(
        tmp_path / "retail.csv", [line(str(n), 1, "1.00", InvoiceDate=at) for n, at in enumerate(dates)]
    )
    report, store = import_and_ingest("online-retail", export, tmp_path, usd_per_unit=1.58)
    assert report.sources[0].not_mapped == {"date_unreadable": 1}
    assert [str(at)[:10] for at in values(store, "orders", "ordered_at")] == ["2010-12-13", "2010-12-01"]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("time_zone", "Europe/Londn", "Use a name of the IANA database such as Europe/London or the default, Europe/L"),
        ("date_format", "%d/%m", "Use a format with day, month and year, such as %d/%m/%Y"),
        ("date_format", "%Q", "Use a format with day, month and year"),
        ("country", "UK", "Use an ISO 3166 code such as US or the default, GB."),
        ("currency", "pounds", "Use an ISO 4217 code such as USD or the default, GBP."),
        ("seller_id", "a\nb", "Use one line of visible characters"),
    ],
)
def test_a_setting_that_is_not_allowed_is_named(name: str, value: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(MappingError) as error:
        import_delivery(find_mapping("online-retail"), tmp_path, tmp_path / "d", ImportOptions({name: value}))
    assert str(error.value).startswith(f"--set {name}={value} is not allowed. {words}")


@pytest.mark.parametrize(
    ("written", "zone", "expected"),
    [
        ("7/1/2011 8:26", "Europe/London", datetime(2011, 7, 1, 7, 26)),  # noqa: DTZ001 - the contract's times
        ("2011-07-01 00:30:00", "Europe/London", datetime(2011, 6, 30, 23, 30)),  # noqa: DTZ001
        ("2011-01-01T08:26:00", "Europe/London", datetime(2011, 1, 1, 8, 26)),  # noqa: DTZ001
        ("2011-07-01T08:26:00Z", "Europe/London", datetime(2011, 7, 1, 8, 26)),  # noqa: DTZ001
        ("2011-07-01 08:26:00 -0500", "Europe/London", datetime(2011, 7, 1, 13, 26)),  # noqa: DTZ001
        ("2011-07-01", "America/New_York", datetime(2011, 7, 1, 4)),  # noqa: DTZ001
    ],
)
def test_local_times_become_utc(written: str, zone: str, expected: datetime, tmp_path: Path) -> None:
    export = write_rows(tmp_path / "retail.csv", [line("1", 1, "1.00", InvoiceDate=written)])
    settings = {"time_zone": zone, "date_format": "%m/%d/%Y %H:%M"}
    import_delivery(find_mapping("online-retail"), export, tmp_path / "d", ImportOptions(settings, 1.58))
    (order,) = pq.read_table(tmp_path / "d" / "orders.parquet").to_pylist()
    assert order["ordered_at"] == expected
