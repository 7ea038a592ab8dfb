"""The Olist mapping: nine tables, and one order per seller of a joint order."""

from datetime import date
from pathlib import Path

from features.importers import ImportReport
from features.ingest import OperatingStore
from tests.features.importers.exports import find_report, import_and_ingest, values, write_rows
from tests.features.ingest.build import Row, accepted


def order(number: str, status: str = "delivered", day: int = 1) -> Row:
    row: Row = {"order_id": number, "customer_id": f"c-{number}", "order_status": status}
    row |= {"order_purchase_timestamp": f"2018-01-{day:02} 10:00:00", "order_approved_at": f"2018-01-{day:02} 11:00:00"}
    carrier, customer = f"2018-01-{day + 1:02} 09:00:00", f"2018-01-{day + 6:02} 18:00:00"
    delivered = status == "delivered"
    row |= {"order_delivered_carrier_date": carrier if delivered else None}
    row |= {"order_delivered_customer_date": customer if delivered else None}
    return {**row, "order_estimated_delivery_date": "2018-02-20 00:00:00"}


def item(number: str, seller: str, price: str, place: int = 1, product: str = "p1") -> Row:
    row: Row = {"order_id": number, "order_item_id": place, "product_id": product, "seller_id": seller}
    return {**row, "shipping_limit_date": "2018-01-05 00:00:00", "price": price, "freight_value": "10.00"}


def review(number: str, score: object, answered: str = "2018-01-12 08:00:00") -> Row:
    row: Row = {"review_id": f"r-{number}", "order_id": number, "review_score": score, "review_comment_title": None}
    row |= {"review_comment_message": 'Good, "quick"\nand neat', "review_creation_date": "2018-01-10 00:00:00"}
    return {**row, "review_answer_timestamp": answered}


def olist(folder: Path) -> Path:
    def table(name: str, rows: list[Row]) -> None:
        write_rows(folder / f"{name}.csv", rows)

    orders = [order("o1"), order("o2", day=2), order("o3", "canceled", 3), order("o4", "unavailable", 4)]
    table("olist_orders_dataset", orders)
    items = [item("o1", "A", "50.00"), item("o1", "A", "50.00", 2), item("o1", "B", "7.50", 3, "p2")]
    items += [item("o2", "A", "20.00"), item("o3", "B", "30.00"), item("o9", "A", "1.00"), item("o2", "X", "1.00")]
    table("olist_order_items_dataset", items)
    customers = [{"customer_id": f"c-o{n}", "customer_unique_id": "u1" if n < 3 else f"u{n}"} for n in range(1, 5)]
    table("olist_customers_dataset", [{**each, "customer_zip_code_prefix": "01000"} for each in customers])
    table("olist_sellers_dataset", [{"seller_id": each, "seller_state": "SP"} for each in "ABC"])
    table("olist_order_reviews_dataset", [review("o1", 5), review("o2", 4), review("o4", 1), review("o2", 9)])
    products = [
        {"product_id": "p1", "product_category_name": "brinquedos"},
        {"product_id": "p2", "product_category_name": None},
    ]
    table("olist_products_dataset", products)
    english = {"product_category_name": "brinquedos", "product_category_name_english": "toys"}
    table("product_category_name_translation", [english])
    table("olist_order_payments_dataset", [{"order_id": "o1", "payment_sequential": 1, "payment_value": "137.50"}])
    table("olist_geolocation_dataset", [{"geolocation_zip_code_prefix": "01000", "geolocation_lat": "-23.5"}])
    return folder


def import_olist(folder: Path, **changed: list[Row]) -> tuple[ImportReport, OperatingStore]:
    """Import the nine tables with the content of some of them changed."""
    source = olist(folder / "o")
    for name, rows in changed.items():
        (path,) = source.glob(f"olist_{name}_dataset.csv")
        write_rows(path, rows)
    return import_and_ingest("olist", source, folder, usd_per_unit=0.3)


