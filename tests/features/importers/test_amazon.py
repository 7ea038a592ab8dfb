"""Amazon's report of all orders, and the refunds of its settlement reports."""

from datetime import datetime
from pathlib import Path

from tests.features.importers.exports import imported, write_rows
from tests.features.intake.build import Row, accepted

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


def item(number: str, price: object, **values: object) -> Row:
    row: Row = {**dict.fromkeys(ITEM), "amazon-order-id": number, "purchase-date": "2024-03-01T08:00:00+00:00"}
    row |= {"order-status": "Shipped", "sales-channel": "Amazon.com", "quantity": 1, "currency": "USD"}
    row |= {"item-price": price, "item-tax": "1.00", "ship-country": "US", "product-name": 'Screen 24" black'}
    return {**row, **{name.replace("_", "-"): value for name, value in values.items()}}


def flow(kind: str | None, amount: object, **values: object) -> Row:
    row: Row = {**dict.fromkeys(SETTLEMENT), "settlement-id": "9001", "transaction-type": kind, "amount": amount}
    row |= {"order-id": "111-1", "marketplace-name": "Amazon.com", "amount-type": "ItemPrice", "currency": "USD"}
    row |= {"amount-description": "Principal", "posted-date": "2024-03-09"}
    return {**row, **{name.replace("_", "-"): value for name, value in values.items()}}


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
    report, store = imported("amazon", folder, tmp_path, seller_id="S9")
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
    orders = {row["order_id"]: row for row in accepted(store, "orders")}
    assert (orders["111-1"]["amount"], orders["111-1"]["items"], orders["111-1"]["store_id"]) == (
        29.0,
        3,
        "S9-amazon.com",
    )
    assert orders["111-2"]["ordered_at"] == datetime(2024, 3, 6, 4, 30)  # noqa: DTZ001
    assert [row["marketplace"] for row in accepted(store, "stores")] == ["amazon.ca", "amazon.com"]
    refunds = {row["order_id"]: (row["amount"], row["reason"], row["store_id"]) for row in accepted(store, "refunds")}
    assert refunds == {"111-1": (19.0, "refund", "S9-amazon.com"), "111-2": (30.0, "dispute", "S9-amazon.ca")}
    assert store.absent == {"buyer_ids"}


def test_without_settlements_refunds_are_unknown(tmp_path: Path) -> None:
    report, store = imported("amazon", write_rows(tmp_path / "o.txt", ITEMS, "\t"), tmp_path, seller_id="S9")
    assert dict(report.written) == {"sellers": 1, "stores": 2, "orders": 2}
    assert not store.has("refunds")
