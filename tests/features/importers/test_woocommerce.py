"""The CSV of WooCommerce's Order Export & Order Import becomes orders, cancellations and refunds."""

from datetime import datetime
from pathlib import Path

import pytest

from features.errors import MappingError
from features.ingest import OperatingStore
from tests.features.importers.exports import import_and_ingest, values, write_rows
from tests.features.ingest.build import Row, accepted

COLUMNS = """
order_id order_number order_date paid_date status shipping_total shipping_tax_total fee_total fee_tax_total tax_total
cart_discount order_discount discount_total order_total order_subtotal order_currency payment_method
payment_method_title transaction_id customer_ip_address customer_user_agent shipping_method customer_id customer_user
customer_email billing_first_name billing_last_name billing_company billing_email billing_phone billing_address_1
billing_address_2 billing_postcode billing_city billing_state billing_country shipping_first_name shipping_last_name
shipping_company shipping_phone shipping_address_1 shipping_address_2 shipping_postcode shipping_city shipping_state
shipping_country customer_note wt_import_key shipping_items fee_items tax_items coupon_items refund_items order_notes
download_permissions line_item_1 line_item_2 line_item_3
""".split()  # noqa: SIM905 - a list of words reads best as words


def order(number: int, **other: object) -> Row:
    day = f"2024-05-{number:02} 10:00:00"
    row: Row = {**dict.fromkeys(COLUMNS), "order_id": number, "order_date": day, "paid_date": day}
    row |= {"status": "completed", "order_total": "50.00", "order_currency": "EUR", "billing_email": "Bo@example.com"}
    row |= {"billing_country": "DE", "line_item_1": "name:Mug|product_id:8|sku:M-1|quantity:2|total:40.00"}
    return {**row, **other}


ROWS = [
    order(1, line_item_2="name:quantity: tea|product_id:9|sku:T|quantity:1|total:10.00"),
    order(2, order_date="05/02/2024 18:30:00", customer_email="bo@example.com", billing_email="other@example.com"),
    order(3, refund_items="amount:10.00|reason:too small|date:2024-05-20 12:00:00;amount:5.00|reason:|date:"),
    order(4, status="wc-refunded"),
    order(5, status="cancelled"),
    order(6, status="cancelled", paid_date=None),
    order(7, status="pending", paid_date=None),
    order(8, order_total="free"),
    order(1, status="completed"),
    order(28, billing_email=None, shipping_country="AT"),
    order(9, status="annulé", paid_date=None),
    order(12, status="shipped", order_date="2024-05-06 10:00:00"),
    order(10, order_date="13.04.2024 10:00:00"),
    order(11, order_date="05/13/2024 10:00:00", status="failed"),
]


def test_an_order_export(tmp_path: Path) -> None:
    export = write_rows(tmp_path / "order_export_2024.csv", ROWS)
    report, store = import_and_ingest("woocommerce", export, tmp_path, usd_per_unit=1.08, seller_id="S8", country="DE")
    (source,) = report.sources
    assert source.mapped == {"order": 5, "cancelled_order": 1, "order_of_unknown_status": 1}
    unknown = "status 'shipped' is not one of WooCommerce, but the order has a paid_date"
    assert source.details["order_of_unknown_status"] == unknown
    paid = ("cancelled_before_payment", "not_paid", "status_unknown")
    reasons = (*paid, "order_date_unreadable", "order_total_unreadable", "repeated_differs")
    assert source.not_mapped == {**dict.fromkeys(reasons, 1), "not_paid": 2}
    assert source.details["order_date_unreadable"].startswith("order_date '13.04.2024 10:00:00' cannot be read; ")
    orders = {str(row["order_id"]).removeprefix("S8-woocommerce:"): row for row in accepted(store, "orders")}
    assert (orders["1"]["items"], orders["1"]["amount_micros"]) == (3, 54_000_000)
    assert orders["2"]["ordered_at"] == datetime(2024, 5, 2, 18, 30)  # noqa: DTZ001
    assert orders["2"]["buyer_id"] == orders["1"]["buyer_id"]
    assert (orders["28"]["buyer_id"], orders["28"]["buyer_country"]) == (None, "AT")
    assert refunds_of(store) == {
        "3-refund-1": (10.0, "refund", "2024-05-20"),
        "3-refund-2": (5.0, "refund", "2024-05-17"),
        "4-refund": (50.0, "refund", "2024-05-18"),
        "5-cancel": (50.0, "cancel", "2024-05-05"),
    }


def refunds_of(store: OperatingStore) -> dict[str, tuple[float, str, str]]:
    rows = values(store, "refunds", "refund_id", "amount", "reason", "refunded_at")
    return {name.removeprefix("S8-woocommerce:"): (amount, why, str(at)[:10]) for name, amount, why, at in rows}


def test_refunds_are_read_in_all_formats(tmp_path: Path) -> None:
    late = "amount:5.00|reason:late; date: x|date:2024-05-21 12:00; amount:-1|date:2024-05-22 12:00:00;"
    rows = [
        order(1, order_total="2,000.00", refund_items="amount:1,234.50|reason:broken|date:2024-05-20 12:00:00"),
        order(2, refund_items=late),
        order(3, order_total="900.00", status="refunded", refund_items="amount:€500.00|reason:|date:"),
        order(4, status="refunded", refund_items="reason:a;b|amount:4 €;reason:c|amount:3"),
        order(5, status="refunded", refund_items="amount:1,5|reason:|date:"),
        order(6, refund_items="amount:5|date:in May"),
        order(7, refund_items="given back"),
        order(28),
    ]
    export = write_rows(tmp_path / "orders.csv", rows)
    report, store = import_and_ingest("woocommerce", export, tmp_path, usd_per_unit=1, seller_id="S8")
    (source,) = report.sources
    assert source.not_mapped == {"refund_amount_unreadable": 2, "refund_date_unreadable": 1}
    assert source.details == {
        "refund_amount_unreadable": "amount '1,5' in refund_items cannot be read",
        "refund_date_unreadable": "date 'in May' in refund_items cannot be read",
    }
    assert {name: (amount, day) for name, (amount, _, day) in refunds_of(store).items()} == {
        "1-refund-1": (1234.5, "2024-05-20"),
        "2-refund-1": (5.0, "2024-05-21"),
        "2-refund-2": (1.0, "2024-05-22"),
        "3-refund-1": (500.0, "2024-05-17"),
        "4-refund-1": (4.0, "2024-05-18"),
        "4-refund-2": (3.0, "2024-05-18"),
    }


