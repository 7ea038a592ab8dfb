"""Every amount becomes integer micro-USD once, at the rate of its event's day as known when its row became visible."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import ibis
import ibis.expr.types as ir
from ibis.backends.duckdb import Backend

from features.intake.delivery import BASE_CURRENCY, ConstantRate

MICROS: Final = 1_000_000
OLDEST_RATE: Final = timedelta(days=31)
"""A rate may stand in for later days without one (weekends, holidays, a late feed) up to this age."""

_LARGEST: Final = 1e18
"""A million million US dollars in micro-USD, the contract's bound of an amount; nine such still fit 64 bits."""


@dataclass(frozen=True)
class Rates:
    """Where rates come from: the accepted rows of `fx_rates` if there are any, and a delivery's constant rate."""

    fx: ir.Table | None
    constant: ConstantRate | None

    @property
    def fixed(self) -> dict[str, float]:
        """Currencies whose rate needs no looking up; the constant rate covers its currency on every day."""
        constant = {} if self.constant is None else {self.constant.currency: self.constant.usd_per_unit}
        return {**constant, BASE_CURRENCY: 1.0}


@dataclass(frozen=True)
class Priced:
    """Rows with `amount_micros`, and the predicates over them for amounts without a rate and beyond the largest."""

    rows: ir.Table
    rateless: ir.BooleanValue
    too_large: ir.BooleanValue


def priced(engine: Backend, rows: ir.Table, money: str, rates: Rates) -> Priced:
    """Append `amount_micros` to rows that hold `money`, `currency`, `event_day` and `visible_from`.

    `amount_micros = round_half_away(money * usd_per_unit * 1e6)`, null where there is no rate or no room in 64 bits.

    Example: 12.50 CNY at 0.145 is 1_812_500.
    """
    fixed = ibis.cases(*((rows.currency == code, ibis.literal(rate)) for code, rate in rates.fixed.items()))
    rows = rows.mutate(usd_per_unit=fixed.cast("float64"))
    if rates.fx is not None:
        rows = _with_looked_up(engine, rows, rates.fx)
    exact = rows[money] * rows.usd_per_unit * MICROS
    fits = exact.abs() <= _LARGEST
    rows = rows.mutate(amount_micros=ibis.ifelse(fits, exact, ibis.null("float64")).round().cast("int64"))
    return Priced(rows, rows.usd_per_unit.isnull(), rows.amount_micros.isnull())


def _with_looked_up(engine: Backend, rows: ir.Table, fx: ir.Table) -> ir.Table:
    # Millions of rows ask for few distinct rates, so the as-of question is answered once for each of those.
    keys = ("currency", "event_day", "visible_from")
    asked = rows.filter(rows.usd_per_unit.isnull()).select(*keys).distinct()
    name = ibis.util.gen_name("rates")
    engine.create_table(name, _as_of(asked, fx), temp=True)
    known = engine.table(name).rename(looked_up="usd_per_unit")
    joined = rows.left_join(known, list(keys)).drop(*(f"{key}_right" for key in keys))
    return joined.mutate(usd_per_unit=joined.usd_per_unit.coalesce(joined.looked_up)).drop("looked_up")


def _as_of(asked: ir.Table, fx: ir.Table) -> ir.Table:
    """Return each asked (currency, event_day, visible_from) with the latest rate of its day or before known by then."""
    fx = fx.select("day", "usd_per_unit", "known_at", fx_currency="currency")
    candidates = asked.join(
        fx,
        [
            asked.currency == fx.fx_currency,
            fx.day <= asked.event_day,
            fx.day >= asked.event_day - ibis.interval(days=OLDEST_RATE.days),
            fx.known_at <= asked.visible_from,
        ],
    )
    by = candidates.group_by("currency", "event_day", "visible_from")
    return by.agg(usd_per_unit=candidates.usd_per_unit.argmax(candidates.day))