def test_the_nine_tables(tmp_path: Path) -> None:
    report, store = import_olist(tmp_path)
    accounts = {each.source: (dict(each.mapped), dict(each.not_mapped)) for each in report.sources}
    assert accounts == {
        "orders": ({"order": 2, "cancelled_order": 1}, {"no_items": 1}),
        "items": ({"item_of_order": 5}, {"order_unknown": 1, "seller_unknown": 1}),
        "customers": ({"buyer": 3}, {"no_orders": 1}),
        "sellers": ({"seller": 2}, {"no_orders": 1}),
        "reviews": ({"rating": 2}, {"order_unknown_or_without_items": 1, "score_not_from_1_to_5": 1}),
        "products": ({"category": 2}, {}),
        "translation": ({"category": 1}, {}),
        "order_payments": ({}, {"amounts_are_those_of_items": 1}),
        "geolocation": ({}, {"no_place_in_the_contract": 1}),
    }
    orders = [("o1-A", 120.0, "u1", 2), ("o1-B", 17.5, "u1", 1), ("o2-A", 30.0, "u1", 1), ("o3-B", 40.0, "u3", 1)]
    assert values(store, "orders", "order_id", "amount", "buyer_id", "items") == orders
    (cancelled,) = accepted(store, "refunds")
    assert (cancelled["order_id"], cancelled["amount"], cancelled["reason"]) == ("o3-B", 40.0, "cancel")
    assert str(cancelled["refunded_at"]) == "2018-01-03 11:00:00"
    assert len(accepted(store, "fulfilments")) == 6
    assert sorted(values(store, "ratings", "store_id", "day", "ratings", "stars")) == [
        ("A-1", date(2018, 1, 12), 2, 4.5),
        ("B-1", date(2018, 1, 12), 1, 5.0),
    ]
    assert values(store, "sellers", "category") == ["toys", "unknown"]


def test_reviews_and_products_are_optional(tmp_path: Path) -> None:
    folder = olist(tmp_path / "o")
    for name in ("order_reviews", "products"):
        (folder / f"olist_{name}_dataset.csv").unlink()
    report, store = import_and_ingest("olist", folder, tmp_path, usd_per_unit=0.3)
    assert "ratings" not in report.written
    assert store.rows("orders") == 4


def test_unusable_rows_are_not_mapped_and_have_a_reason(tmp_path: Path) -> None:
    orders = [order(f"o{n}") for n in (1, 2, 5, 6, 7)] + [order("o3", "paid"), order("o4", "returned")]
    orders[2]["order_purchase_timestamp"] = "31/01/2018 10:00"
    orders[3]["order_delivered_customer_date"] = "soon"
    orders.append({**order("o8"), "order_purchase_timestamp": None})
    items = [item("o1", "A", "50.00"), item("o1", "A", "-20.00", 2), item("o7", "A", "-1.00"), item("o9", "A", "1.00")]
    items += [item(f"o{n}", "A", "10.00") for n in (3, 4, 5, 6, 8)]
    items += [{**item("o2", "A", "1.00", n), "freight_value": value} for n, value in enumerate(("-3", "free"))]
    items += [item("o2", "A", "2.00", 3), item("o2", "A", "1,50", 4), {**item("o2", "A", "1", 5), "price": None}]
    items += [{**item("o2", "A", "1", 6), "freight_value": None}, {**item("o2", "A", "1"), "order_item_id": None}]
    reviews = [review("o1", 5), review("o2", 4, "12/31/2018"), {**review("o1", 5), "review_id": None}, review("o2", 0)]
    report, store = import_olist(tmp_path, orders=orders, order_items=items, order_reviews=reviews)
    assert values(store, "orders", "order_id", "amount") == [("o1-A", 60.0), ("o2-A", 12.0)]
    by_source = {each.source: each for each in report.sources}
    assert dict(by_source["orders"].not_mapped) == {
        "date_unreadable": 2,
        "no_item_mapped": 1,
        "order_purchase_timestamp_missing": 1,
        "order_status_unknown": 2,
    }
    assert by_source["orders"].details == {
        "date_unreadable": "order_delivered_customer_date 'soon' cannot be read; write dates as 2018-01-31 10:00:00",
        "order_status_unknown": "order_status 'paid' is not one of created, approved, invoiced, processing, shipped, "
        "delivered, canceled, unavailable",
    }
    assert dict(by_source["items"].not_mapped) == {
        "freight_value_missing": 1,
        "freight_value_negative": 1,
        "freight_value_unreadable": 1,
        "order_item_id_missing": 1,
        "order_not_mapped": 5,
        "order_unknown": 1,
        "price_missing": 1,
        "price_negative": 2,
        "price_unreadable": 1,
    }
    details = by_source["items"].details
    assert details["price_negative"] == "price '-1.00'; write a number such as 29.90, not below 0"
    assert details["freight_value_missing"] == "freight_value ''; write a number such as 29.90, not below 0"
    assert details["price_unreadable"].startswith("price '1,50'; ")
    rejected = {"date_unreadable": 1, "review_id_missing": 1, "score_not_from_1_to_5": 1}
    assert (by_source["reviews"].mapped, by_source["reviews"].not_mapped) == ({"rating": 1}, rejected)
    assert "1 date_unreadable (review_answer_timestamp '12/31/2018' cannot be read; " in str(by_source["reviews"])
    assert by_source["reviews"].details["score_not_from_1_to_5"] == "review_score '0'"
    assert set(values(store, "ratings", "stars")) == {5.0}


