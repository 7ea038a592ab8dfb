"""What is known or happens after T never changes a frame as of T, to the byte and on any number of threads."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.oracles.accepted import frame_bytes, frame_of
from tests.oracles.market import MIDNIGHTS, Market, Shape, market, pairs_of
from tests.oracles.seller_sight import midnight, visible
from tests.oracles.shapes import SHAPES, examples

TICK = timedelta(microseconds=1)
Row = dict[str, Any]


@given(SHAPES, st.sampled_from(MIDNIGHTS))
@examples(5)
def test_later_rows_change_no_byte(shape: Shape, as_of: date) -> None:
    rows, pairs = market(shape), pairs_of(shape, [as_of])
    past = {name: list(those) for name, those in visible(rows, as_of).items()}
    whole = with_intruders(rows, midnight(as_of))
    assert {name: len(those) for name, those in visible(whole, as_of).items()} == {
        name: len(those) for name, those in past.items()
    }
    with TemporaryDirectory() as folder:
        then = frame_of(past, pairs, Path(folder) / "then", threads=1)
        later = frame_of(whole, pairs, Path(folder) / "later", threads=2)
    assert frame_bytes(then) == frame_bytes(later)


def with_intruders(rows: Market, end: datetime) -> Market:
    """Add the rows that would do most harm if they were seen: a tick too late, or right at T."""
    added = {
        "sellers": list(_parties(rows, end)),
        "stores": list(_takeovers(rows, end)),
        "orders": list(_orders(rows, end)),
        "refunds": list(_refunds(rows, end)),
        "traffic": list(_traffic(rows, end)),
        "purchases": list(_purchases(rows, end)),
    }
    return {name: [*rows[name], *added[name]] for name in rows}


def _parties(rows: Market, end: datetime) -> Iterator[Row]:
    # buyers who turn out to be sellers, and sellers who turn out to be older
    names = {row["buyer_id"] for row in rows["orders"]} | {row["seller_id"] for row in rows["sellers"]}
    for name in sorted(names):
        yield {"seller_id": name, "onboarded_at": end - timedelta(days=3000), "known_at": end + TICK}


def _takeovers(rows: Market, end: datetime) -> Iterator[Row]:
    # every store changes hands, and every buyer becomes a store of a seller
    stores = sorted({row["store_id"] for row in rows["stores"]})
    for number, name in enumerate([*stores, *sorted({row["buyer_id"] for row in rows["orders"]} - set(stores))]):
        yield {"store_id": name, "seller_id": f"S{number % 7}", "known_at": end + 2 * TICK}


def _orders(rows: Market, end: datetime) -> Iterator[Row]:
    for number, store in enumerate(sorted({row["store_id"] for row in rows["stores"]})):
        common = {"store_id": store, "buyer_id": "B1", "amount_micros": 10**12, "channel": "livestream"}
        long_ago = end - timedelta(days=2000)
        yield common | {"order_id": f"at-T-{number}", "ordered_at": end, "known_at": end - timedelta(days=1)}
        yield common | {"order_id": f"late-{number}", "ordered_at": end - TICK, "known_at": end + TICK}
        yield common | {"order_id": f"first-{number}", "ordered_at": long_ago, "known_at": end + TICK}
        if number == 0:  # the order that some refunds name and nobody saw
            yield common | {"order_id": "never-seen", "ordered_at": end - timedelta(days=40), "known_at": end + TICK}


def _refunds(rows: Market, end: datetime) -> Iterator[Row]:
    for order in rows["orders"]:
        common = {"order_id": order["order_id"], "store_id": order["store_id"], "amount_micros": 10**6}
        common["refund_id"], common["reason"] = f"late-{order['order_id']}", "dispute"
        if order["ordered_at"] < end:
            yield common | {"refunded_at": order["ordered_at"], "known_at": end + TICK}
        else:
            yield common | {"order_id": None, "refunded_at": end, "known_at": end}


def _traffic(rows: Market, end: datetime) -> Iterator[Row]:
    for store in sorted({row["store_id"] for row in rows["stores"]}):
        common = {"store_id": store, "channel": "other", "visits": 1000, "amount_micros": 10**9}
        yield common | {"day": end.date(), "known_at": end}
        yield common | {"day": end.date() - timedelta(days=1), "known_at": end + TICK}


def _purchases(rows: Market, end: datetime) -> Iterator[Row]:
    for store in sorted({row["store_id"] for row in rows["stores"]}):
        common = {"store_id": store, "amount_micros": 10**9}
        yield common | {"purchase_id": f"at-T-{store}", "purchased_at": end, "known_at": end}
        yield common | {"purchase_id": f"late-{store}", "purchased_at": end - TICK, "known_at": end + TICK}
