"""Every amount becomes integer micro-USD once, at the rate of its event's day as known when its row became visible."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import ibis
import ibis.expr.types as ir

from features.ingest.delivery import BASE_CURRENCY
from features.schema import ConstantRate

MICROS: Final = 1_000_000
_QUESTION: Final = ("currency", "event_day", "visible_from")

OLDEST_RATE: Final = timedelta(days=31)
"""A rate may stand in for later days without one (weekends, holidays) up to this age."""

_LARGEST: Final = 1e14
"""A hundred million US dollars in micro-USD: no order is dearer, and 92,000 such in one day still fit 64 bits."""


@dataclass(frozen=True)
class Rates:
    """Where rates come from: the accepted rows of `fx_rates` if there are any, and a delivery's constant rate.

    `complete` is the midnight through which `fx_rates` were delivered. For a row visible after it an older rate may
    not stand in, since its own may still come: how rows are cut into deliveries must not change an amount.
    """

    fx: ir.Table | None
    constant: ConstantRate | None
    complete: date | None

    @property
    def fixed(self) -> dict[str, float]:
        """Currencies whose rate needs no looking up; the constant rate covers its currency on every day."""
        constant = {} if self.constant is None else {self.constant.currency: self.constant.usd_per_unit}
        return {**constant, BASE_CURRENCY: 1.0}


def asked_rates(rows: ir.Table, rates: Rates) -> ir.Table | None:
    """Return the rate of each (currency, event_day, visible_from) that `rows` need looked up; None if none can be.

    Millions of rows ask for few distinct rates, so the as-of question is answered once for each of those: of the
    days up to the event's, the latest whose rate was known when the row became visible.
    """
    if rates.fx is None:
        return None
    asked = rows.filter(rows.currency.notin(sorted(rates.fixed))).select(*_QUESTION).distinct()
    fx = rates.fx.select("day", "usd_per_unit", "known_at", fx_currency="currency")
    candidates = asked.join(
        fx,
        [
            asked.currency == fx.fx_currency,
            fx.day <= asked.event_day,
            fx.day >= asked.event_day - ibis.interval(days=OLDEST_RATE.days),
            fx.known_at <= asked.visible_from,
        ],
    )
    own = candidates.day == candidates.event_day
    candidates = candidates.filter(own if rates.complete is None else own | (candidates.visible_from <= rates.complete))
    return candidates.group_by(*_QUESTION).agg(looked_up=candidates.usd_per_unit.argmax(candidates.day))


def with_micros(rows: ir.Table, money: str, rates: Rates, answers: ir.Table | None) -> ir.Table:
    """Append `usd_per_unit`, null where no rate is known, and `amount_micros`, null beyond any price too.

    `amount_micros = round_half_away(money * usd_per_unit * 1e6)`; `answers` come from `asked_rates`.

    Example: 12.50 CNY at 0.145 is 1_812_500.
    """
    if answers is None:
        rows = rows.mutate(looked_up=ibis.null("float64"))
    else:
        rows = rows.left_join(answers, list(_QUESTION)).drop(*(f"{name}_right" for name in _QUESTION))
    fixed = ibis.cases(*((rows.currency == code, rate) for code, rate in rates.fixed.items()))
    rows = rows.mutate(usd_per_unit=fixed.coalesce(rows.looked_up)).drop("looked_up")
    exact = rows[money] * rows.usd_per_unit * MICROS
    fits = ibis.ifelse(exact.abs() <= _LARGEST, exact, ibis.null("float64"))
    return rows.mutate(amount_micros=fits.round().cast("int64"))
