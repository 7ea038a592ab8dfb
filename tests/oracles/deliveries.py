"""A market as deliveries for ingest: amounts in the currency of each row, at that day's rate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from features.schema import BY_NAME
from tests.oracles.market import Market
from tests.oracles.seller_view import EVENT_TIME, Row, midnight

Rates = Mapping[tuple[date, str], float]
"""US dollars per unit, by day and currency."""

NO_RATES: Rates = {}


def rates_of(rows: Market, currencies: Iterable[str]) -> Rates:
    """Return a varying rate for each currency and each day with an event."""
    days = {_day(row[column]) for name, column in EVENT_TIME.items() if column for row in rows[name]}
    numbers = {currency: number for number, currency in enumerate(sorted(set(currencies) - {"USD"}), start=1)}
    return {
        (day, currency): 0.11 * number + (day.toordinal() * 37 * number % 101) / 1000
        for day in days
        for currency, number in numbers.items()
    }


def in_dollars(rows: Market) -> Market:
    """Return the market with all amounts in US dollars, so that it needs no rates."""
    return {
        name: [{**row, "currency": "USD"} if "currency" in row else row for row in table]
        for name, table in rows.items()
    }


def deliver(rows: Mapping[str, Iterable[Row]], rates: Rates, folder: Path) -> Path:
    """Write the rows as one delivery, with the rates if there are any; return its folder."""
    folder.mkdir(parents=True)
    loan_rates = {row["loan_id"]: _rate(row, row["disbursed_at"], rates) for row in rows.get("loans", ())}
    for name, table in rows.items():
        content = [_contract_row(name, row, rates, loan_rates) for row in table]
        if content:
            pq.write_table(pa.Table.from_pylist(content), folder / f"{name}.parquet")
    if rates:
        early = midnight(min(rates)[0]) - timedelta(days=1)
        quotes = [
            {"day": day, "currency": currency, "usd_per_unit": rate, "known_at": early}
            for (day, currency), rate in rates.items()
        ]
        pq.write_table(pa.Table.from_pylist(quotes), folder / "fx_rates.parquet")
    return folder


def _contract_row(table: str, row: Row, rates: Rates, loan_rates: Mapping[str, float]) -> dict[str, Any]:
    contract = BY_NAME[table]
    delivered = {"category": "home", **row} if table == "sellers" else dict(row)
    if contract.money is not None and contract.event_time is not None:
        delivered[contract.money] = delivered.pop("amount_micros") / 1e6 / _rate(row, row[contract.event_time], rates)
    elif table in ("instalments", "payments"):  # in the currency of their loan, at the rate of that day
        delivered["amount"] = delivered.pop("amount_micros") / 1e6 / loan_rates.get(row["loan_id"], 1.0)
    return delivered


def _rate(row: Row, at: date | datetime, rates: Rates) -> float:
    return rates.get((_day(at), row["currency"]), 1.0)


def _day(at: date | datetime) -> date:
    return at.date() if isinstance(at, datetime) else at
