"""The lines of Shopify's orders_export.csv become orders, cancellations and refunds."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from features.errors import MappingError
from features.importers import ImportOptions, find_mapping, import_delivery
from features.ingest import ingest, open_store
from tests.features.importers.exports import import_and_ingest, values, write_rows
from tests.features.ingest.build import Row, accepted

HEADER = """
Name,Email,Financial Status,Paid at,Fulfillment Status,Fulfilled at,Accepts Marketing,Currency,Subtotal,Shipping,Taxes,
Total,Discount Code,Discount Amount,Shipping Method,Created at,Lineitem quantity,Lineitem name,Lineitem price,
Lineitem compare at price,Lineitem sku,Lineitem requires shipping,Lineitem taxable,Lineitem fulfillment status,
Billing Name,Billing Street,Billing Address1,Billing Address2,Billing Company,Billing City,Billing Zip,
Billing Province,Billing Country,Billing Phone,Shipping Name,Shipping Street,Shipping Address1,Shipping Address2,
Shipping Company,Shipping City,Shipping Zip,Shipping Province,Shipping Country,Shipping Phone,Notes,Note Attributes,
Cancelled at,Payment Method,Payment Reference,Refunded Amount,Vendor,Outstanding Balance,Employee,Location,Device ID,
Id,Tags,Risk Level,Source,Lineitem discount,Tax 1 Name,Tax 1 Value,Phone
"""
COLUMNS = [name.strip() for name in HEADER.replace("\n", "").split(",")]


def row(number: str | None, **other: object) -> Row:
    return {**dict.fromkeys(COLUMNS), "Name": number, "Lineitem quantity": 1, **other}


def order(number: str, day: int, total: str, **other: object) -> Row:
    created = f"2024-03-{day:02} 20:30:00 -0500"
    named: Row = {"Email": "Ann@Example.com", "Financial Status": "paid", "Currency": "USD", "Total": total}
    named |= {"Created at": created, "Shipping Country": "CA", "Refunded Amount": "0.00", "Source": "web"}
    return row(number, **{**named, **{name.replace("_", " "): value for name, value in other.items()}})


ROWS = [
    order("#1001", 1, "59.90", **{"Lineitem quantity": 2, "Fulfilled at": "2024-03-03 09:00:00 -0500"}),
    row("#1001", Email="ann@example.com", **{"Lineitem quantity": 3}),
    order("#1002", 2, "20.00", Email=None, Refunded_Amount="5.00", Source="instagram"),
    order("#1003", 3, "30.00", Cancelled_at="2024-03-04 08:00:00 -0500", Refunded_Amount="30.00"),
    order("#1004", 4, "40.00", Financial_Status="voided"),
    order("#1005", 31, "50.00", Shipping_Country="United Kingdom", Email="ann@example.com"),
    row(None),
    order("#1006", 5, "gift"),
    order("#1007", 6, "10.00", Created_at="last week"),
    order("#1008", 7, "10.00", Cancelled_at="31/05/2024 10:00"),
]


def test_an_orders_export(tmp_path: Path) -> None:
    export = write_rows(tmp_path / "export" / "orders_export_1.csv", ROWS)
    report, store = import_and_ingest("shopify", export.parent, tmp_path, seller_id="S7")
    (lines,) = report.sources
    assert lines.mapped == {"line_of_order": 4, "line_of_cancelled_order": 2}
    assert lines.not_mapped == {
        "cancelled_at_unreadable": 1,
        "created_at_missing_or_unreadable": 1,
        "name_missing": 1,
        "total_missing_or_unreadable": 1,
    }
    orders = {row["order_id"]: row for row in accepted(store, "orders")}
    first, guest, last = (orders[f"S7-shopify:#{number}"] for number in (1001, 1002, 1005))
    assert (first["amount"], first["items"], first["channel"], first["buyer_country"]) == (59.90, 5, "direct", "CA")
    assert first["ordered_at"] == datetime(2024, 3, 2, 1, 30), "in UTC"  # noqa: DTZ001
    assert first["buyer_id"] == last["buyer_id"] != "ann@example.com"
    assert (guest["buyer_id"], guest["channel"], last["buyer_country"]) == (None, "social", "ZZ")
    assert values(store, "refunds", "refund_id", "order_id", "amount", "reason") == [
        ("S7-shopify:#1002-refund", "S7-shopify:#1002", 5.0, "refund"),
        ("S7-shopify:#1003-cancel", "S7-shopify:#1003", 30.0, "cancel"),
        ("S7-shopify:#1004-cancel", "S7-shopify:#1004", 40.0, "cancel"),
    ]
    assert values(store, "refunds", "refunded_at")[0] == datetime(2024, 3, 17, 1, 30)  # noqa: DTZ001
    assert not store.has("fulfilments")
    assert values(store, "sellers", "seller_id") == ["S7"]


def test_a_first_order_in_an_unknown_currency_does_not_quarantine_the_shop(tmp_path: Path) -> None:
    orders = [order("#1", 1, "10.00", Currency="DEM2"), *(order(f"#{n}", n, "10.00", Currency="EUR") for n in (2, 3))]
    export = write_rows(tmp_path / "orders_export.csv", orders)
    import_delivery(find_mapping("shopify"), export, tmp_path / "d", ImportOptions({"seller_id": "S7"}, 1.1))
    taken = ingest(tmp_path / "d", tmp_path / "s")
    assert taken.table("orders").quarantined == {"currency_unknown": 1}
    assert values(open_store(tmp_path / "s"), "sellers", "base_currency") == ["EUR"]


def test_orders_of_two_sellers_are_distinct(tmp_path: Path) -> None:
    export = write_rows(tmp_path / "orders_export.csv", [order("#1001", 1, "9.00", Refunded_Amount="2.00")])
    for seller in ("S1", "S2"):
        settings = ImportOptions({"seller_id": seller, "since": "2023-02-01", "refund_days": "0"})
        import_delivery(find_mapping("shopify"), export, tmp_path / seller, settings)
        ingest(tmp_path / seller, tmp_path / "s")
    store = open_store(tmp_path / "s")
    ids = [f"{seller}-shopify:#1001" for seller in ("S1", "S2")]
    assert values(store, "orders", "order_id") == ids
    assert values(store, "refunds", "refund_id", "order_id") == [(f"{name}-refund", name) for name in ids]
    began = values(store, "sellers", "onboarded_at") + values(store, "stores", "opened_at")
    assert set(began) == {datetime(2023, 2, 1)}  # noqa: DTZ001


def test_two_stores_of_a_seller_have_their_own_orders(tmp_path: Path) -> None:
    for name, total in (("shopify", "9.00"), ("berlin", "7.00")):
        export = write_rows(tmp_path / name / "orders.csv", [order("#1001", 1, total)])
        _, store = import_and_ingest("shopify", export, tmp_path, seller_id="S7", store=name)
        (tmp_path / "d").rename(tmp_path / name / "d")
    expected = [("S7-berlin:#1001", 7.0), ("S7-shopify:#1001", 9.0)]
    assert values(store, "orders", "order_id", "amount") == expected


def test_a_refund_after_the_end_of_an_export_comes_with_a_later_export(tmp_path: Path) -> None:
    first = [order("#1", 1, "9.00", Refunded_Amount="1.00"), order("#2", 12, "9.00", Refunded_Amount="2.00")]
    exports = {"a": [*first, order("#3", 20, "9.00")], "b": [*first, order("#3", 20, "9.00"), order("#4", 28, "9.00")]}
    mapped = []
    for name, rows in exports.items():
        export = write_rows(tmp_path / name / "orders.csv", rows)
        report, store = import_and_ingest("shopify", export, tmp_path, seller_id="S7")
        (tmp_path / "d").rename(tmp_path / name / "d")
        mapped.append(dict(report.sources[0].mapped))
    assert mapped == [{"line_of_order": 2, "line_of_order_refunded_later": 1}, {"line_of_order": 4}]
    assert values(store, "refunds", "amount", "refunded_at") == [
        (1.0, datetime(2024, 3, 16, 1, 30)),  # noqa: DTZ001
        (2.0, datetime(2024, 3, 27, 1, 30)),  # noqa: DTZ001
    ]
    options = ImportOptions({"seller_id": "S7"}, covers_through=date(2024, 3, 28))
    complete = import_delivery(find_mapping("shopify"), tmp_path / "a" / "orders.csv", tmp_path / "c", options)
    assert complete.written["refunds"] == 2


def test_an_export_of_today_does_not_cover_today(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    rows = [order("#1", 1, "9.00"), {**order("#2", 2, "9.00"), "Created at": f"{now:%Y-%m-%d %H:%M:%S} +0000"}]
    _, store = import_and_ingest("shopify", write_rows(tmp_path / "orders.csv", rows), tmp_path, seller_id="S7")
    assert store.covers_through["orders"] == now.date()


def test_an_unreadable_refund_is_rejected(tmp_path: Path) -> None:
    rows = [order("#1001", 1, "9.00"), order("#1002", 2, "9.00", Refunded_Amount="some")]
    report, _ = import_and_ingest("shopify", write_rows(tmp_path / "orders.csv", rows), tmp_path, seller_id="S7")
    (lines,) = report.sources
    assert lines.not_mapped == {"refunded_amount_unreadable": 1}
    assert lines.details == {"refunded_amount_unreadable": "Refunded Amount 'some' cannot be read"}


def test_orders_that_are_not_paid_or_have_wrong_amounts_are_reported(tmp_path: Path) -> None:
    rows = [order(f"#{n}", n, "9.00", Financial_Status=status) for n, status in enumerate(("pending", "authorized"), 1)]
    rows += [order("#3", 3, "9.00", Financial_Status="partially_paid"), order("#4", 4, "9.00", Financial_Status=None)]
    rows += [order("#5", 5, "9.00", Refunded_Amount="-1.00"), order("#6", 6, "9.00", Refunded_Amount="10.00")]
    rows += [
        order(f"#{n}", n, "9.00", Lineitem_quantity=text) for n, text in enumerate(("abc", "nan", "-1", "1e30"), 7)
    ]
    cancelled = {"Cancelled_at": "2024-03-12 08:00:00 -0500"}
    rows += [order("#11", 11, "9.00", Financial_Status="authorized", **cancelled)]
    rows += [order("#12", 12, "9.00", Financial_Status="pending", **cancelled)]
    rows += [order("#13", 13, "9.00", Financial_Status="expired")]
    export = write_rows(tmp_path / "orders.csv", rows)
    report, store = import_and_ingest("shopify", export, tmp_path, seller_id="S7", refund_days="0")
    (lines,) = report.sources
    assert lines.mapped == {"line_of_cancelled_order": 1, "line_of_order_with_refund_cut": 1}
    assert lines.not_mapped == {
        "cancelled_before_payment": 1,
        "financial_status_unknown": 1,
        "lineitem_quantity_unreadable": 4,
        "not_paid": 3,
        "partially_paid": 1,
        "refunded_amount_negative": 1,
    }
    cut = "Refunded Amount 10.00 exceeds the Total 9.00 and is cut to it"
    assert lines.details["line_of_order_with_refund_cut"] == cut
    assert lines.details["refunded_amount_negative"] == "Refunded Amount '-1.00' is below 0; write 0 or more"
    assert values(store, "refunds", "amount", "reason") == [(9.0, "cancel"), (9.0, "refund")]


def test_orders_of_overlapping_exports_count_once(tmp_path: Path) -> None:
    two_lines = [order("#1", 1, "9.00", Lineitem_quantity=2), row("#1", Email="ann@example.com")]
    filled_down = [order("#2", 2, "8.00"), order("#2", 2, "8.00")]
    first = [*two_lines, *filled_down, order("#3", 3, "soon"), order("#4", 4, "5.00")]
    again = [order("#4", 4, "5.00", Refunded_Amount="5.00"), *two_lines, order("#3", 3, "3.00"), *two_lines]
    write_rows(tmp_path / "e" / "orders_export.csv", first)
    write_rows(tmp_path / "e" / "orders_export_2.csv", again)
    report, store = import_and_ingest("shopify", tmp_path / "e", tmp_path, seller_id="S7")
    (lines,) = report.sources
    assert lines.mapped == {"line_of_order": 6}
    assert lines.not_mapped == {"repeated": 4, "repeated_differs": 1, "total_missing_or_unreadable": 1}
    shown = "Refunded Amount '5.00', not '0.00'; the first usable row is kept"
    assert lines.details["repeated_differs"] == shown
    assert values(store, "orders", "amount", "items") == [(9.0, 3), (8.0, 2), (3.0, 1), (5.0, 1)]


def test_a_missing_optional_column_is_reported_with_its_consequence(tmp_path: Path) -> None:
    rows = [{name: value for name, value in order("#1", 1, "9.00").items() if name != "Cancelled at"}]
    export = write_rows(tmp_path / "orders.csv", rows)
    report, _ = import_and_ingest("shopify", export, tmp_path, seller_id="S7")
    missing = "of cancelled orders, only voided ones are recognised; the others count as sales if they were paid"
    assert report.sources[0].missing_columns == {"Cancelled at": missing}
    assert f"column 'Cancelled at' is missing: {missing}" in str(report)


@pytest.mark.parametrize("days", ["abc", "-1", "366", "1.5", "99999999999999999999"])
def test_the_days_of_a_refund_are_limited(days: str, tmp_path: Path) -> None:
    with pytest.raises(MappingError, match=f"refund_days={days} is not allowed. Use a whole number of days from 0 to"):
        import_and_ingest("shopify", tmp_path, tmp_path, seller_id="S7", refund_days=days)
