"""Rows of sellers, stores, purchases, loans, instalments and payments, and of the table `truth`.

`truth` has the hidden state of sellers as of a midnight. It is for tests and studies only and not part of the delivery.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.simulation.economy import FIXED_SHARE
from training.simulation.lending import PERIOD_DAYS
from training.simulation.market import CATEGORIES, COUNTRIES, CURRENCIES
from training.simulation.orders import ChunkContext, store_column
from training.simulation.rows import Column, FloatArray, Rows, coded, column_of, known_times, numbered, waking_hours
from training.simulation.sellers import BASE_CURRENCY, MARKETPLACES, MOST_STORES, seller_ids, store_ids
from training.simulation.state import GOODS_SHARE, Snapshot

_SUPPLIERS: Final = 4
_CATEGORY_CHANGE_SHARE: Final = 0.02
_STORE_CORRECTION_SHARE: Final = 0.01
_BASE_CURRENCIES: Final = tuple(BASE_CURRENCY[country] for country in COUNTRIES)


def seller_rows(chunk: ChunkContext, rng: np.random.Generator) -> Rows:
    """Return sellers as of joining. A few change their category later, as a second version."""
    traits = chunk.traits
    joined = chunk.clock.at(traits.joined, np.zeros(len(traits)))
    first = Rows.of(
        "sellers",
        seller_id=seller_ids(traits.number),
        country=coded(traits.country, COUNTRIES),
        base_currency=coded(traits.country, _BASE_CURRENCIES),
        category=coded(traits.category, CATEGORIES),
        onboarded_at=joined,
        known_at=joined,
    )
    moved = np.flatnonzero(rng.random(len(traits)) < _CATEGORY_CHANGE_SHARE)
    later = joined[moved] + rng.integers(100, 900, len(moved)).astype("timedelta64[D]")
    category = coded(((traits.category[moved] + 1) % len(CATEGORIES)).astype(np.int32), CATEGORIES)
    return first.append(first.take(moved).replace(category=category, known_at=later))


def store_rows(chunk: ChunkContext, rng: np.random.Generator) -> Rows:
    """Return stores as of opening. For a few, the marketplace is wrong at first and corrected within weeks."""
    traits = chunk.traits
    seller, slot = np.nonzero(np.arange(MOST_STORES) < traits.stores[:, None])
    opened = chunk.clock.at(traits.store_opened[seller, slot], np.zeros(len(seller)))
    number = traits.number[seller]
    right = Rows.of(
        "stores",
        store_id=store_ids(number, slot),
        seller_id=seller_ids(number),
        marketplace=coded(traits.marketplace[seller, slot], MARKETPLACES),
        opened_at=opened,
        known_at=opened,
    )
    wrong = rng.random(len(right)) < _STORE_CORRECTION_SHARE
    noted = coded(((traits.marketplace[seller, slot] + wrong) % len(MARKETPLACES)).astype(np.int32), MARKETPLACES)
    weeks = rng.integers(3, 30, len(right)).astype("timedelta64[D]")
    corrected = right.replace(known_at=opened + weeks).take(wrong)
    return right.replace(marketplace=noted).append(corrected)


def purchase_rows(chunk: ChunkContext, rng: np.random.Generator) -> Rows:
    """Return purchases of stock from a few suppliers, in the seller's currency, booked on the first store."""
    traits, bought = chunk.traits, chunk.economy.history.purchases
    seller, day = np.nonzero(bought.T)
    rank = np.arange(len(seller)) - np.searchsorted(seller, seller)
    number = traits.number[seller]
    currency = np.array([CURRENCIES.index(code) for code in _BASE_CURRENCIES])[traits.country[seller]]
    at = chunk.clock.at(day, waking_hours(rng, len(day)))
    return Rows.of(
        "purchases",
        purchase_id=numbered("P", (number, 6), (rank, 5)),
        store_id=store_column(seller, np.zeros_like(seller), traits),
        supplier_id=numbered("U", (number, 6), ((rng.random(len(day)) ** 2 * _SUPPLIERS).astype(np.int32), 1)),
        purchased_at=at,
        amount=np.maximum(np.round(bought[day, seller] / chunk.market.usd[day, currency], 2), 0.01),
        currency=coded(currency.astype(np.int32), CURRENCIES),
        known_at=known_times(at, rng),
    )


def loan_ids(chunk: ChunkContext, seller: NDArray[np.int64], number: NDArray[np.int64]) -> NDArray[np.bytes_]:
    """Return loan IDs: `L-000123-02` is the second loan of seller 123."""
    return numbered("L", (chunk.traits.number[seller], 6), (number, 2))


