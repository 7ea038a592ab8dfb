"""How near the model comes to an oracle: three simulated marketplaces, test loans later in time and of unseen sellers.

The oracle is the same trainer given all hidden state at T beside the features; the floor is a logistic model on sales
and tenure alone. The only code outside the simulation's tests that reads the truth.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from features.intake import ingest, open_store
from tests.benchmarks.features import Target
from training.columns import Columns
from training.dataset import Dataset, build, loan_labels
from training.evidence.bands import judged_bands
from training.evidence.metrics import evaluate
from training.fit import FitConfig, fit_calibration, fit_sample, probabilities
from training.package import BANDS
from training.real_data.cross_validation import logistic
from training.sample import Sample
from training.simulation import SimulationConfig, simulate
from training.split import Split, SplitConfig, hold_out

SEEDS: Final = (101, 102, 103)
"""No setting was chosen on these; that was done on seeds 1, 2 and 3."""

PARTS: Final = 5
"""Parts of the sellers; each is judged by models that learnt on all others, so that every test loan is of a seller
unseen by its model and none is wasted."""

SPLIT: Final = SplitConfig()
FLOOR: Final = ["settled_net_sales_365d", "days_on_platform"]

TARGETS: Final = {
    "simulation.least_test_bad": Target(400, at_most=False),
    "simulation.lowest_model_over_oracle_gini": Target(0.92, at_most=False),
    "simulation.lowest_calibration_slope": Target(0.9, at_most=False),
    "simulation.highest_calibration_slope": Target(1.1),
    "simulation.lowest_observed_over_expected": Target(0.9, at_most=False),
    "simulation.highest_observed_over_expected": Target(1.1),
    "simulation.bands_out_of_order": Target(0),
}

Predictions = dict[str, np.ndarray]
"""By model, probabilities of default of some test rows; `bad` has their outcomes."""


@dataclass(frozen=True)
class Scale:
    """How large each marketplace is."""

    sellers: int = 20_000
    orders_per_seller: int = 400


def run(scale: Scale = Scale(), seeds: tuple[int, ...] = SEEDS) -> dict[str, float]:
    """Study every seed, print a line each, and return the worst figures under the names of var/bench.json."""
    each = []
    for seed in seeds:
        each.append(study(seed, scale))
        print(json.dumps({key: round(value, 4) for key, value in each[-1].items()}), flush=True)
    figures = {
        "simulation.least_test_bad": min(one["test_bad"] for one in each),
        "simulation.lowest_auc": min(one["model_auc"] for one in each),
        "simulation.highest_auc": max(one["model_auc"] for one in each),
        "simulation.lowest_model_over_oracle_gini": min(one["model_over_oracle_gini"] for one in each),
        "simulation.highest_floor_over_oracle_gini": max(one["floor_over_oracle_gini"] for one in each),
        "simulation.lowest_calibration_slope": min(one["calibration_slope"] for one in each),
        "simulation.highest_calibration_slope": max(one["calibration_slope"] for one in each),
        "simulation.lowest_observed_over_expected": min(one["observed_over_expected"] for one in each),
        "simulation.highest_observed_over_expected": max(one["observed_over_expected"] for one in each),
        "simulation.bands_out_of_order": max(one["bands_out_of_order"] for one in each),
    }
    for name, value in figures.items():
        target = TARGETS.get(name)
        verdict = "" if target is None else f"  {'met' if target.met(value) else 'MISSED'}: {target}"
        print(f"{name:<43}  {value:>8.4g}{verdict}", flush=True)
    return figures


def study(seed: int, scale: Scale) -> dict[str, float]:
    """Simulate, ingest, train and compare once; return the figures of one seed."""
    with tempfile.TemporaryDirectory(prefix="sellerscore-study-") as folder:
        delivery, home = Path(folder) / "delivery", Path(folder) / "operating"
        config = SimulationConfig(sellers=scale.sellers, seed=seed, orders_per_seller=scale.orders_per_seller)
        simulate(config, delivery)
        ingest(delivery, home)
        store = open_store(home)
        dataset = build(store, loan_labels(store))
        hidden = hidden_state(delivery / "truth" / "truth.parquet", dataset)
    return {"seed": seed, **judge(dataset, hidden)}


def judge(dataset: Dataset, hidden: pd.DataFrame) -> dict[str, float]:
    """Train on each part's other sellers, predict its later loans, and return the figures of all of them together."""
    part = part_of(dataset.rows["seller_id"])
    judged = [_predictions(hold_out(dataset, SPLIT, part == number), hidden) for number in range(PARTS)]
    bad, model, oracle, floor = (np.concatenate([one[name] for one in judged]) for name in judged[0])
    figures = {name: evaluate(bad, each) for name, each in (("model", model), ("oracle", oracle), ("floor", floor))}
    gini = {name: each["gini"].value for name, each in figures.items()}
    bands = judged_bands(BANDS, bad, model)
    slope = figures["model"]["calibration_slope"]
    return {
        "test_rows": len(bad),
        "test_bad": int(bad.sum()),
        "model_auc": figures["model"]["auc"].value,
        "model_auc_low": figures["model"]["auc"].low,
        "model_auc_high": figures["model"]["auc"].high,
        "oracle_auc": figures["oracle"]["auc"].value,
        "floor_auc": figures["floor"]["auc"].value,
        "model_over_oracle_gini": gini["model"] / gini["oracle"],
        "floor_over_oracle_gini": gini["floor"] / gini["oracle"],
        "calibration_slope": slope.value,
        "calibration_slope_low": slope.low,
        "calibration_slope_high": slope.high,
        "observed_over_expected": float(bad.sum() / model.sum()),
        **{f"observed_in_{band.name}": band.observed.value for band in bands},
        "bands_out_of_order": sum(better.observed.value >= worse.observed.value for better, worse in pairwise(bands)),
    }


