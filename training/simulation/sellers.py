"""Traits of the sellers: the fixed hidden state that causes everything else, and the IDs of sellers and stores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.schema import CHANNELS
from training.simulation.config import SimulationConfig
from training.simulation.market import CATEGORIES, COUNTRIES, CURRENCIES, Market
from training.simulation.rows import AnyArray, FloatArray, IntArray, cumulative, numbered, pick

BASE_CURRENCY: Final = {"CN": "CNY", "US": "USD", "DE": "EUR", "GB": "GBP", "IN": "INR", "VN": "VND"}
_COUNTRY_SHARE: Final = (0.36, 0.18, 0.14, 0.12, 0.11, 0.09)
_CATEGORY_SHARE: Final = (0.24, 0.20, 0.20, 0.14, 0.12, 0.10)
_PRICE_USD: Final = (34.0, 80.0, 48.0, 27.0, 30.0, 58.0)
"""Typical order of a category, USD."""
_PRICE_SD: Final = (0.50, 0.70, 0.65, 0.45, 0.55, 0.70)
"""Standard deviation of the log of an order's amount within one seller."""
_RETURNS: Final = (1.35, 1.05, 0.9, 0.8, 0.85, 0.95)
"""Returns of a category relative to the average."""

MARKETPLACES: Final = ("us-bazaar", "eu-bazaar", "uk-market", "cn-mall", "in-mart", "sea-shop")
_HOME_MARKET: Final = (
    (0.46, 0.26, 0.08, 0.08, 0.02, 0.10),
    (0.84, 0.06, 0.06, 0.02, 0.01, 0.01),
    (0.12, 0.74, 0.12, 0.01, 0.00, 0.01),
    (0.14, 0.18, 0.66, 0.01, 0.00, 0.01),
    (0.20, 0.04, 0.06, 0.00, 0.66, 0.04),
    (0.22, 0.08, 0.02, 0.04, 0.00, 0.64),
)
"""Shares of the marketplaces (columns) among the stores of sellers by country (rows)."""

MOST_STORES: Final = 4
_STORE_COUNT_SHARE: Final = (0.76, 0.16, 0.06, 0.02)
_SIZE_SD: Final = 0.95
"""Standard deviation of log size: the top 1% of sellers have about 9 times the median's orders."""
_PRESENT_SHARE: Final = 0.60
"""Mean share of the period in which a seller trades, including growth and closures; measured in simulations."""
_JOINED_BEFORE: Final = 0.50
_JOINED_BY_FIRST_YEAR: Final = 0.72
_LIVESTREAM_SHARE: Final = 0.25
_SIDE_CHANNELS: Final = tuple(CHANNELS.index(name) for name in ("social", "direct", "other"))
_AD_TASTE_SD: Final = 0.20

CHUNK_SELLERS: Final = 500
"""Sellers simulated at once: limits memory; each chunk has its own random stream."""

_HEALTH_MEAN_SD: Final = 0.45
_FAKER_HEALTH: Final = 0.6
"""Decrease of the mean health of sellers who place fake orders."""
_MARGIN: Final = 0.36
_MARGIN_SD: Final = 0.02
"""Share of a sale that remains after goods (42%), shipping and commission. The buyer pays half of the shipping."""
_CAPITAL_DAYS: Final = 18.0
_CAPITAL_SD: Final = 0.3
"""Cash reserve in days of sales, and the spread of its log. Most sellers have liquidity for less than six months."""


@dataclass(frozen=True)
class Traits:
    """The fixed hidden state of a chunk of sellers, one value per seller.

    Attributes:
        number: seller number, as in the IDs.
        joined: first day on the platform, negative before the period.
        size: orders per day without growth or decline.
        price: mean order, USD. price_sd: spread of its log.
        health_mean: long-term mean of health; a unit of health is about one standard deviation.
        margin: share of a sale that remains after goods, shipping and commission.
        capital: cash reserve in days of sales.
        skill: quality of work, standard normal.
        returns: returns of the category relative to the average.
        loyalty: probability that an order comes from an earlier buyer.
        livestream: livestream events per day, 0 for most.
        ad_taste: factor of the visitors from ads, about 1: some sellers buy expensive clicks, some cheap ones.
        side_channel: code of the channel that brings unpaid visitors, in addition to search.
        faker: True if the seller places fake orders.
        exposure: sellers x shocks, strength of each shock (1 is the average seller).
        store_share: sellers x 4 cumulative shares of orders. store_opened: the day each store opens.
        marketplace: sellers x 4 codes. stores: number of stores, up to four.
    """

    number: IntArray
    joined: IntArray
    country: IntArray
    category: IntArray
    size: FloatArray
    price: FloatArray
    price_sd: FloatArray
    health_mean: FloatArray
    margin: FloatArray
    capital: FloatArray
    skill: FloatArray
    returns: FloatArray
    loyalty: FloatArray
    livestream: FloatArray
    ad_taste: FloatArray
    side_channel: IntArray
    faker: NDArray[np.bool_]
    exposure: FloatArray
    stores: IntArray
    store_share: FloatArray
    store_opened: IntArray
    marketplace: IntArray

    def __len__(self) -> int:
        return len(self.number)


