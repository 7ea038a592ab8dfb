"""Currency conversion: amounts to integer micro-USD, at the rate of the event's day known at `visible_from`."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import ibis
import ibis.expr.types as ir

from features.ingest.delivery import BASE_CURRENCY
from features.schema import ConstantRate

MICROS: Final = 1_000_000
_RATE_KEY: Final = ("currency", "event_day", "visible_from")

OLDEST_RATE: Final = timedelta(days=31)
"""The maximum age of a rate that is used for a later day without a rate (weekends, holidays)."""

_LARGEST: Final = 1e14
"""The largest amount, 100 million US dollars in micro-USD. The sum of 92,000 such amounts in one day fits 64 bits."""


@dataclass(frozen=True)
class Rates:
    """The sources of rates.

    Attributes:
        fx: the accepted rows of `fx_rates`, if any.
        constant: the delivery's constant rate, if any.
        complete: the midnight through which `fx_rates` are complete. A row that became visible later uses only the rate
            of its own day, which may still be delivered: the split into deliveries must not change an amount.
    """

    fx: ir.Table | None
    constant: ConstantRate | None
    complete: date | None

    @property
    def fixed(self) -> dict[str, float]:
        """The currencies with the same rate on every day, with their rates."""
        constant = {} if self.constant is None else {self.constant.currency: self.constant.usd_per_unit}
        return {**constant, BASE_CURRENCY: 1.0}


def find_rates(rows: ir.Table, rates: Rates) -> ir.Table | None:
    """Return the rate of each distinct (currency, event_day, visible_from) of `rows`; None without `fx_rates`.

    It is the rate of the latest day up to the event's day that was known when the row became visible. Millions of rows
    need few distinct rates, so each is looked up once.
    """
    if rates.fx is None:
        return None
    needed = rows.filter(rows.currency.notin(sorted(rates.fixed))).select(*_RATE_KEY).distinct()
    fx = rates.fx.select("day", "usd_per_unit", "known_at", fx_currency="currency")
    candidates = needed.join(
        fx,
        [
            needed.currency == fx.fx_currency,
            fx.day <= needed.event_day,
            fx.day >= needed.event_day - ibis.interval(days=OLDEST_RATE.days),
            fx.known_at <= needed.visible_from,
        ],
    )
    own = candidates.day == candidates.event_day
    candidates = candidates.filter(own if rates.complete is None else own | (candidates.visible_from <= rates.complete))
    return candidates.group_by(*_RATE_KEY).agg(looked_up=candidates.usd_per_unit.argmax(candidates.day))


def with_micros(rows: ir.Table, money: str, rates: Rates, found_rates: ir.Table | None) -> ir.Table:
    """Append `usd_per_unit` and `amount_micros`. Both are null without a known rate; too large amounts are null, too.

    `amount_micros = round_half_away(money * usd_per_unit * 1e6)`; `found_rates` is the result of `find_rates`.

    Example: 12.50 CNY at 0.145 is 1_812_500.
    """
    if found_rates is None:
        rows = rows.mutate(looked_up=ibis.null("float64"))
    else:
        rows = rows.left_join(found_rates, list(_RATE_KEY)).drop(*(f"{name}_right" for name in _RATE_KEY))
    fixed = ibis.cases(*((rows.currency == code, rate) for code, rate in rates.fixed.items()))
    rows = rows.mutate(usd_per_unit=fixed.coalesce(rows.looked_up)).drop("looked_up")
    exact = rows[money] * rows.usd_per_unit * MICROS
    fits = ibis.ifelse(exact.abs() <= _LARGEST, exact, ibis.null("float64"))
    return rows.mutate(amount_micros=fits.round().cast("int64"))