def part_of(seller_ids: pd.Series) -> pd.Series:
    """Return the part of each seller, by a hash of the id."""
    return seller_ids.map(lambda seller: int.from_bytes(hashlib.sha256(seller.encode()).digest()[:8], "big") % PARTS)


def _predictions(split: Split, hidden: pd.DataFrame) -> Predictions:
    train, test = split.train, split.test
    told = [pd.concat([part.features, hidden_of(hidden, part)], axis=1) for part in (train, test)]
    plain = logistic().fit(train.features[FLOOR], train.rows["bad"])
    return {
        "bad": test.rows["bad"].to_numpy(),
        "model": _boosted(split, train.features, test.features),
        "oracle": _boosted(split, *told, free=True),
        "floor": plain.predict_proba(test.features[FLOOR])[:, 1],
    }


def hidden_state(truth: Path, dataset: Dataset) -> pd.DataFrame:
    """Return the truth's numeric columns indexed by (seller_id, as_of), the midnights of the dataset's rows only."""
    table = pd.read_parquet(truth)
    table["as_of"] = pd.to_datetime(table["as_of"]).astype("datetime64[us]")
    wanted = dataset.rows[["seller_id", "as_of"]].astype({"as_of": "datetime64[us]"})
    kept = wanted.merge(table[table["loan_id"].notna()], on=["seller_id", "as_of"], how="left")
    kept = kept.drop_duplicates(["seller_id", "as_of"])
    return kept.set_index(["seller_id", "as_of"]).select_dtypes(["number", "bool"]).astype(float).add_prefix("hidden_")


def hidden_of(hidden: pd.DataFrame, part: Dataset) -> pd.DataFrame:
    """Return the hidden state of a part's rows, in their order."""
    keys = pd.MultiIndex.from_frame(part.rows[["seller_id", "as_of"]].astype({"as_of": "datetime64[us]"}))
    return hidden.reindex(keys).reset_index(drop=True)


def _boosted(split: Split, train: pd.DataFrame, test: pd.DataFrame, *, free: bool = False) -> np.ndarray:
    """Predict as a run does; a free model may take every feature at its word, also what fake orders could buy."""
    rows, config = split.train.rows, FitConfig(extra_trees=not free)
    columns = Columns.of(map(str, train.columns), not_scored=()) if free else None
    fitted = fit_sample(Sample.of(train, rows["bad"], rows["seller_id"], rows["as_of"], columns), config)
    calibration = fit_calibration(fitted.out_of_fold, rows["bad"].to_numpy())
    return probabilities(calibration, np.asarray(fitted.booster.predict(test.to_numpy(), raw_score=True)))