def draw_traits(config: SimulationConfig, market: Market, first: int, rng: np.random.Generator) -> Traits:
    """Draw the traits of the sellers numbered `first`, `first + 1`, ... up to the end of the chunk."""
    count = min(CHUNK_SELLERS, config.sellers - first)
    country = rng.choice(len(COUNTRIES), count, p=_COUNTRY_SHARE).astype(np.int32)
    category = rng.choice(len(CATEGORIES), count, p=_CATEGORY_SHARE).astype(np.int32)
    faker = rng.random(count) < config.faker_share
    skill = rng.standard_normal(count)
    margin_luck = rng.standard_normal(count)
    joined = _joining_days(config.days, count, rng)
    stores, opened = _stores(joined, config.days, rng)
    return Traits(
        number=np.arange(first, first + count, dtype=np.int32),
        joined=joined,
        country=country,
        category=category,
        size=_sizes(config, count, rng),
        price=np.array(_PRICE_USD)[category] * np.exp(0.25 * margin_luck + rng.normal(0, 0.25, count)),
        price_sd=np.array(_PRICE_SD)[category],
        health_mean=rng.normal(0.1, _HEALTH_MEAN_SD, count) + 0.2 * skill - _FAKER_HEALTH * faker,
        margin=_MARGIN + _MARGIN_SD * margin_luck,
        capital=_CAPITAL_DAYS * np.exp(rng.normal(0, _CAPITAL_SD, count)),
        skill=skill,
        returns=np.array(_RETURNS)[category],
        loyalty=np.clip(0.22 + 0.05 * skill + rng.normal(0, 0.06, count), 0.02, 0.6),
        livestream=np.where(rng.random(count) < _LIVESTREAM_SHARE, rng.gamma(2.0, 0.012, count), 0.0),
        ad_taste=np.exp(rng.normal(0, _AD_TASTE_SD, count)),
        side_channel=rng.choice(_SIDE_CHANNELS, count).astype(np.int32),
        faker=faker,
        exposure=_exposure(market, country, category) * np.exp(rng.normal(0, 0.25, (count, 1))),
        stores=stores,
        store_share=_store_shares(stores, rng),
        store_opened=opened,
        marketplace=pick(
            cumulative(_HOME_MARKET)[np.repeat(country, MOST_STORES)], rng.random(count * MOST_STORES)
        ).reshape(count, MOST_STORES),
    )


def _joining_days(days: int, count: int, rng: np.random.Generator) -> IntArray:
    """Return joining days: half before the period, a fifth in its first year, the rest up to 60 days before its end."""
    late = max(days - 60, 1)
    before = -np.minimum(rng.exponential(500, count), 2200)
    first_year = rng.uniform(0, min(365, late), count)
    later = rng.uniform(min(365, late), late, count)
    era = rng.random(count)
    after = np.where(era < _JOINED_BY_FIRST_YEAR, first_year, later)
    return np.floor(np.where(era < _JOINED_BEFORE, before, after)).astype(np.int32)


def _sizes(config: SimulationConfig, count: int, rng: np.random.Generator) -> FloatArray:
    """Return lognormal orders per day, with the mean that gives the configured number of orders."""
    mean = config.orders_per_seller / (config.days * _PRESENT_SHARE)
    return mean * np.exp(rng.normal(-(_SIZE_SD**2) / 2, _SIZE_SD, count))


def _exposure(market: Market, country: IntArray, category: IntArray) -> FloatArray:
    """Return the strength of each shock for country and category, sellers x shocks."""
    return np.stack(
        [np.array(shock.countries)[country] * np.array(shock.categories)[category] for shock in market.shocks], axis=1
    )


def _stores(joined: IntArray, days: int, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
    """Return the number of stores and their opening days: the first on joining, the others within three years."""
    count = len(joined)
    stores = 1 + rng.choice(MOST_STORES, count, p=_STORE_COUNT_SHARE).astype(np.int32)
    wait = np.sort(rng.integers(20, 1000, (count, MOST_STORES)), axis=1)
    wait[:, 0] = 0
    opened = np.minimum(joined[:, None] + wait, np.maximum(days - 30, joined[:, None]))
    return stores, opened.astype(np.int32)


def _store_shares(stores: IntArray, rng: np.random.Generator) -> FloatArray:
    weight = rng.gamma(2.0, 1.0, (len(stores), MOST_STORES)) * (np.arange(MOST_STORES) < stores[:, None])
    weight[:, 0] += 1.0
    shares: FloatArray = np.cumsum(weight, axis=1) / weight.sum(axis=1, keepdims=True)
    return shares


def seller_ids(seller: AnyArray) -> NDArray[np.bytes_]:
    """Return seller IDs: `S-000123`."""
    return numbered("S", (seller, 6))


def store_ids(seller: AnyArray, slot: AnyArray) -> NDArray[np.bytes_]:
    """Return store IDs: `T-000123-1` is the first store of seller 123."""
    return numbered("T", (seller, 6), (slot + 1, 1))


def base_rates(traits: Traits, market: Market) -> FloatArray:
    """Return USD per unit of each seller's base currency, days x sellers."""
    currency = np.array([CURRENCIES.index(BASE_CURRENCY[country]) for country in COUNTRIES])
    rates: FloatArray = market.usd[:, currency[traits.country]]
    return rates
