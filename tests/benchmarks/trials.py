"""`sellerscore train --trials 20` compared with the default settings on three simulated marketplaces.

Test loans are later and of other sellers. The search never sees them. The same comparison on real merchants is in
docs/real-data.md.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.figures import Target, print_figures
from tests.benchmarks.simulation import simulate_marketplace
from training.dataset import Dataset
from training.evidence.discrimination import compare_ranking
from training.evidence.limits import figures
from training.fit import FitConfig, fit_sample
from training.sample import Sample
from training.search import search
from training.simulation import SimulationConfig
from training.split import SplitConfig, out_of_time

SEEDS: Final = (1, 2, 3)
TRIALS: Final = 20

TARGETS: Final = {
    # 0 or more: in no marketplace does the search lose more than the half-width of the result's own interval
    "trials.least_room": Target(0.0, at_most=False),
}


def run() -> dict[str, float]:
    """Compare on every seed, print one line per seed, and return the figures under the names of var/bench.json."""
    results = [study(seed) for seed in SEEDS]
    worst = {
        "trials.lowest_difference": min(one["difference"] for one in results),
        "trials.highest_difference": max(one["difference"] for one in results),
        "trials.least_room": min(one["room"] for one in results),
    }
    print_figures(worst, TARGETS)
    return worst


def study(seed: int, sellers: int = 12_000, orders_per_seller: int = 200) -> dict[str, float]:
    """Simulate, ingest and compare the AUC of the searched with that of the default settings on the same loans."""
    config = SimulationConfig(sellers, seed=seed, orders_per_seller=orders_per_seller)
    with simulate_marketplace(config) as marketplace:
        split, configured = out_of_time(marketplace.dataset, SplitConfig()), FitConfig()
    sample = Sample.of_dataset(split.train)
    best = search(sample, configured, TRIALS, lambda _: None).best
    default = _predict(sample, split.test, configured)
    searched = default if best == configured else _predict(sample, split.test, best)
    rows = split.test.rows
    compared = compare_ranking(rows["bad"].to_numpy(dtype=bool), (searched, default), rows["seller_id"], seed=1)
    default_auc, difference = compared.scorecard, compared.difference
    print(
        f"Seed {seed}: {int(rows['bad'].sum())} defaults, AUC with {TRIALS} trials {figures(compared.model)}, default "
        f"settings {figures(default_auc)}, difference {figures(difference)}",
        flush=True,
    )
    return {
        "difference": difference.value,
        "room": difference.value + (default_auc.high - default_auc.low) / 2,
    }


def _predict(sample: Sample, test: Dataset, config: FitConfig) -> NDArray[np.float64]:
    model = fit_sample(sample, config).booster
    return np.asarray(model.predict(test.features.to_numpy(), raw_score=True))
