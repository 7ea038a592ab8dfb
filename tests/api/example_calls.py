"""The example calls of the OpenAPI document, on a small model whose features have real names."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightgbm
import numpy as np

from features.store.vectors import Snapshot, VectorStore
from scoring import BundleParts, Policy, Reference, pack
from scoring.bands import Band, Bands
from scoring.bundle import read_reasons
from scoring.model import Calibration
from scoring.scale import Scale
from scoring.sheet import FeatureEntry, FeatureSheet, HistoryThreshold
from scoring.track_record import BandRecord, TrackRecord, percentiles
from tests.api.conftest import AS_OF, CATALOGUE, SELLERS, snapshot_of, train_model

if TYPE_CHECKING:
    from starlette.testclient import TestClient

SELLER = SELLERS[0]
SNAPSHOT = snapshot_of(AS_OF - timedelta(days=6))
LATER = replace(snapshot_of(AS_OF), data_version="data-2")

_REASONS = Path(__file__).parents[2] / "training" / "reasons.json"
"""The reason catalogue that training packs."""
_FEATURES = (
    ("days_since_first_order", "Days since the first order", "days", -1, "tenure"),
    ("settled_net_sales_90d", "Net sales, 90 settled days", "USD", -1, "sales_level"),
    ("return_rate_90d", "Return rate, 90 settled days", "ratio", 1, "returns"),
    ("disputed_value_365d", "Disputed value, 365 days", "ratio", 1, "disputes"),
)


def bundle_files() -> dict[str, bytes]:
    """Return a bundle of four features with all optional parts."""
    rng = np.random.default_rng(11)
    rows = 3000
    matrix = np.column_stack(
        [rng.uniform(90, 1500, rows), rng.lognormal(9, 1, rows), rng.beta(2, 30, rows), rng.beta(1, 90, rows)]
    )
    risk = -3 - matrix[:, 0] / 900 - (np.log(matrix[:, 1]) - 9) * 0.6 + 14 * matrix[:, 2] + 40 * matrix[:, 3]
    bad = rng.random(rows) < 1 / (1 + np.exp(-risk))
    model = train_model(matrix[:2000], bad[:2000], {name: sign for name, _, _, sign, _ in _FEATURES}, 40)
    bands = Bands((Band("A", 0.015), Band("B", 0.035), Band("C", 0.07), Band("D", 0.15), Band("E", 1.0)))
    chance = np.asarray(lightgbm.Booster(model_str=model).predict(matrix[2000:]))
    record = _record(bands, chance, bad[2000:])
    reference = Reference(
        f"2000 training rows, {bad[:2000].mean():.1%} bad",
        {"auc": round(_auc(bad[2000:], chance), 4)},
        {"lightgbm": lightgbm.__version__},
        "tables",
        record,
        ("Ranks online sellers who ask for business financing.", "- Not for consumers."),
    )
    typical = np.median(matrix[:2000], axis=0)
    entries = tuple(
        FeatureEntry(
            name,
            label,
            unit,
            sign,
            actionable=unit == "ratio",
            structural=False,
            reason_group=group,
            typical=round(float(typical[place]), 4),
            tables=("orders", "refunds") if unit == "ratio" else ("orders",),
        )
        for place, (name, label, unit, sign, group) in enumerate(_FEATURES)
    )
    sheet = FeatureSheet(CATALOGUE, entries, (HistoryThreshold(_FEATURES[0][0], 90.0),), ("orders", "refunds"), 7)
    reasons = read_reasons(json.loads(_REASONS.read_text(encoding="utf-8")))
    policy = Policy(Calibration(1.0, 0.0), Scale(), bands, "90+ days past due within 12 months")
    return pack(BundleParts(model, sheet, policy, reasons, reference))


def _record(bands: Bands, chance: Any, bad: Any) -> TrackRecord:
    letters = np.array([bands.of(float(each)) for each in chance])
    scores = [min(max(round(Scale().points_at(float(each))), 300), 900) for each in chance]
    by_band = (BandRecord(name, int((letters == name).sum()), int(bad[letters == name].sum())) for name in bands.names)
    return TrackRecord("1,000 loans of sellers that the model never saw", percentiles(scores), tuple(by_band))


def _auc(bad: Any, chance: Any) -> float:
    return float((chance[bad][:, None] > chance[~bad][None, :]).mean())


def fill(home: Path, snapshot: Snapshot, returns: float) -> None:
    """Store the seller's vector."""
    VectorStore(home / "vectors.db").replace(snapshot, [(SELLER, (412.0, 18_240.55, returns, 0.004))])


@dataclass(frozen=True)
class ExampleCall:
    """A call as the document shows it: its request and its response."""

    parameters: dict[str, Any]
    answer: Any
    body: Any = None

    def as_json(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if value not in (None, {})}


def calls(client: TestClient, home: Path, credentials: tuple[str, str]) -> dict[str, ExampleCall]:
    """Return every example call by its operation ID."""
    form = {"grant_type": "client_credentials", "scope": "scores:read scores:write"}
    token = client.post("/oauth/token", data=form, auth=credentials).json()
    asked = {"seller_id": SELLER, "purpose": "credit_application"}
    earlier = client.post("/v1/scores", json=asked).json()
    fill(home, LATER, 0.092)
    score = client.post("/v1/scores", json=asked).json()
    one = {"score_id": score["id"]}
    since = {**one, "since": earlier["id"]}
    path = f"/v1/scores/{score['id']}"

    def got(address: str, parameters: dict[str, Any] | None = None, **query: str) -> ExampleCall:
        return ExampleCall(parameters or query, client.get(address, params=query).json())

    page = client.get(f"{path}/report").text
    return {
        "createToken": ExampleCall({}, {**token, "access_token": shortened(token["access_token"])}, form),
        "createScore": ExampleCall({}, score, asked),
        "listScores": got("/v1/scores", {"seller_id": SELLER, "limit": 1}, seller_id=SELLER, limit="1"),
        "getScore": got(path, one),
        "getScoreChanges": ExampleCall(since, client.get(f"{path}/changes", params={"since": earlier["id"]}).json()),
        "getScoreReport": ExampleCall(one, re.sub(r"\s+", " ", page)[:200] + "…"),
        "replayScore": ExampleCall(one, client.post(f"{path}/replay").json()),
        "getModel": got("/v1/model"),
        "getReasons": got("/v1/reasons"),
        "getKeys": got("/.well-known/jwks.json"),
        "getLive": got("/health/live"),
        "getReady": got("/health/ready"),
    }


def shortened(token: str) -> str:
    """Return the beginning of a token, so that no document has a valid one."""
    return token[:40] + "…"