def test_identical_rows_are_counted_once(tmp_path: Path) -> None:
    orders = [order("o1"), order("o1"), order("o2", day=2)]
    items = [item("o1", "A", "50.00"), item("o1", "A", "50.00", 2), item("o1", "A", "50.0"), item("o2", "A", "20.00")]
    reviews = [review("o1", 5), review("o1", 5), review("o2", 2), {**review("o2", 2), "review_id": "r-o1"}]
    payments = [{"order_id": "o1", "payment_sequential": n, "payment_value": "60.00"} for n in (1, 2, 1)]
    customers = [{"customer_id": f"c-o{n}", "customer_unique_id": f"u{n}"} for n in (1, 2, 1)]
    changed = {"orders": orders, "order_items": items, "order_reviews": reviews, "customers": customers}
    report, store = import_olist(tmp_path, **changed, order_payments=payments)
    assert {each.source: (dict(each.mapped), dict(each.not_mapped)) for each in report.sources[:5]} == {
        "orders": ({"order": 2}, {"repeated": 1}),
        "items": ({"item_of_order": 3}, {"repeated": 1}),
        "customers": ({"buyer": 2}, {"repeated": 1}),
        "sellers": ({"seller": 1}, {"no_orders": 2}),
        "reviews": ({"rating": 3}, {"repeated": 1}),
    }
    assert find_report(report, "order_payments").not_mapped == {"amounts_are_those_of_items": 2, "repeated": 1}
    assert values(store, "orders", "order_id", "amount", "items") == [("o1-A", 120.0, 2), ("o2-A", 30.0, 1)]
    assert values(store, "ratings", "ratings", "stars") == [(3, 3.0)]


def test_the_first_usable_row_of_a_key_is_mapped(tmp_path: Path) -> None:
    orders = [order("o1", "paid"), order("o1"), order("o1", "canceled"), order("o2", "shipped", 2)]
    orders += [order("o2", "approved", 2), order("o2", "approved", 2)]
    items = [item("o1", "A", "-1.00"), item("o1", "A", "50.00"), item("o1", "B", "70.00"), item("o2", "A", "20.00")]
    payments = [{"order_id": "o1", "payment_sequential": 1, "payment_value": f"{n}.00"} for n in (6, 7)]
    customers = [{"customer_id": "c-o1", "customer_unique_id": buyer} for buyer in ("u9", "u1")]
    changed = {"orders": orders, "order_items": items, "order_payments": payments, "customers": customers}
    report, store = import_olist(tmp_path, **changed, order_reviews=[review("o1", 5), review("o1", 1)])
    sources = ("orders", "items", "customers", "reviews", "order_payments")
    assert {source: dict(find_report(report, source).not_mapped) for source in sources} == {
        "orders": {"order_status_unknown": 1, "repeated_differs": 3},
        "items": {"price_negative": 1, "repeated_differs": 1},
        "customers": {"repeated_differs": 1},
        "reviews": {"repeated_differs": 1},
        "order_payments": {"amounts_are_those_of_items": 1, "repeated_differs": 1},
    }
    shown = {source: find_report(report, source).details["repeated_differs"] for source in sources}
    assert shown["orders"] == "order_status 'approved', not 'shipped'; the first usable row is kept"
    assert shown["items"] == ("price '70.00', not '50.00', seller_id 'B', not 'A'; the first usable row is kept")
    assert shown["customers"] == "another customer_unique_id; the first usable row is kept"
    assert shown["reviews"].startswith("review_score '1.0', not '5.0'")
    assert shown["order_payments"].startswith("payment_value '7.00', not '6.00'")
    orders_kept = [("o1-A", 60.0, "u9"), ("o2-A", 30.0, None)]
    assert values(store, "orders", "order_id", "amount", "buyer_id") == orders_kept
    assert report.written["refunds"] == 0, "only a later row of o1 is canceled"


