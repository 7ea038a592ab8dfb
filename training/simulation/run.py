"""Run of a simulation, from the configuration to the delivery.

Sellers are simulated in chunks, so that memory does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import numpy as np

from training.simulation.accounts import loan_rows, payment_rows, purchase_rows, seller_rows, store_rows, truth_rows
from training.simulation.config import SimulationConfig, SimulationSummary
from training.simulation.economy import run_economy
from training.simulation.market import Market, build_market, fx_rows
from training.simulation.orders import ChunkContext, collect_orders, fulfilment_rows, order_rows, refund_rows
from training.simulation.rows import Clock, Rows
from training.simulation.sellers import CHUNK_SELLERS, draw_traits
from training.simulation.visits import rating_rows, traffic_rows
from training.simulation.write import TRUTH, DeliveryWriter, new_delivery, with_bad_rows


def simulate(
    config: SimulationConfig, out: Path, progress: Callable[[int, int], None] | None = None
) -> SimulationSummary:
    """Simulate a marketplace and write its operating data to `out` as one delivery.

    `out` receives `<table>.parquet` for each table of the contract, `delivery.json`, and `truth/truth.parquet`, the
    hidden state, which only tests and studies may read. `progress` receives the number of sellers done and in total.

    Example:
        >>> summary = simulate(SimulationConfig(sellers=200), Path("delivery"))  # doctest: +SKIP
        >>> summary.rows["orders"]  # doctest: +SKIP
        201342

    Raises:
        SimulationError: `out` is not empty or cannot be written.
    """
    streams = np.random.SeedSequence(config.seed).spawn(2)
    market = build_market(config, np.random.default_rng(streams[0]))
    starts = range(0, config.sellers, CHUNK_SELLERS)
    totals = np.zeros(3, dtype=np.int64)
    with new_delivery(out, config.end, f"simulated by sellerscore, seed {config.seed}") as writer:
        writer.write(fx_rows(market, config.start))
        for first, stream in zip(starts, streams[1].spawn(len(starts)), strict=True):
            totals += _simulate_chunk(config, market, first, np.random.default_rng(stream), writer)
            if progress is not None:
                progress(min(first + CHUNK_SELLERS, config.sellers), config.sellers)
    loans, defaults, fakers = totals.tolist()
    counts = {name: dict(counter) for name, counter in writer.counts.items()}
    return SimulationSummary(**counts, loans=loans, defaults=defaults, fakers=fakers)


def _simulate_chunk(
    config: SimulationConfig, market: Market, first: int, rng: np.random.Generator, writer: DeliveryWriter
) -> tuple[int, int, int]:
    """Simulate one chunk of sellers and write its rows; return the numbers of loans, defaults and fakers."""
    traits = draw_traits(config, market, first, rng)
    chunk = ChunkContext(traits, run_economy(traits, market, rng), market, Clock(config.start))
    for table in _tables(chunk, rng):
        writer.write(*with_bad_rows(_known_by(table, config.end), rng))
    loans = chunk.economy.loans
    return sum(len(batch.seller) for batch in loans.disbursals), len(loans.defaults), int(traits.faker.sum())


def _tables(chunk: ChunkContext, rng: np.random.Generator) -> Iterator[Rows]:
    """Yield the tables of a chunk one by one, so that only one is in memory."""
    yield seller_rows(chunk, rng)
    yield store_rows(chunk, rng)
    placed = collect_orders(chunk.economy, chunk.traits, rng)
    orders = order_rows(placed, chunk, rng)
    yield orders
    yield refund_rows(placed, orders, chunk, rng)
    yield fulfilment_rows(placed, orders, chunk, rng)
    yield traffic_rows(chunk, rng)
    yield rating_rows(chunk, rng)
    yield purchase_rows(chunk, rng)
    yield from loan_rows(chunk, rng)
    yield payment_rows(chunk, rng)
    yield truth_rows(chunk)


def _known_by(rows: Rows, end: date) -> Rows:
    """Return the rows that are known by the end of the period."""
    if rows.table == TRUTH:
        return rows
    return rows.take(rows.array("known_at") <= np.datetime64(end, "us"))
