"""Coverage of sellers equals a naive oracle: loops over deliveries, stores and midnights."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given

from features import pipeline
from features.ingest import OperatingStore, StoredDelivery
from features.pipeline import all_sellers, compute_frame, latest_midnight, latest_sellers
from features.seller_coverage import COVERED_TABLES, latest_midnights, pair_coverage
from features.store.operating import CoveredStores
from tests.counts import repeat
from tests.oracles.accepted_rows import features_named, write_accepted
from tests.oracles.market import MIDNIGHTS, Shape, market
from tests.oracles.seller_view import OF_STORES, seller_view, visible
from tests.oracles.shapes import SHAPES, examples

Covers = Mapping[str, date]


@dataclass(frozen=True)
class Claim:
    """The coverage of a delivery, the stores and sellers that it names, and whether it holds for the whole platform."""

    covers: Covers
    stores: frozenset[str]
    sellers: frozenset[str]
    platform: bool


def claims(rng: random.Random, rows: Mapping[str, Any]) -> list[Claim]:
    """Draw up to five deliveries, of which the first covers orders of some stores."""
    stores, sellers = (sorted({row[f"{kind}_id"] for row in rows[f"{kind}s"]}) for kind in ("store", "seller"))
    found = []
    for number in range(rng.randint(1, 5)):
        tables = rng.sample(COVERED_TABLES, k=rng.randint(1, len(COVERED_TABLES)))
        tables += ["orders"] if not number else []
        covers = {table: MIDNIGHTS[-1] - timedelta(days=rng.choice([0, 1, 6, 7, 8, 30])) for table in tables}
        named = [frozenset(rng.sample(ids, k=rng.randint(0, len(ids)))) for ids in (stores, sellers)]
        found.append(Claim(covers, *named, platform=rng.random() < 0.4))
    return found


def store_of(rows: Mapping[str, Any], found: list[Claim], folder: Path) -> OperatingStore:
    """Write a `listed` delivery of the parties that covers nothing, and a delivery without rows for each claim."""
    written = write_accepted({name: rows[name] for name in ("sellers", "stores")}, folder)
    parties = (
        frozenset(row[key] for row in rows[name]) for name, key in (("stores", "store_id"), ("sellers", "seller_id"))
    )
    every = Claim({}, *parties, platform=False)
    deliveries = [replace(each, covers_stores="listed") for each in written.deliveries]
    for number, claim in enumerate(found):
        covered: CoveredStores = "all" if claim.platform else "listed"
        deliveries.append(StoredDelivery(f"claim-{number}", claim.covers, {}, covers_stores=covered))
    for delivery, claim in zip(deliveries, [every, *found], strict=True):
        ids = {"store_id": [*claim.stores, *[None] * len(claim.sellers)]}
        ids |= {"seller_id": [*[None] * len(claim.stores), *claim.sellers]}
        path = OperatingStore(folder, ()).listed_file(delivery)
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({name: pa.array(each, pa.string()) for name, each in ids.items()}), path)
    return OperatingStore(folder, tuple(deliveries))


def expected_coverage(rows: Mapping[str, Any], found: list[Claim], seller: str, as_of: date) -> dict[str, date]:
    """Return the coverage of a seller: of each store the latest claim, of the seller the earliest store."""
    stores = [version["store_id"] for version in seller_view(visible(rows, as_of), seller, as_of).stores]
    platform = [c for c in found if c.platform]
    on_platform = frozenset().union(*(c.stores for c in platform), *(c.sellers for c in platform))
    covered = {}
    for table in COVERED_TABLES:
        claims_of = [
            [c for c in found if name in c.stores | c.sellers or (c.platform and name in on_platform)]
            for name in (stores if table in OF_STORES else [seller])
        ]
        of_each = [[c.covers.get(table) for c in each] for each in claims_of or [found]]
        days = [[day for day in each if day is not None] for each in of_each]
        if all(days):
            covered[table] = min(map(max, days))
    return covered


@pytest.mark.repeated
@given(SHAPES)
@example(Shape(seed=3, sellers=6, events=3))
@examples(repeat(3, 40))
def test_the_coverage_of_pairs_equals_the_oracle(shape: Shape) -> None:
    rng = random.Random(shape.seed)  # noqa: S311 - test claims, nothing secret
    rows = market(shape)
    found = claims(rng, rows)
    sellers = [f"S{number}" for number in range(shape.sellers)]
    pairs = pd.DataFrame([(seller, day) for seller in sellers for day in MIDNIGHTS], columns=["seller_id", "as_of"])
    with TemporaryDirectory() as folder:
        store = store_of(rows, found, Path(folder))
        coverage = pair_coverage(store, pairs)
        if "orders" in store.covers_through:
            check_latest_sellers(store)
    latest = latest_midnights(coverage)
    for row, end in zip(coverage.to_dict("records"), latest, strict=True):
        expected = expected_coverage(rows, found, str(row["seller_id"]), row["as_of"].date())
        actual = {name: row[name].date() for name in COVERED_TABLES if not pd.isna(row[name])}
        assert actual == expected, (row["seller_id"], row["as_of"])
        assert (None if pd.isna(end) else end.date()) == expected_latest(expected)


def expected_latest(covers: Covers) -> date | None:
    if "orders" not in covers:
        return None
    return min(day for day in covers.values() if (covers["orders"] - day).days <= 7)


def check_latest_sellers(store: OperatingStore) -> None:
    """Check that every seller is known and covered as of the latest midnight."""
    found = latest_sellers(store)
    assert found["seller_id"].is_unique
    coverage = pair_coverage(store, found)
    assert (latest_midnights(coverage) >= coverage["as_of"]).all()


def test_deliveries_for_all_stores_are_computed_as_without_coverage_by_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = market(Shape(seed=2, sellers=5, events=20))
    written = write_accepted(rows, tmp_path)
    covers = dict.fromkeys(COVERED_TABLES, MIDNIGHTS[-1])
    store = replace(written, deliveries=tuple(replace(each, covers_through=covers) for each in written.deliveries))
    for name in ("pair_coverage", "latest_coverage"):
        monkeypatch.setattr(pipeline, name, None)  # a call fails
    expected = all_sellers(store, latest_midnight(store))
    assert latest_sellers(store).equals(expected)
    computed = compute_frame(store, expected, features_named("orders_90d"))
    assert len(computed) == len(expected)
