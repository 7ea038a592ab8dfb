"""Amazon's report of all orders, and the refunds of its settlement reports."""

from datetime import datetime
from pathlib import Path

import pytest

from features.errors import MappingError
from tests.features.importers.exports import import_and_ingest, values, write_rows
from tests.features.ingest.build import Row

ITEM = """
amazon-order-id merchant-order-id purchase-date last-updated-date order-status fulfillment-channel sales-channel
order-channel url ship-service-level product-name sku asin item-status quantity currency item-price item-tax
shipping-price shipping-tax gift-wrap-price gift-wrap-tax item-promotion-discount ship-promotion-discount ship-city
ship-state ship-postal-code ship-country promotion-ids is-business-order purchase-order-number price-designation
""".split()  # noqa: SIM905 - a list of words reads best as words
SETTLEMENT = """
settlement-id settlement-start-date settlement-end-date deposit-date total-amount currency transaction-type order-id
merchant-order-id adjustment-id shipment-id marketplace-name amount-type amount-description amount fulfillment-id
posted-date posted-date-time order-item-code merchant-order-item-id merchant-adjustment-item-id sku quantity-purchased
promotion-id
""".split()  # noqa: SIM905


def item(number: str, price: object, **other: object) -> Row:
    row: Row = {**dict.fromkeys(ITEM), "amazon-order-id": number, "purchase-date": "2024-03-01T08:00:00+00:00"}
    row |= {"order-status": "Shipped", "sales-channel": "Amazon.com", "quantity": 1, "currency": "USD"}
    row |= {"item-price": price, "item-tax": "1.00", "ship-country": "US", "product-name": 'Screen 24" black'}
    return {**row, **{name.replace("_", "-"): value for name, value in other.items()}}


def flow(kind: str | None, amount: object, **other: object) -> Row:
    row: Row = {**dict.fromkeys(SETTLEMENT), "settlement-id": "9001", "transaction-type": kind, "amount": amount}
    row |= {"order-id": "111-1", "marketplace-name": "Amazon.com", "amount-type": "ItemPrice", "currency": "USD"}
    row |= {"amount-description": "Principal", "posted-date": "2024-03-09"}
    return {**row, **{name.replace("_", "-"): value for name, value in other.items()}}


ITEMS = [
    item("111-1", "20.00", shipping_price="4.00", item_promotion_discount="2.00", quantity=2),
    item("111-1", "5.00"),
    item("111-2", "30.00", sales_channel="Amazon.ca", ship_country="CA", purchase_date="2024-03-05T23:30:00-05:00"),
    item("111-3", None, order_status="Cancelled", quantity=0),
    item("111-4", "8.00", sales_channel="Non-Amazon US"),
    item("111-5", "much"),
]
FLOWS = [
    flow(None, None, total_amount="100.00"),
    flow("Order", "25.00"),
    flow("Refund", "-20.00", adjustment_id="ADJ1", posted_date_time="2024-03-09 11:12:13 UTC"),
    flow("Refund", "-1.00", adjustment_id="ADJ1", amount_description="Tax", posted_date_time="2024-03-09 11:12:13 UTC"),
    flow("Refund", "2.00", adjustment_id="ADJ1", amount_type="Promotion"),
    flow("Refund", "3.00", adjustment_id="ADJ1", amount_type="ItemFees", amount_description="RefundCommission"),
    flow("A-to-z Guarantee Refund", "-30.00", order_id="111-2", marketplace_name="Amazon.ca", posted_date="10.03.2024"),
    flow("Chargeback Refund", "-6.00", order_id="110-9", posted_date="soon"),
    flow("ServiceFee", "-9.99", amount_type="Cost of Advertising"),
]


