"""The hidden state of sellers as of a midnight: for tests and studies only, beside the delivery and never in it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.simulation.accounts import loan_ids
from training.simulation.economy import FIXED_SHARE
from training.simulation.orders import Setting
from training.simulation.rows import Column, Rows
from training.simulation.sellers import seller_ids
from training.simulation.state import GOODS_SHARE, Snapshot

FloatArray = NDArray[np.float64]


def truth_rows(setting: Setting) -> Rows:
    """One row a loan, as of the midnight that begins its day, and one row a seller at the end of the record."""
    economy, traits = setting.economy, setting.traits
    end = len(setting.market.season)
    last = Snapshot.of(end, np.arange(len(traits)), economy.final, economy.diary)
    snapshots = [last, *(batch.known for batch in economy.loans.disbursals)]
    day = np.concatenate([np.full(len(shot.seller), shot.day) for shot in snapshots])
    seller = np.concatenate([shot.seller for shot in snapshots])
    number = np.concatenate([np.zeros(len(traits), dtype=np.int64), *(b.number for b in economy.loans.disbursals)])
    debt = np.concatenate([economy.loans.owed_usd(), np.zeros(len(seller) - len(traits))])
    moving = {name: np.concatenate([getattr(shot, name) for shot in snapshots]) for name in Snapshot.moving_names()}
    columns: dict[str, Column] = {
        "seller_id": seller_ids(traits.number[seller]),
        "as_of": setting.clock.at(day, np.zeros(len(day))),
        "loan_id": np.where(number > 0, loan_ids(setting, seller, number), b""),
        **_fixed(setting, seller, day),
        **moving,
        "open_debt": debt,
    }
    columns["cash_buffer_days"] = moving["cash"] / np.maximum(_daily_outgoings(moving), 0.01)
    return Rows("truth", columns)


def _daily_outgoings(moving: dict[str, FloatArray]) -> FloatArray:
    """Refunds, ads and fixed costs of a usual day, with the goods that the expected sales need, USD."""
    monthly = moving["refunds"] + moving["ads"]
    daily: FloatArray = monthly / 30 + FIXED_SHARE * moving["usual_sales"] + GOODS_SHARE * moving["expected_sales"]
    return daily


def _fixed(setting: Setting, seller: NDArray[np.int64], day: NDArray[np.int64]) -> dict[str, Column]:
    """Traits, and how the shocks under way on the day hit this seller."""
    traits, market = setting.traits, setting.market
    felt = market.spell[:, np.maximum(day - 1, 0)].T * traits.exposure[seller]
    shocks: dict[str, Column] = {
        f"shock_{n + 1}_exposure": traits.exposure[seller, n] for n in range(len(market.shocks))
    }
    return {
        "is_faker": traits.faker[seller],
        "tenure_days": (day - traits.joined[seller]).astype(np.int32),
        "size": traits.size[seller],
        "price": traits.price[seller],
        "health_mean": traits.health_mean[seller],
        "margin": traits.margin[seller],
        "capital": traits.capital[seller],
        "skill": traits.skill[seller],
        "loyalty": traits.loyalty[seller],
        "livestream": traits.livestream[seller],
        "shock_felt": felt.sum(axis=1),
        **shocks,
    }