def test_an_order_on_hold_counts_once_it_is_paid(tmp_path: Path) -> None:
    rows = [order(1, status="on-hold"), order(2, status="on-hold", paid_date=None), order(2)]
    export = write_rows(tmp_path / "orders.csv", [*rows, order(3, status="wc-on-hold", paid_date="soon")])
    settings = {"seller_id": "S8", "since": "2020-01-01"}
    report, store = import_and_ingest("woocommerce", export, tmp_path, usd_per_unit=1, **settings)
    (source,) = report.sources
    assert source.mapped == {"order": 2}
    assert source.not_mapped == {"on_hold_before_payment": 1, "paid_date_unreadable": 1}
    assert values(store, "stores", "opened_at") == [datetime(2020, 1, 1)]  # noqa: DTZ001


def test_rows_of_one_order_that_differ_and_refunds_above_the_order_are_reported(tmp_path: Path) -> None:
    refunds = "amount:{}|date:2024-05-20 12:00:00;amount:{}|date:2024-05-21 12:00:00"
    rows = [
        order(1, refund_items=refunds.format(30, 30)),
        order(2, refund_items=refunds.format(20, 30)),
        order(1, refund_items=refunds.format(30, 30)),
        order(2, order_total="70.00", billing_email="other@example.com"),
        order(3, order_total="free"),
        order(3, refund_items="amount:80"),
        order(28),
    ]
    report, store = import_and_ingest(
        "woocommerce", write_rows(tmp_path / "orders.csv", rows), tmp_path, 1, seller_id="S8"
    )
    (source,) = report.sources
    assert source.mapped == {"order": 2, "order_with_refunds_cut": 2}
    assert source.not_mapped == {"order_total_unreadable": 1, "repeated": 1, "repeated_differs": 1}
    assert source.details["order_with_refunds_cut"] == "refunds of 60.00 exceed the total 50.00 and are cut to it"
    assert source.details["repeated_differs"].startswith("order_total '70.00', not '50.00', refund_items")
    assert source.details["repeated_differs"].endswith("another email address; the first usable row is kept")
    assert values(store, "orders", "amount") == [50.0] * 4
    assert {name: amount for name, (amount, _, _) in refunds_of(store).items()} == {
        "1-refund-1": 30.0,
        "1-refund-2": 20.0,
        "2-refund-1": 20.0,
        "2-refund-2": 30.0,
        "3-refund-1": 50.0,
    }


@pytest.mark.parametrize(
    ("dates", "words"),
    [
        (["13/04/2024 10:00:00"], "order_date '13/04/2024 10:00:00' of orders.csv begins with the day. Set"),
        (["03/04/2024 10:00:00"], "of orders.csv may begin with the day or the month, as all dates of the file. Set"),
        (
            ["4/13/2024 10:00:00", "13/04/2024 10:00:00"],
            "the day, but order_date '4/13/2024 10:00:00' with the month. Set",
        ),
    ],
)
def test_dates_that_may_begin_with_the_day_need_a_format(dates: list[str], words: str, tmp_path: Path) -> None:
    rows = [order(number, order_date=date, paid_date=None) for number, date in enumerate(dates, 1)]
    export = write_rows(tmp_path / "orders.csv", rows)
    with pytest.raises(MappingError) as error:
        import_and_ingest("woocommerce", export, tmp_path, usd_per_unit=1, seller_id="S8")
    assert words in str(error.value)
    assert '--set date_format="%d/%m/%Y %H:%M:%S" or "%m/%d/%Y %H:%M:%S"' in str(error.value)
    settings = {"seller_id": "S8", "date_format": "%d/%m/%Y %H:%M:%S"}
    _, store = import_and_ingest("woocommerce", export, tmp_path, usd_per_unit=1, **settings)
    assert {str(at)[5:10] for at in values(store, "orders", "ordered_at")} <= {"04-13", "04-03"}


def test_a_refund_without_a_date_comes_with_a_later_export(tmp_path: Path) -> None:
    rows = [order(1, status="refunded"), order(12, status="refunded"), order(13, refund_items="amount:4|reason:|date:")]
    mapped = []
    for name, last in (("a", 20), ("b", 28)):
        export = write_rows(tmp_path / name / "orders.csv", [*rows, order(last)])
        report, store = import_and_ingest("woocommerce", export, tmp_path, usd_per_unit=1, seller_id="S8")
        (tmp_path / "d").rename(tmp_path / name / "d")
        mapped.append(dict(report.sources[0].mapped))
    assert mapped == [{"order": 2, "order_refunded_later": 2}, {"order": 4}]
    assert {name: day for name, (_, _, day) in refunds_of(store).items()} == {
        "1-refund": "2024-05-15",
        "12-refund": "2024-05-26",
        "13-refund-1": "2024-05-27",
    }
