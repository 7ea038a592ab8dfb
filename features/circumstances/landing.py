"""Sellers' circumstances and exchange rates as of one midnight, from accepted rows, under the one time rule."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

from features.circumstances.stored import CircumstanceSet
from features.engines.duckdb import open_engine
from features.intake.delivery import BASE_CURRENCY
from features.intake.money import OLDEST_RATE
from features.passes import computed, parties, reading
from features.schema import FX_RATES

if TYPE_CHECKING:
    import pandas as pd
    from ibis.backends.duckdb import Backend

    from features.intake import OperatingStore

_COLUMNS: Final = ("seller_id", "country", "base_currency")


def land(store: OperatingStore, pairs: pd.DataFrame, as_of: date) -> CircumstanceSet:
    """Return what is known of sellers as of a midnight: of each the latest version known by then.

    Args:
        store: accepted operating data.
        pairs: columns `seller_id` and `as_of`, all as of the same midnight.
        as_of: that midnight.
    """
    with reading(store), open_engine() as engine:
        found = computed(
            engine, parties(engine, store), pairs, lambda scope: {"sellers": scope.pairs.select(*_COLUMNS)}
        )["sellers"]
        rates = _rates(engine, store, as_of)
    return CircumstanceSet(rates, zip(*(found[name].to_pylist() for name in _COLUMNS), strict=True))


def _rates(engine: Backend, store: OperatingStore, as_of: date) -> dict[str, float]:
    """Return US dollars for a unit of each currency: the rate that a sale of the day before would be converted at.

    That is the rate of the latest day before T that is known at T and no older than intake takes. Where `fx_rates`
    have none, the constant rate of the latest delivery that names the currency stands in.
    """
    constants = [each.constant_rate for each in store.deliveries if each.constant_rate is not None]
    rates = {each.currency: each.usd_per_unit for each in constants}
    if files := store.files(FX_RATES.name):
        fx = engine.read_parquet([str(file) for file in files])
        oldest = as_of - timedelta(days=1) - OLDEST_RATE
        known = fx.filter(fx.visible_from <= as_of, fx.day >= oldest)
        latest = known.group_by("currency").agg(rate=known.usd_per_unit.argmax(known.day)).to_pyarrow()
        rates |= dict(zip(latest["currency"].to_pylist(), latest["rate"].to_pylist(), strict=True))
    return {**rates, BASE_CURRENCY: 1.0}