def test_orders_and_settlements(tmp_path: Path) -> None:
    folder = tmp_path / "reports"
    write_rows(folder / "all-orders-march.txt", ITEMS, "\t")
    write_rows(folder / "settlement-9001.txt", FLOWS, "\t")
    # the tab-separated reports quote nothing, so a quotation mark is part of the text
    text = (folder / "all-orders-march.txt").read_text().replace('"Screen 24"" black"', 'Screen 24" black')
    (folder / "all-orders-march.txt").write_text(text)
    report, store = import_and_ingest("amazon", folder, tmp_path, seller_id="S9")
    items, settlements = report.sources
    assert items.mapped == {"item_of_order": 3}
    assert items.not_mapped == {"cancelled": 1, "not_sold_on_amazon": 1, "price_missing_or_unreadable": 1}
    assert settlements.mapped == {"part_of_refund": 4}
    assert settlements.not_mapped == {
        "fee_of_a_refund": 1,
        "fee_transfer_or_other": 1,
        "posted_date_unreadable": 1,
        "sale_or_fee_of_an_order": 1,
        "total_of_the_settlement": 1,
    }
    assert values(store, "orders", "order_id", "amount", "items", "store_id", "ordered_at") == [
        ("111-1", 29.0, 3, "S9-amazon.com", datetime(2024, 3, 1, 8)),  # noqa: DTZ001
        ("111-2", 31.0, 1, "S9-amazon.ca", datetime(2024, 3, 6, 4, 30)),  # noqa: DTZ001
    ]
    assert values(store, "stores", "marketplace") == ["amazon.ca", "amazon.com"]
    refunds = values(store, "refunds", "order_id", "amount", "reason", "store_id")
    assert sorted(refunds) == [("111-1", 19.0, "refund", "S9-amazon.com"), ("111-2", 30.0, "dispute", "S9-amazon.ca")]
    assert store.absent == {"buyer_ids"}


def test_items_in_two_currencies_and_impossible_amounts_are_not_mapped(tmp_path: Path) -> None:
    items = [item("111-1", "20.00"), item("111-1", "5.00", currency="EUR"), item("111-2", "30.00")]
    items += [
        item("111-2", "5.00", item_promotion_discount="9.00"),
        item("111-3", "5.00", item_promotion_discount="6.00"),
    ]
    items.append(item("111-9", "-1.00"))
    items += [item(f"111-{n}", "5.00", quantity=text) for n, text in enumerate(("nan", "1e30", "many", "-1"), 4)]
    report, store = import_and_ingest(
        "amazon", write_rows(tmp_path / "orders.txt", items, "\t"), tmp_path, seller_id="S9"
    )
    (reported,) = report.sources
    assert reported.mapped == {"item_of_order": 2}
    assert reported.not_mapped == {
        "price_negative": 1,
        "promotion_above_price": 1,
        "quantity_unreadable": 4,
        "several_currencies_in_one_order": 2,
    }
    assert reported.details == {
        "price_negative": "item-price '-1.00'; write 0 or more",
        "promotion_above_price": "item-price '5.00' with tax and shipping, less promotions, is -3.00",
        "quantity_unreadable": "quantity '-1' cannot be read; write a number of 0 or more",
        "several_currencies_in_one_order": "order 111-1 has items in EUR and USD",
    }
    assert values(store, "orders", "order_id", "amount") == [("111-2", 31.0), ("111-3", 0.0)]


def refund(**other: object) -> Row:
    return flow("Refund", "-20.00", adjustment_id="ADJ1", **other)


def test_lines_of_overlapping_reports_count_once(tmp_path: Path) -> None:
    folder = tmp_path / "reports"
    march = [item("111-1", "40.00", sku="A", item_tax=None)] * 2
    write_rows(folder / "orders1.txt", [*march, item("111-2", "7.00", sku="B", order_status="Pending")], "\t")
    write_rows(folder / "orders2.txt", [*march, item("111-2", "9.00", sku="B", item_tax=None)], "\t")
    write_rows(folder / "settlement1.txt", [refund(sku="A"), refund(sku="A")], "\t")
    write_rows(folder / "settlement2.txt", [refund(sku="A"), refund(sku="A", settlement_id="9002")], "\t")
    report, store = import_and_ingest("amazon", folder, tmp_path, seller_id="S9")
    items, settlements = report.sources
    assert (items.mapped, items.not_mapped) == ({"item_of_order": 3}, {"repeated": 2, "updated_in_another_line": 1})
    assert (settlements.mapped, settlements.not_mapped) == ({"part_of_refund": 3}, {"repeated": 1})
    assert values(store, "orders", "order_id", "amount") == [("111-1", 80.0), ("111-2", 9.0)]
    assert values(store, "refunds", "amount") == [60.0]