def test_an_unreadable_date_of_a_review_has_a_reason_with_the_value(tmp_path: Path) -> None:
    wrong = {"review_answer_timestamp": "infinity", "review_creation_date": "yesterday"}
    reviews = [review("o1", 5), *({**review(f"o{n}", 4), name: wrong[name]} for n, name in enumerate(sorted(wrong), 2))]
    report, _ = import_olist(tmp_path, order_reviews=reviews)
    counts = find_report(report, "reviews")
    assert (counts.mapped, counts.not_mapped) == ({"rating": 1}, {"date_unreadable": 2})
    messages = [f"{name} '{text}' cannot be read; write dates as 2018-01-31 10:00:00" for name, text in wrong.items()]
    assert counts.details["date_unreadable"] in messages


def test_a_date_before_the_purchase_is_left_empty_and_counted(tmp_path: Path) -> None:
    early = "2016-01-01 00:00:00"
    orders = [
        {**order("o1"), "order_delivered_customer_date": early},
        {**order("o2", day=2), "order_delivered_carrier_date": early},
        {**order("o3", "canceled", 3), "order_delivered_carrier_date": early},
        order("o4", day=4),
    ]
    items = [item(f"o{n}", "A", "10.00") for n in range(1, 5)]
    report, store = import_olist(tmp_path, orders=orders, order_items=items)
    reported = find_report(report, "orders")
    assert reported.mapped == {"cancelled_order_with_date_left_empty": 1, "order": 1, "order_with_date_left_empty": 2}
    detail = "order_delivered_carrier_date '{}' is before order_purchase_timestamp '{}' and left empty"
    shown = reported.details["cancelled_order_with_date_left_empty"]
    assert shown == detail.format(early, "2018-01-03 10:00:00")
    assert "2 order_with_date_left_empty (order_delivered_c" in str(reported)
    events = sorted(values(store, "fulfilments", "order_id", "event"))
    assert events == [("o1-A", "shipped"), ("o2-A", "delivered"), ("o4-A", "delivered"), ("o4-A", "shipped")]
    (cancelled,) = accepted(store, "refunds")
    assert str(cancelled["refunded_at"]) == "2018-01-03 11:00:00"


def test_an_order_of_an_unknown_customer_is_kept_without_a_buyer_and_counted(tmp_path: Path) -> None:
    orders = [order("o1"), order("o2", day=2), order("o3", "canceled", 3), {**order("o4", day=4), "customer_id": None}]
    items = [item(f"o{n}", "A", "10.00") for n in range(1, 5)]
    customers = [
        {"customer_id": f"c-o{n}", "customer_unique_id": buyer} for n, buyer in ((1, None), (1, "u1"), (2, None))
    ]
    report, store = import_olist(tmp_path, orders=orders, order_items=items, customers=customers)
    reported = find_report(report, "orders")
    assert reported.mapped == {"cancelled_order_without_known_buyer": 1, "order": 1, "order_without_known_buyer": 2}
    detail = "order 'o2' has a customer_id that the table of customers lacks"
    assert reported.details["order_without_known_buyer"] == detail
    counts = find_report(report, "customers")
    assert (counts.mapped, counts.not_mapped) == ({"buyer": 1}, {"customer_unique_id_missing": 2})
    buyers = [("o1-A", "u1"), ("o2-A", None), ("o3-A", None), ("o4-A", None)]
    assert values(store, "orders", "order_id", "buyer_id") == buyers
