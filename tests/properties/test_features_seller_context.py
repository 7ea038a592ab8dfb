"""Countries, currencies and rates as of T equal a naive oracle: loops over rows for the latest value known by T.

The markets have sellers with several versions, known early and late, and rates at the limits of day, age and time.
"""

from __future__ import annotations

import random
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pytest
from hypothesis import example, given

from features.ingest import OperatingStore
from features.materialize import compute_context
from features.schema import ConstantRate
from features.store.operating import StoredDelivery
from tests.counts import repeat
from tests.oracles.accepted_rows import write_accepted, write_delivery
from tests.oracles.market import MIDNIGHTS, Shape, market
from tests.oracles.seller_view import Row, midnight, seller_view, visible
from tests.oracles.shapes import SHAPES, examples


def quotes(rng: random.Random, as_of: date) -> list[Row]:
    """Draw rates of days before and after T, known at once, late or exactly at midnight."""
    rows = []
    for currency in ("CNY", "EUR", "VND", "JPY", "USD"):
        for age in rng.sample([-1, 0, 1, 2, 3, 10, 31, 32, 33, 60], k=rng.randint(0, 6)):
            day = as_of - timedelta(days=age)
            lag = rng.choice([timedelta(0), timedelta(hours=30), timedelta(days=age), timedelta(days=age, seconds=1)])
            known_at = midnight(day) + max(lag, timedelta(0))
            rows.append({"day": day, "currency": currency, "usd_per_unit": rng.random() + 0.01, "known_at": known_at})
    return rows


def expected_rates(rows: list[Row], constants: list[ConstantRate], as_of: date) -> dict[str, float]:
    """Return the rate of the latest day before T, at most 31 days older than the last, known at T; else a constant."""
    rates = {constant.currency: constant.usd_per_unit for constant in constants}
    for row in sorted(rows, key=lambda row: row["day"]):
        if row["day"] < as_of and row["known_at"] <= midnight(as_of) and (as_of - row["day"]).days <= 32:
            rates[row["currency"]] = row["usd_per_unit"]
    return {**rates, "USD": 1.0}


def store_with_rates(
    rows: dict[str, Any], fx: list[Row], constants: list[ConstantRate], folder: Path
) -> OperatingStore:
    """Write accepted rows, rates in a delivery of their own, and deliveries that name a constant rate."""
    base = write_accepted(rows, folder, parts=2)
    deliveries = [*base.deliveries, *(StoredDelivery(f"c{n}", {}, {}, rate) for n, rate in enumerate(constants))]
    if fx:
        deliveries.append(write_delivery({"fx_rates": fx}, folder, len(deliveries)))
    return OperatingStore(folder, tuple(deliveries))


@pytest.mark.repeated
@given(SHAPES)
@example(Shape(seed=1, sellers=20, events=3))
@examples(repeat(1, 40))
def test_the_seller_context_equals_the_oracle(shape: Shape) -> None:
    rng = random.Random(shape.seed)  # noqa: S311 - test rates, nothing secret
    as_of = MIDNIGHTS[shape.seed % len(MIDNIGHTS)]
    rows = market(shape)
    fx = quotes(rng, as_of)
    constants = [ConstantRate(rng.choice(["CNY", "GBP"]), rng.random()) for _ in range(rng.randint(0, 3))]
    sellers = [*(f"S{number}" for number in range(shape.sellers)), "nobody"]
    pairs = pd.DataFrame({"seller_id": sellers, "as_of": as_of})
    with TemporaryDirectory() as folder:
        context = compute_context(store_with_rates(rows, fx, constants, Path(folder)), pairs, as_of)
    assert context.usd_per_unit == expected_rates(fx, constants, as_of)
    visible_rows = visible(rows, as_of)
    expected = {}
    for seller in sellers:
        party = seller_view(visible_rows, seller, as_of).party or {"country": None, "base_currency": None}
        expected[seller] = (party["country"], party["base_currency"])
    sellers_found = list(context.sellers)
    assert {seller: (country, currency) for seller, country, currency in sellers_found} == expected
    assert len(sellers_found) == len(sellers)


def test_the_markets_have_several_versions_and_rates() -> None:
    as_of = MIDNIGHTS[1]
    rows = market(Shape(seed=1, sellers=20, events=3))
    visible_rows = visible(rows, as_of)
    countries: dict[str, set[str]] = {}
    for row in visible_rows["sellers"]:
        countries.setdefault(row["seller_id"], set()).add(row["country"])
    assert max(map(len, countries.values())) > 1
    assert len(visible_rows["sellers"]) < len(rows["sellers"])
    samples = [quotes(random.Random(seed), as_of) for seed in range(20)]  # noqa: S311 - nothing secret
    rates = [expected_rates(fx, [], as_of).get("CNY") for fx in samples]
    assert None in rates
    ages = {
        (as_of - row["day"]).days
        for fx, rate in zip(samples, rates, strict=True)
        for row in fx
        if row["usd_per_unit"] == rate
    }
    assert len(ages) >= 3
