"""One simulation from configuration to delivery.

The market comes first, then sellers chunk by chunk, so that memory does not grow with their number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np

from training.simulation.accounts import loan_rows, payment_rows, purchase_rows, seller_rows, store_rows, truth_rows
from training.simulation.config import SimulationConfig, SimulationSummary
from training.simulation.economy import run_economy
from training.simulation.market import Market, build_market, fx_rows
from training.simulation.orders import Setting, fulfilment_rows, gather, order_rows, refund_rows
from training.simulation.rows import Clock, Rows
from training.simulation.sellers import CHUNK_SELLERS, draw_traits
from training.simulation.visits import rating_rows, traffic_rows
from training.simulation.write import TRUTH, BadRows, DeliveryWriter, new_delivery, with_bad_rows


@dataclass
class _Tally:
    """Counts over all chunks, for the summary."""

    malformed: Counter[str] = field(default_factory=Counter)
    duplicates: Counter[str] = field(default_factory=Counter)
    conflicts: Counter[str] = field(default_factory=Counter)
    loans: int = 0
    defaults: int = 0
    fakers: int = 0

    def add(self, table: str, mess: BadRows) -> None:
        """Count the bad rows of one table of one chunk."""
        self.malformed[table] += mess.malformed
        self.duplicates[table] += mess.duplicates
        self.conflicts[table] += mess.conflicts


def simulate(
    config: SimulationConfig, out: Path, progress: Callable[[int, int], None] | None = None
) -> SimulationSummary:
    """Simulate a marketplace and write its operating data to `out` as one delivery.

    `out` gets `<table>.parquet` for each table of the contract, `delivery.json`, and `truth/truth.parquet`, the
    hidden state that nothing but tests and studies may read. `progress` is told the sellers done and their number.

    Example:
        >>> summary = simulate(SimulationConfig(sellers=200), Path("delivery"))  # doctest: +SKIP
        >>> summary.rows["orders"]  # doctest: +SKIP
        201342

    Raises:
        SimulationError: `out` already holds something.
    """
    streams = np.random.SeedSequence(config.seed).spawn(2)
    market = build_market(config, np.random.default_rng(streams[0]))
    starts = range(0, config.sellers, CHUNK_SELLERS)
    tally = _Tally()
    with new_delivery(out, config.end, f"simulated by sellerscore, seed {config.seed}") as writer:
        writer.write(fx_rows(market, config.start))
        for first, stream in zip(starts, streams[1].spawn(len(starts)), strict=True):
            _chunk((config, market, first), np.random.default_rng(stream), writer, tally)
            if progress is not None:
                progress(min(first + CHUNK_SELLERS, config.sellers), config.sellers)
    return _summary(writer, tally)


def _chunk(
    plan: tuple[SimulationConfig, Market, int], rng: np.random.Generator, writer: DeliveryWriter, tally: _Tally
) -> None:
    """Live the lives of one chunk of sellers and write what they left behind."""
    config, market, first = plan
    traits = draw_traits(config, market, first, rng)
    setting = Setting(traits, run_economy(traits, market, rng), market, Clock(config.start))
    for table in _tables(setting, rng):
        rows, mess = with_bad_rows(_known_by(table, config.end), rng)
        tally.add(table.table, mess)
        writer.write(rows)
    tally.loans += sum(len(batch.seller) for batch in setting.economy.loans.disbursals)
    tally.defaults += len(setting.economy.loans.defaults)
    tally.fakers += int(traits.faker.sum())


def _tables(setting: Setting, rng: np.random.Generator) -> Iterator[Rows]:
    """Every table of a chunk in turn, so that only one is held at a time."""
    yield seller_rows(setting, rng)
    yield store_rows(setting, rng)
    deals = gather(setting.economy, setting.traits, rng)
    orders = order_rows(deals, setting, rng)
    yield orders
    yield refund_rows(deals, orders, setting, rng)
    yield fulfilment_rows(deals, orders, setting, rng)
    yield traffic_rows(setting, rng)
    yield rating_rows(setting, rng)
    yield purchase_rows(setting, rng)
    yield from loan_rows(setting, rng)
    yield payment_rows(setting, rng)
    yield truth_rows(setting)


def _known_by(rows: Rows, end: date) -> Rows:
    """What is learned after the end of the record is not delivered."""
    if rows.table == TRUTH:
        return rows
    return rows.take(rows.array("known_at") <= np.datetime64(end, "us"))


def _summary(writer: DeliveryWriter, tally: _Tally) -> SimulationSummary:
    return SimulationSummary(
        rows=dict(writer.rows),
        malformed=dict(tally.malformed),
        duplicates=dict(tally.duplicates),
        conflicts=dict(tally.conflicts),
        late=dict(writer.late),
        loans=tally.loans,
        defaults=tally.defaults,
        fakers=tally.fakers,
    )