def loan_rows(chunk: ChunkContext, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """Return loans, disbursed in working hours, and their instalments; the lender reports both within minutes."""
    batches = chunk.economy.loans.disbursals
    day, seller, number, principal, total, instalment, periods = (
        column_of(batches, name) for name in ("day", "seller", "number", "principal", "total", "instalment", "periods")
    )
    at = chunk.clock.at(day, rng.uniform(0.37, 0.7, len(day)))
    loan_id, known_at = loan_ids(chunk, seller, number), at + np.timedelta64(5, "m")
    loans = Rows.of(
        "loans",
        loan_id=loan_id,
        seller_id=seller_ids(chunk.traits.number[seller]),
        disbursed_at=at,
        principal=principal / 100,
        currency=coded(chunk.traits.country[seller], _BASE_CURRENCIES),
        term_days=(periods * PERIOD_DAYS).astype(np.int32),
        known_at=known_at,
    )
    each = np.repeat(np.arange(len(day)), periods)
    step = np.arange(len(each)) - np.repeat(np.cumsum(periods) - periods, periods)
    last = step + 1 == periods[each]
    amount = np.where(last, total[each] - instalment[each] * step, instalment[each])
    plan = Rows.of(
        "instalments",
        loan_id=loan_id[each],
        due_on=chunk.clock.days(day[each] + PERIOD_DAYS * (step + 1)),
        amount=amount / 100,
        known_at=known_at[each],
    )
    return loans, plan


def payment_rows(chunk: ChunkContext, rng: np.random.Generator) -> Rows:
    """Return payments, made late on the day that had the cash."""
    batches = chunk.economy.loans.payments
    day, seller, number, amount = (column_of(batches, name) for name in ("day", "seller", "number", "amount"))
    at = chunk.clock.at(day, rng.uniform(0.71, 0.99, len(day)))
    return Rows.of(
        "payments",
        payment_id=numbered("Y", (chunk.traits.number[seller], 6), (number, 2), (day, 4)),
        loan_id=loan_ids(chunk, seller, number),
        paid_at=at,
        amount=amount / 100,
        known_at=known_times(at, rng),
    )


def truth_rows(chunk: ChunkContext) -> Rows:
    """Return one row per loan as of the midnight before disbursement, and one per seller at the end of the period."""
    economy, traits = chunk.economy, chunk.traits
    end = len(chunk.market.season)
    last = Snapshot.of(end, np.arange(len(traits)), economy.final, economy.history)
    snapshots = [last, *(batch.known for batch in economy.loans.disbursals)]
    day, seller = (column_of(snapshots, name) for name in ("day", "seller"))
    number = np.concatenate([np.zeros(len(traits), dtype=np.int64), *(b.number for b in economy.loans.disbursals)])
    debt = np.concatenate([economy.loans.owed_usd(), np.zeros(len(seller) - len(traits))])
    moving = {name: column_of(snapshots, name) for name in Snapshot.moving_names()}
    return Rows.of(
        "truth",
        seller_id=seller_ids(traits.number[seller]),
        as_of=chunk.clock.at(day, np.zeros(len(day))),
        loan_id=np.where(number > 0, loan_ids(chunk, seller, number), b""),
        **_fixed(chunk, seller, day),
        **moving,
        open_debt=debt,
        cash_buffer_days=moving["cash"] / np.maximum(_daily_outgoings(moving), 0.01),
    )


def _daily_outgoings(moving: dict[str, FloatArray]) -> FloatArray:
    """Return refunds, ads, fixed costs and the goods for the expected sales of an average day, in USD."""
    monthly = moving["refunds"] + moving["ads"]
    daily: FloatArray = monthly / 30 + FIXED_SHARE * moving["usual_sales"] + GOODS_SHARE * moving["expected_sales"]
    return daily


def _fixed(chunk: ChunkContext, seller: NDArray[np.int64], day: NDArray[np.int64]) -> dict[str, Column]:
    """Return the traits, and how the current shocks affect this seller."""
    traits, market = chunk.traits, chunk.market
    felt = market.spell[:, np.maximum(day - 1, 0)].T * traits.exposure[seller]
    names = ("size", "price", "health_mean", "margin", "capital", "skill", "loyalty", "livestream")
    return {
        "is_faker": traits.faker[seller],
        "tenure_days": (day - traits.joined[seller]).astype(np.int32),
        **{name: getattr(traits, name)[seller] for name in names},
        "shock_felt": felt.sum(axis=1),
        **{f"shock_{n + 1}_exposure": traits.exposure[seller, n] for n in range(len(market.shocks))},
    }
