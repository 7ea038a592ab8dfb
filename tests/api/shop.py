"""A small model whose features have real names, with integrity features, an optional table and reaches.

A shop is named after the values in which it differs from `TYPICAL`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import lightgbm
import numpy as np

from api.models.bundle_store import save_bundle
from features.store.vectors import Snapshot, VectorStore
from scoring import Bundle, BundleParts, Policy, Reference, Vector, pack
from scoring.bands import Band, Bands
from scoring.bundle import read_reasons
from scoring.model import Calibration
from scoring.scale import Scale
from scoring.sheet import Activity, FeatureEntry, FeatureSheet, HistoryThreshold, Reach, Sizes
from tests.api.conftest import AS_OF, CATALOGUE, train_model

if TYPE_CHECKING:
    from starlette.testclient import TestClient

TYPICAL: Final[Mapping[str, float | None]] = {
    "days_since_first_order": 760.0,
    "active_days_365d": 240.0,
    "days_since_last_sale": 1.0,
    "settled_net_sales_365d": 52_000.0,
    "return_rate_90d": 0.05,
    "repeat_sales_share_180d": 0.2,
    "ad_spend_share_90d": 0.08,
    "orders_beyond_visits_180d": 0.0,
    "rush_order_share_180d": 0.01,
}
SHOPS: Final[Mapping[str, Mapping[str, float | None]]] = {
    "typical": {},
    "returns": {"return_rate_90d": 0.25},
    "rushed": {"rush_order_share_180d": 0.4},
    "unchecked": {"orders_beyond_visits_180d": None},
    "stuck": {"return_rate_90d": 0.01, "ad_spend_share_90d": 0.03, "repeat_sales_share_180d": 0.02},
    "settled": {"return_rate_90d": 0.01, "ad_spend_share_90d": 0.03},
    "new": {"days_since_first_order": 41.0},
    "empty": dict.fromkeys(TYPICAL),
    "few": {"active_days_365d": 4.0},
    "begun": {"days_since_first_order": 81.0, "active_days_365d": 5.0, "days_since_last_sale": 35.0},
    "stopped": {"days_since_last_sale": 75.0},
    "gone": {"days_since_last_sale": None, "active_days_365d": 0.0},
}
COVERS: Final[Mapping[str, date]] = dict.fromkeys(("orders", "refunds", "traffic"), AS_OF)
SCALE: Final = Scale()
_REASONS: Final = Path(__file__).parents[2] / "training" / "reasons.json"
_ORDERS: Final = ("orders",)
_VISITS: Final = ("orders", "traffic")
_ENTRIES: Final = (
    ("Days since the first order", "days", -1, "tenure", _ORDERS),
    ("Days with orders, last 365 days", "days", 0, "stability", _ORDERS),
    ("Days since the last sale", "days", 0, "recency", _ORDERS),
    ("Net sales, 365 settled days", "USD", -1, "sales_level", ("orders", "refunds")),
    ("Return rate, 90 settled days", "ratio", 1, "returns", ("orders", "refunds")),
    ("Sales to returning buyers, 180 days", "ratio", -1, "customers", _ORDERS),
    ("Advertising cost, share of sales, last 90 days", "ratio", 1, "advertising", _VISITS),
    ("Orders beyond one per 5 visits, last 180 days", "ratio", 1, "integrity", _VISITS),
    ("Orders at 3 or more per buyer and hour, last 180 days", "ratio", 1, "integrity", _ORDERS),
)


@cache
def shop_bundle(scale: Scale = SCALE, best: float = 0.01) -> Bundle:
    """Return the bundle with a scale and the highest probability of default in band A."""
    bands = Bands((Band("A", best), Band("B", 0.03), Band("C", 0.08), Band("D", 0.2), Band("E", 1.0)))
    policy = Policy(Calibration(1.0, 0.0), scale, bands, "90+ days past due within 12 months")
    reference = Reference("Borrowers of 2025", {"auc": 0.8}, {"lightgbm": lightgbm.__version__}, "tables")
    reasons = read_reasons(json.loads(_REASONS.read_text(encoding="utf-8")))
    return Bundle.from_files(pack(BundleParts(_model(), _sheet(), policy, reasons, reference)))


@cache
def _model() -> str:
    names = tuple(TYPICAL)
    rng, rows = np.random.default_rng(5), 6000
    columns = (
        rng.uniform(30, 1500, rows),
        rng.uniform(0, 365, rows),
        rng.uniform(0, 60, rows),
        rng.lognormal(10.9, 1, rows),
        rng.beta(1.5, 25, rows),
        rng.beta(2, 8, rows),
        rng.beta(2, 20, rows),
        rng.exponential(0.1, rows) * (rng.random(rows) < 0.3),
        rng.beta(1, 30, rows),
    )
    matrix = np.column_stack(columns)
    matrix[rng.random((rows, len(names))) < 0.08] = np.nan
    scored = [bool(sign) for _, _, sign, _, _ in _ENTRIES]
    signs = np.array([sign for _, _, sign, _, _ in _ENTRIES])
    # a missing value is as risky as the riskiest
    ranks = np.nan_to_num((matrix - np.nanmean(matrix, 0)) / np.nanstd(matrix, 0) * signs, nan=3.0).clip(-2, 3)
    bad = rng.random(rows) < 1 / (1 + np.exp(3.2 - 0.8 * ranks[:, scored].sum(axis=1)))
    for place, each in enumerate(scored):
        if not each:
            matrix[:, place] = 0.0
    return train_model(matrix, bad, dict(zip(names, signs.tolist(), strict=True)), 80, min_data_in_leaf=40)


def _sheet() -> FeatureSheet:
    reached = {"return_rate_90d": Reach(0.02, 0.04), "ad_spend_share_90d": Reach(0.05, 0.02)}
    entries = tuple(
        FeatureEntry(
            name,
            label,
            unit,
            sign,
            actionable=name in reached,
            structural=False,
            reason_group=group,
            typical=typical,
            scored=bool(sign),
            tables=tables,
            reach=(reached[name],) if name in reached else (),
        )
        for (name, typical), (label, unit, sign, group, tables) in zip(TYPICAL.items(), _ENTRIES, strict=True)
    )
    return FeatureSheet(
        CATALOGUE,
        entries,
        (HistoryThreshold("days_since_first_order", 90.0), HistoryThreshold("active_days_365d", 10.0)),
        ("orders", "refunds"),
        7,
        Sizes("settled_net_sales_365d", ()),
        Activity("days_since_last_sale", 60.0, since="days_since_first_order"),
    )


def values_of(shop: str) -> tuple[float | None, ...]:
    """Return the values of a shop."""
    return tuple({**TYPICAL, **SHOPS[shop]}.values())


def shop_vector(shop: str, requested_on: date, covers: Mapping[str, date] = COVERS) -> Vector:
    """Return the vector of a shop for a request on a day."""
    return Vector(shop, AS_OF, requested_on, covers, CATALOGUE, values_of(shop))


def fill_shops(home: Path, covers: Mapping[str, date] = COVERS) -> None:
    """Store all shops."""
    snapshot = Snapshot(AS_OF, f"shops-{sorted(covers.items())}", CATALOGUE, dict(covers))
    VectorStore(home / "vectors.db").replace(snapshot, [(shop, values_of(shop)) for shop in SHOPS])


@contextmanager
def serve_bundle(client: TestClient, bundle: Bundle) -> Iterator[TestClient]:
    """Make a bundle the champion of a running service."""
    services = client.app.state.services
    files = pack(BundleParts(bundle.model.text, bundle.sheet, bundle.policy, bundle.reasons, bundle.reference))
    save_bundle(services.settings, bundle.digest, files)
    client.app.state.services = replace(services, champion=replace(services.champion, bundle=bundle))
    try:
        yield client
    finally:
        client.app.state.services = services
