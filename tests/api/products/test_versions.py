"""The versions of products in a database of each kind, whoever replaces them when."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, func, select

from api.auth import clients as access
from api.auth.scopes import ClientKind
from api.kit.database import open_database, transaction
from api.products import repository
from api.products.repository import ProductVersion, products
from api.products.service import replace_products
from scoring import Product
from tests.api.ledger.conftest import NOW

pytestmark = pytest.mark.databases

LINE = Product(
    "Line", "USD", "B", 6, frozenset({"VN", "CN"}), 1.1, 1_000, 9_000, {"A": 0.1, "B": 0.30000000000000004}, 9
)
NAMES = ("a", "b", "c")
LISTS = st.dictionaries(st.sampled_from(NAMES), st.sampled_from([1, 2]).map(lambda cap: replace(LINE, cap=cap * 1_000)))


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    opened = open_database(database)
    yield opened
    opened.dispose()


def new_bank(engine: Engine) -> str:
    return access.create_client(engine, ClientKind.BANK, "Bank", now=NOW).client.id


def put(engine: Engine, bank: str, given: dict[str, Product], now: datetime) -> None:
    with transaction(engine, writes=True) as connection:
        replace_products(connection, bank, given, now)


def held(engine: Engine, bank: str, at: datetime | None = None) -> dict[str, ProductVersion]:
    with transaction(engine) as connection:
        return {each.product_id: each for each in repository.list_products(connection, bank, at)}


def test_a_product_is_read_back_as_it_was_written(engine: Engine) -> None:
    bank = new_bank(engine)
    put(engine, bank, {"a": LINE}, NOW)
    assert held(engine, bank)["a"] == ProductVersion(bank, "a", 1, NOW, None, LINE)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(LISTS, st.integers(-3, 10)), max_size=8))
def test_what_held_at_a_moment_is_what_was_put_last_before_it(
    engine: Engine, acts: list[tuple[dict[str, Product], int]]
) -> None:
    bank, clock = new_bank(engine), NOW
    given: list[tuple[datetime, dict[str, Product]]] = []
    for wanted, seconds in acts:
        clock += timedelta(seconds=seconds)
        put(engine, bank, wanted, clock)
        # what is as it was is no change, and a clock that was set back changes nothing of what began before
        if wanted != (given[-1][1] if given else {}):
            given.append((max([clock, *(at for at, _ in given)]), wanted))
        assert {name: each.product for name, each in held(engine, bank).items()} == wanted
    tick = timedelta(microseconds=1)
    for moment in {at + each for at, _ in given for each in (-tick, timedelta(0), tick)}:
        expected = [wanted for at, wanted in given if at <= moment]
        found = {name: each.product for name, each in held(engine, bank, moment).items()}
        assert found == (expected[-1] if expected else {})
    for name in NAMES:
        versions = [each for each in everything(engine, bank) if each.product_id == name]
        assert [each.version for each in versions] == list(range(1, len(versions) + 1))
        assert all(one.until is not None and one.until <= two.since for one, two in pairwise(versions))


def everything(engine: Engine, bank: str) -> list[ProductVersion]:
    with transaction(engine) as connection:
        wanted = select(products).where(products.c.bank_id == bank).order_by(products.c.product_id, products.c.version)
        return [repository.read(found) for found in connection.execute(wanted)]


def test_of_many_who_replace_at_once_one_has_the_last_word(engine: Engine) -> None:
    bank, other = new_bank(engine), new_bank(engine)
    put(engine, other, {"a": LINE}, NOW)
    lists = [{name: replace(LINE, cap=1_000 + number) for name in NAMES[: 1 + number % 3]} for number in range(12)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda given: put(engine, bank, given, NOW), lists))
    assert {name: each.product for name, each in held(engine, bank).items()} in lists
    assert len(held(engine, other)) == 1
    with transaction(engine) as connection:
        doubled = (
            select(func.count()).where(products.c.until.is_(None)).group_by(products.c.bank_id, products.c.product_id)
        )
        assert set(connection.execute(doubled).scalars()) == {1}
