"""Model compared with an oracle on three simulated marketplaces; test loans are later and of other sellers.

The oracle is the same training with all hidden state at T in addition to the features. The floor is a logistic model on
sales and tenure only. Only this module, `fake_orders` and the tests of the simulation read the truth.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from features.ingest import OperatingStore, ingest, open_store
from scoring import Bundle, pack
from tests.benchmarks.figures import Target, print_figures
from training.columns import Columns
from training.dataset import Dataset, build, loan_labels
from training.evidence.bands import measure_bands
from training.evidence.metrics import evaluate
from training.fit import FitConfig, fit_calibration, fit_sample, probabilities
from training.package import BANDS, Package, bundle_parts
from training.real_data.cross_validation import logistic
from training.sample import Sample
from training.simulation import SimulationConfig, simulate
from training.split import Split, SplitConfig, hold_out

SEEDS: Final = (101, 102, 103)
"""No setting was chosen on these; that was done on seeds 1, 2 and 3."""

PARTS: Final = 5
"""Number of parts of the sellers. Each is tested with a model trained on the other parts, so that every test loan is of
a seller that its model was not trained on, and every loan is used."""

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
    """Size of each marketplace."""

    sellers: int = 20_000
    orders_per_seller: int = 400


def run(scale: Scale = Scale(), seeds: tuple[int, ...] = SEEDS) -> dict[str, float]:
    """Study every seed, print one line per seed, and return the worst figures under the names of var/bench.json."""
    results = []
    for seed in seeds:
        results.append(study(seed, scale))
        print(json.dumps({key: round(value, 4) for key, value in results[-1].items()}), flush=True)
    lowest, highest = ({key: function(one[key] for one in results) for key in results[0]} for function in (min, max))
    figures = {
        "simulation.least_test_bad": lowest["test_bad"],
        "simulation.lowest_auc": lowest["model_auc"],
        "simulation.highest_auc": highest["model_auc"],
        "simulation.highest_floor_over_oracle_gini": highest["floor_over_oracle_gini"],
        "simulation.bands_out_of_order": highest["bands_out_of_order"],
        "simulation.lowest_model_over_oracle_gini": lowest["model_over_oracle_gini"],
    }
    for name in ("calibration_slope", "observed_over_expected"):
        figures |= {f"simulation.lowest_{name}": lowest[name], f"simulation.highest_{name}": highest[name]}
    print_figures(figures, TARGETS)
    return figures


def study(seed: int, scale: Scale) -> dict[str, float]:
    """Simulate, ingest, train and compare once; return the figures of one seed."""
    with simulate_marketplace(
        SimulationConfig(scale.sellers, seed=seed, orders_per_seller=scale.orders_per_seller)
    ) as it:
        return {"seed": seed, **compare_models(it.dataset, read_hidden_state(it.truth, it.dataset))}


@dataclass(frozen=True)
class Marketplace:
    """A simulated marketplace as ingested, the loans to train on, and the file with the truth."""

    store: OperatingStore
    dataset: Dataset
    truth: Path


@contextmanager
def simulate_marketplace(config: SimulationConfig) -> Iterator[Marketplace]:
    """Yield a marketplace in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="sellerscore-benchmark-") as name:
        delivery, home = Path(name) / "delivery", Path(name) / "operating"
        simulate(config, delivery)
        ingest(delivery, home)
        store = open_store(home)
        yield Marketplace(store, build(store, loan_labels(store)), delivery / "truth" / "truth.parquet")


def train_bundle(part: Dataset) -> Bundle:
    """Train a bundle as a run does, without the evidence."""
    fitted = fit_sample(Sample.of_dataset(part), FitConfig())
    calibration = fit_calibration(fitted.out_of_fold, part.rows["bad"].to_numpy())
    return Bundle.from_files(pack(bundle_parts(Package(part, fitted, calibration, {}))))


def compare_models(dataset: Dataset, hidden: pd.DataFrame) -> dict[str, float]:
    """Train on the sellers of the other parts, predict the later loans of each part, and return the pooled figures."""
    part = part_of(dataset.rows["seller_id"])
    predictions = [_predictions(hold_out(dataset, SPLIT, part == number), hidden) for number in range(PARTS)]
    bad, model, oracle, floor = (np.concatenate([one[name] for one in predictions]) for name in predictions[0])
    figures = {
        name: evaluate(bad, predicted) for name, predicted in (("model", model), ("oracle", oracle), ("floor", floor))
    }
    gini = {name: metrics["gini"].value for name, metrics in figures.items()}
    bands = measure_bands(BANDS, bad, model)
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
    with_hidden = [pd.concat([part.features, hidden_columns(hidden, part)], axis=1) for part in (train, test)]
    plain = logistic().fit(train.features[FLOOR], train.rows["bad"])
    return {
        "bad": test.rows["bad"].to_numpy(),
        "model": _boosted(split, train.features, test.features),
        "oracle": _boosted(split, *with_hidden, free=True),
        "floor": plain.predict_proba(test.features[FLOOR])[:, 1],
    }


def read_hidden_state(truth: Path, dataset: Dataset) -> pd.DataFrame:
    """Return the truth's numeric columns indexed by (seller_id, as_of), the midnights of the dataset's rows only."""
    table = pd.read_parquet(truth)
    table["as_of"] = pd.to_datetime(table["as_of"]).astype("datetime64[us]")
    keys = dataset.rows[["seller_id", "as_of"]].astype({"as_of": "datetime64[us]"})
    state = keys.merge(table[table["loan_id"].notna()], on=["seller_id", "as_of"], how="left")
    state = state.drop_duplicates(["seller_id", "as_of"])
    return state.set_index(["seller_id", "as_of"]).select_dtypes(["number", "bool"]).astype(float).add_prefix("hidden_")


def hidden_columns(hidden: pd.DataFrame, part: Dataset) -> pd.DataFrame:
    """Return the hidden state of a part's rows, in their order."""
    keys = pd.MultiIndex.from_frame(part.rows[["seller_id", "as_of"]].astype({"as_of": "datetime64[us]"}))
    return hidden.reindex(keys).reset_index(drop=True)


def _boosted(split: Split, train: pd.DataFrame, test: pd.DataFrame, *, free: bool = False) -> np.ndarray:
    """Predict as a run does; a free model may read every feature, including gameable ones."""
    rows, config = split.train.rows, FitConfig(extra_trees=not free)
    columns = Columns.of(map(str, train.columns), not_scored=()) if free else None
    fitted = fit_sample(Sample.of(train, rows["bad"], rows["seller_id"], rows["as_of"], columns), config)
    calibration = fit_calibration(fitted.out_of_fold, rows["bad"].to_numpy())
    return probabilities(calibration, np.asarray(fitted.booster.predict(test.to_numpy(), raw_score=True)))