def test_without_settlements_refunds_are_unknown_and_an_item_with_an_id_counts_once(tmp_path: Path) -> None:
    line = {**item("111-1", "40.00", item_tax=None), "order-item-id": "7"}
    export = write_rows(tmp_path / "orders.txt", [line, line], "\t")
    report, store = import_and_ingest("amazon", export, tmp_path, seller_id="S9", since="2022-05-01")
    assert dict(report.written) == {"sellers": 1, "stores": 1, "orders": 1}
    assert not store.has("refunds")
    assert values(store, "orders", "amount") == [40.0]
    # the store began before the export
    began = [values(store, "stores", "opened_at"), values(store, "sellers", "onboarded_at")]
    assert began == [[datetime(2022, 5, 1)]] * 2  # noqa: DTZ001
    for since, message in (
        ("2024-03-02", r"since is '2024-03-02'. Set a day not after the first order \(2024-03-01\)"),
        ("May", "--set since=May is not allowed. Use a day from 1990-01-01 to tomorrow"),
        ("1800-01-01", "--set since=1800-01-01 is not allowed. Use a day from 1990-01-01 to tomorrow"),
    ):
        with pytest.raises(MappingError, match=message):
            import_and_ingest("amazon", export, tmp_path / since, seller_id="S9", since=since)


def test_separators_of_thousands_are_read_and_unreadable_amounts_are_rejected(tmp_path: Path) -> None:
    rows = [item("111-1", "2,500.00", item_promotion_discount="-1,000.00", item_tax=None)]
    rows.append(item("111-2", "9.00", shipping_price="4,5"))
    write_rows(tmp_path / "r" / "orders.txt", rows, "\t")
    write_rows(tmp_path / "r" / "settlement.txt", [refund(), {**refund(), "amount": "-1.000,00"}], "\t")
    report, store = import_and_ingest("amazon", tmp_path / "r", tmp_path, seller_id="S9")
    items, settlements = report.sources
    assert items.not_mapped == settlements.not_mapped == {"amount_unreadable": 1}
    assert items.details["amount_unreadable"].startswith("shipping-price '4,5' cannot be read")
    assert settlements.details["amount_unreadable"].startswith("amount '-1.000,00' cannot be read")
    assert values(store, "orders", "amount") == [1500.0]


def test_a_decimal_comma_is_read(tmp_path: Path) -> None:
    export = write_rows(tmp_path / "orders.txt", [item("111-1", "1.234,50", item_tax="2 000,5")], "\t")
    _, store = import_and_ingest("amazon", export, tmp_path, seller_id="S9", decimal=",")
    assert values(store, "orders", "amount") == [3235.0]


@pytest.mark.parametrize(
    ("days", "settings", "expected"),
    [
        (["03/04/2024", "03/25/2024"], {}, ["2024-03-04", "2024-03-25"]),
        (["03/04/24", "25/03/24"], {}, ["2024-03-25", "2024-04-03"]),
        (["03/04/2024", "2024-03-25"], {"date_format": "%m/%d/%Y"}, ["2024-03-04", "2024-03-25"]),
    ],
)
def test_dates_of_a_settlement_have_one_format(
    days: list[str], settings: dict[str, str], expected: list[str], tmp_path: Path
) -> None:
    flows = [refund(posted_date=day, order_id=f"111-{day}") | {"adjustment-id": day} for day in days]
    write_rows(tmp_path / "r" / "orders.txt", [item("111-1", "90.00")], "\t")
    write_rows(tmp_path / "r" / "settlement.txt", flows, "\t")
    _, store = import_and_ingest("amazon", tmp_path / "r", tmp_path, None, seller_id="S9", **settings)
    assert sorted(str(at)[:10] for at in values(store, "refunds", "refunded_at")) == expected


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (["03/04/2024"], "posted-date '03/04/2024' of settlement.txt may begin with the day or the month. Set"),
        (["25/03/2024", "03/25/2024"], "begins with the day in '25/03/2024' but with the month in '03/25/2024'. Set"),
    ],
)
def test_an_unclear_order_of_dates_is_rejected(days: list[str], words: str, tmp_path: Path) -> None:
    write_rows(tmp_path / "r" / "orders.txt", [item("111-1", "90.00")], "\t")
    write_rows(tmp_path / "r" / "settlement.txt", [refund(posted_date=day) for day in days], "\t")
    with pytest.raises(MappingError) as error:
        import_and_ingest("amazon", tmp_path / "r", tmp_path, seller_id="S9")
    assert words in str(error.value)
