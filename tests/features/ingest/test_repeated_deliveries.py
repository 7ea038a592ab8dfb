"""A repeated delivery changes nothing, except that waiting rows are accepted once the missing rows have arrived."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from features.errors import DeliveryError
from features.ingest import ingest, open_store
from tests.features.ingest.build import (
    AT,
    CNY,
    Row,
    accepted,
    order,
    quarantined,
    store,
    write,
    write_orders,
    write_some,
)


@pytest.mark.slow
def test_waiting_rows_are_accepted_once_the_missing_rows_have_arrived(begun: Path, tmp_path: Path) -> None:
    rows = [order("O1"), order("O2", currency="CNY"), order("O3", amount=-1.0), order("O4", store_id="T2")]
    # an older rate is used only once the rates of its day are complete
    rates = [{**CNY, "currency": "EUR"}, {**CNY, "day": AT.date() - timedelta(days=1), "usd_per_unit": 0.5}]
    waiting = write_orders(tmp_path / "w", *rows, order("O5", currency="EUR"), fx_rates=rates)
    first = ingest(waiting, begun)
    assert first.table("orders").quarantined == {"rate_unknown": 1, "amount_negative": 1, "store_unknown": 1}
    assert ingest(waiting, begun) == first.as_repeated(), "no new delivery"
    ingest(write_some(tmp_path / "r", fx_rates=[CNY], stores=[store("T2")]), begun)
    again = ingest(waiting, begun)
    orders = again.table("orders")
    assert (orders.accepted, orders.duplicates, orders.quarantined) == (2, 2, {"amount_negative": 1})
    assert not again.already_ingested
    assert [row["order_id"] for row in quarantined(begun, again.delivery_id, "orders")] == ["O3"]
    micros = {row["order_id"]: row["amount_micros"] for row in accepted(open_store(begun), "orders")}
    assert micros == {"O0": 12_500_000, "O1": 12_500_000, "O2": 1_812_500, "O4": 12_500_000, "O5": 1_812_500}
    before = open_store(begun)
    assert ingest(waiting, begun) == again.as_repeated()
    assert open_store(begun) == before


def test_new_deliveries_without_the_missing_rows_change_nothing(begun: Path, tmp_path: Path) -> None:
    waiting = write_some(tmp_path / "w", stores=[store("T2", seller_id="S9")])
    first = ingest(waiting, begun)
    assert first.table("stores").quarantined == {"seller_unknown": 1}
    ingest(write_some(tmp_path / "other", stores=[store("T3")]), begun)
    before = open_store(begun)
    assert ingest(waiting, begun) == first.as_repeated()
    assert open_store(begun) == before
    assert len(list((begun / "deliveries").iterdir())) == len(before.deliveries)


def test_a_required_table_without_accepted_rows_need_not_be_repeated(tmp_path: Path) -> None:
    rates: dict[str, list[Row]] = {"sellers": [], "stores": [], "orders": [], "fx_rates": [CNY]}
    with pytest.raises(DeliveryError, match="none were delivered before"):
        ingest(write(tmp_path / "early", None, **rates), tmp_path / "s")
    ingest(write(tmp_path / "w", orders=[order(currency="CNY")]), tmp_path / "s")
    assert open_store(tmp_path / "s").rows("orders") == 0
    assert ingest(write(tmp_path / "r", None, **rates), tmp_path / "s").table("fx_rates").accepted == 1


def test_a_row_known_after_tomorrow_does_not_extend_coverage(begun: Path, tmp_path: Path) -> None:
    now = datetime.fromisoformat("2024-06-01T08:00:00+08:00")
    tomorrow = datetime(2024, 6, 2)  # noqa: DTZ001 - the contract's times are UTC without a zone
    rows = [store("T2", known_at=tomorrow), store("T3", known_at=tomorrow + timedelta(microseconds=1))]
    report = ingest(write_some(tmp_path / "d", stores=rows), begun, now=now)
    assert report.table("stores").quarantined == {"known_at_in_future": 1}
    assert open_store(begun).covers_through["stores"] == tomorrow.date()
    # by default, the time of the ingest is the current time
    report = ingest(write_some(tmp_path / "e", stores=[store("T4", known_at=datetime(2099, 1, 1))]), begun)  # noqa: DTZ001
    assert report.table("stores").quarantined == {"known_at_in_future": 1}
