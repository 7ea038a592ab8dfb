"""The versions of products in the database, with concurrent writers."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select

from api.auth.scopes import ClientKind
from api.clients.service import ClientRegister
from api.kit.database import open_database, transaction
from api.products import repository
from api.products.repository import ProductVersion, products
from api.products.service import replace_products
from scoring import Product
from tests.api.ledger.conftest import NOW
from tests.api.started import RING

pytestmark = pytest.mark.databases

LINE = Product(
    "Line", "USD", "B", 6, frozenset({"VN", "CN"}), 1.1, 1_000, 9_000, {"A": 0.1, "B": 0.30000000000000004}, 9
)
NAMES = ("a", "b", "c")
LISTS = st.dictionaries(st.sampled_from(NAMES), st.sampled_from([1, 2]).map(lambda cap: replace(LINE, cap=cap * 1_000)))


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    engine = open_database(database)
    yield engine
    engine.dispose()


def new_bank(engine: Engine) -> str:
    return ClientRegister(engine, RING).create(ClientKind.BANK, "Bank", now=NOW).client.id


def put(engine: Engine, bank: str, wanted: dict[str, Product], now: datetime) -> None:
    with transaction(engine, writes=True) as connection:
        replace_products(connection, RING, bank, wanted, now)


def products_of(engine: Engine, bank: str, at: datetime | None = None) -> dict[str, Product]:
    with transaction(engine) as connection:
        return {item.product_id: item.product for item in repository.list_products(connection, bank, at)}


def versions_of(engine: Engine, bank: str) -> list[ProductVersion]:
    with transaction(engine) as connection:
        query = select(products).where(products.c.bank_id == bank).order_by(products.c.product_id, products.c.version)
        return [repository.to_version(row) for row in connection.execute(query)]


def test_a_product_is_read_as_it_was_written(engine: Engine) -> None:
    bank = new_bank(engine)
    put(engine, bank, {"a": LINE}, NOW)
    (version,) = versions_of(engine, bank)
    assert (version.version, version.since, version.until, version.product) == (1, NOW, None, LINE)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(LISTS, st.integers(-3, 10)), max_size=8))
def test_the_products_of_a_time_are_those_of_the_last_change_before_it(
    engine: Engine, changes: list[tuple[dict[str, Product], int]]
) -> None:
    bank, clock = new_bank(engine), NOW
    expected: list[tuple[datetime, dict[str, Product]]] = [(datetime.min.replace(tzinfo=NOW.tzinfo), {})]
    for wanted, seconds in changes:
        clock += timedelta(seconds=seconds)
        put(engine, bank, wanted, clock)
        # an equal list is no change; a clock that was set back does not move a change before an earlier one
        if wanted != expected[-1][1]:
            expected.append((max(clock, expected[-1][0]), wanted))
        assert products_of(engine, bank) == wanted
    tick = timedelta(microseconds=1)
    for moment in {at + step for at, _ in expected[1:] for step in (-tick, timedelta(0), tick)}:
        assert products_of(engine, bank, moment) == [wanted for at, wanted in expected if at <= moment][-1]
    for name in NAMES:
        versions = [item for item in versions_of(engine, bank) if item.product_id == name]
        assert [item.version for item in versions] == list(range(1, len(versions) + 1))
        assert all(one.until is not None and one.until <= two.since for one, two in pairwise(versions))


def test_concurrent_changes_leave_one_list(engine: Engine) -> None:
    bank, other = new_bank(engine), new_bank(engine)
    put(engine, other, {"a": LINE}, NOW)
    lists = [{name: replace(LINE, cap=1_000 + number) for name in NAMES[: 1 + number % 3]} for number in range(12)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda wanted: put(engine, bank, wanted, NOW), lists))
    assert products_of(engine, bank) in lists
    current = [item.product_id for item in versions_of(engine, bank) if item.until is None]
    assert len(current) == len(set(current))
    assert products_of(engine, other) == {"a": LINE}
