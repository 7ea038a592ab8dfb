"""How near the model comes to an oracle: three simulated marketplaces, test loans later in time and of unseen sellers.

The oracle is the same trainer given all hidden state at T beside the features; the floor is a logistic model on sales
and tenure alone. The only code outside the simulation's tests that reads the truth.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from features.intake import ingest, open_store
from training.calibrate import affine, probabilities
from training.dataset import Dataset, build, loan_labels
from training.evidence.metrics import evaluate
from training.fit import FitConfig, fit
from training.logistic import logistic
from training.simulation import SimulationConfig, simulate
from training.split import Split, SplitConfig, hold_out, is_unseen

SEEDS = (101, 102, 103)
LEAST_BAD = 400
"""Bad loans that each test part must have for its figures to mean something."""

SPLIT = SplitConfig(unseen_share=0.5)
FLOOR = ["settled_net_sales_365d", "days_on_platform"]


def study(seed: int, sellers: int, orders_per_seller: int) -> dict[str, float]:
    """Simulate, ingest, train and compare once; return the figures of one seed.

    Sellers are cut in two halves; each half's later loans are judged by models that learnt on the other half, so that
    every test loan is of a seller unseen by its model and none is wasted.
    """
    with tempfile.TemporaryDirectory(prefix="sellerscore-study-") as folder:
        delivery, home = Path(folder) / "delivery", Path(folder) / "operating"
        simulate(SimulationConfig(sellers=sellers, seed=seed, orders_per_seller=orders_per_seller), delivery)
        ingest(delivery, home)
        store = open_store(home)
        dataset = build(store, loan_labels(store))
        hidden = hidden_state(delivery / "truth" / "truth.parquet", dataset)
    half = is_unseen(dataset.rows["seller_id"], SPLIT)
    judged = [_judge(hold_out(dataset, SPLIT, held), hidden) for held in (half, ~half)]
    bad, model, oracle, floor = (np.concatenate(parts) for parts in zip(*judged, strict=True))
    figures = {name: evaluate(bad, each) for name, each in (("model", model), ("oracle", oracle), ("floor", floor))}
    gini = {name: each["gini"].value for name, each in figures.items()}
    return {
        "seed": seed,
        "test_rows": len(bad),
        "test_bad": int(bad.sum()),
        "model_auc": figures["model"]["auc"].value,
        "model_auc_low": figures["model"]["auc"].low,
        "model_auc_high": figures["model"]["auc"].high,
        "oracle_auc": figures["oracle"]["auc"].value,
        "floor_auc": figures["floor"]["auc"].value,
        "model_over_oracle_gini": gini["model"] / gini["oracle"],
        "floor_over_oracle_gini": gini["floor"] / gini["oracle"],
    }


def _judge(split: Split, hidden: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the test part's outcomes, and the probabilities by model, oracle and floor."""
    train, test = split.train, split.test
    model = _boosted(split, train.features, test.features)
    told = [pd.concat([part.features, hidden_of(hidden, part)], axis=1) for part in (train, test)]
    plain = logistic().fit(train.features[FLOOR], train.rows["bad"])
    floor = plain.predict_proba(test.features[FLOOR])[:, 1]
    return test.rows["bad"].to_numpy(), model, _boosted(split, *told), floor


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


def _boosted(split: Split, train: pd.DataFrame, test: pd.DataFrame) -> np.ndarray:
    rows = split.train.rows
    fitted = fit(train, rows["bad"], rows["seller_id"], FitConfig())
    calibration = affine(fitted.out_of_fold, rows["bad"].to_numpy())
    return probabilities(calibration, np.asarray(fitted.booster.predict(test.to_numpy(), raw_score=True)))


def run(sellers: int = 20_000, orders_per_seller: int = 400) -> dict[str, float]:
    """Run all seeds, print a line each, and return the worst figures under the names of var/bench.json."""
    each = []
    for seed in SEEDS:
        each.append(study(seed, sellers, orders_per_seller))
        print(json.dumps({key: round(value, 4) for key, value in each[-1].items()}), flush=True)
    return {
        "simulation.least_test_bad": min(one["test_bad"] for one in each),
        "simulation.lowest_auc": min(one["model_auc"] for one in each),
        "simulation.highest_auc": max(one["model_auc"] for one in each),
        "simulation.lowest_model_over_oracle_gini": min(one["model_over_oracle_gini"] for one in each),
        "simulation.highest_floor_over_oracle_gini": max(one["floor_over_oracle_gini"] for one in each),
    }
