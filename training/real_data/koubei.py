"""Study of real merchants: Koubei's daily payments, tested on later rows of merchants that were not trained on.

A row is bad if the payments of the 56 days from `as_of` are below half (or 70%) of those of the 56 days before.
Cutoffs, test period and the halves of merchants were fixed in advance; the test is the latest two cutoffs. The model is
that of `sellerscore train` with default settings. It is compared on the same rows with the benchmark scorecard, with a
logistic regression on all features of the catalogue, and with LightGBM on 20 plain features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from features.importers import ImportOptions, find_mapping, import_delivery
from features.intake import IntakeReport, ingest, open_store
from training.columns import Columns
from training.config import TrainConfig
from training.dataset import Dataset, build
from training.evidence.discrimination import compare_ranking
from training.evidence.fake_order_strategies import FakeOrdersConfig
from training.evidence.level import LevelEstimate, estimate_level, estimate_slope
from training.evidence.metrics import Estimate
from training.fit import FitConfig, fit_sample
from training.labels import LabelConfig
from training.real_data.cross_validation import logistic
from training.real_data.koubei_data import HORIZON_DAYS, daily_payments, label_rows, labels_of, plain_features
from training.refits import RefitConfig
from training.run import train
from training.sample import Sample
from training.search import search
from training.split import SplitConfig, out_of_time

if TYPE_CHECKING:
    import pandas as pd

TEST_DAYS: Final = 31
"""The latest cutoff and the first of the month before."""

UNSEEN_SHARE: Final = 0.5
SPLITS: Final = ("a", "b", "c")
"""Salts that divide the merchants into halves, fixed before any result was known."""

SHARES: Final = (0.5, 0.7)
"""A merchant is bad if the payments fall below this share."""

USD_PER_CNY: Final = 0.15
MODEL, SCORECARD, LOGISTIC, PLAIN = "model", "scorecard", "logistic", "plain_lightgbm"
BASELINES: Final = (SCORECARD, LOGISTIC, PLAIN)
UNGUARDED: Final = "unguarded"
"""The same training, which may also read the features that fake orders can move."""

SEARCHED: Final = "searched"
"""The same training after a search for settings."""

TRIALS: Final = 20
"""Number of trials of the search."""


@dataclass(frozen=True)
class SplitResult:
    """Test results of one division of the merchants.

    Attributes:
        salt: salt of the division.
        train: number of training rows, and of bad ones among them.
        test: number of test rows, and of bad ones among them.
        auc: by model, with a 95% interval clustered by merchant.
        above: by other model, the AUC of our model minus that of the other, paired.
        kind: the chosen kind of model.
        features: number of features that it reads.
    """

    salt: str
    train: tuple[int, int]
    test: tuple[int, int]
    auc: Mapping[str, Estimate]
    above: Mapping[str, Estimate]
    kind: str
    features: int

    @property
    def best_baseline(self) -> str:
        """The baseline with the highest AUC."""
        return max(BASELINES, key=lambda name: self.auc[name].value)


@dataclass(frozen=True)
class ShareResult:
    """Results of one label: the share of payments, the splits, and the calibration on all their test rows."""

    share: float
    splits: tuple[SplitResult, ...]
    slope: Estimate
    level: LevelEstimate

    def mean_auc(self, name: str) -> float:
        """Return the mean AUC of a model over the splits."""
        return float(np.mean([split.auc[name].value for split in self.splits]))

    @property
    def best_baseline_auc(self) -> float:
        """The mean over the splits of the AUC of the best baseline."""
        return float(np.mean([split.auc[split.best_baseline].value for split in self.splits]))


@dataclass(frozen=True)
class Study:
    """Results of the study: the ingest report, the cutoffs, and the results by label."""

    intake: IntakeReport
    merchants: int
    cutoffs: tuple[str, ...]
    results: tuple[ShareResult, ...]


def study(source: Path, home: Path, step: Callable[[str], None]) -> Study:
    """Import, ingest, label, train and test; `home` is a state folder for this study."""
    import pandas as pd

    step("Koubei: importing payments")
    import_delivery(find_mapping("koubei"), source, home / "delivery", ImportOptions(usd_per_unit=USD_PER_CNY))
    step("Koubei: ingesting orders")
    intake = ingest(home / "delivery", home / "operating")
    store = open_store(home / "operating")
    daily = daily_payments(pd.read_parquet(source / "payments.parquet"))
    rows = label_rows(daily)
    step("Koubei: computing features")
    dataset = build(store, labels_of(rows, SHARES[0]))
    plain = plain_features(daily, dataset.rows)
    results = []
    for share in SHARES:
        labels = labels_of(rows, share)
        labelled = replace(dataset, rows=labels.rows, labels=labels)
        results.append(_evaluate(labelled, plain, share, step))
    cutoffs = tuple(str(day.date()) for day in sorted(rows["as_of"].unique()))
    return Study(intake, rows["seller_id"].nunique(), cutoffs, tuple(results))


def config_of(salt: str, definition: str) -> TrainConfig:
    """Return the default settings with the label and split of this study."""
    return TrainConfig(
        labels=LabelConfig(horizon_days=HORIZON_DAYS, definition=definition),
        split=SplitConfig(test_days=TEST_DAYS, unseen_share=UNSEEN_SHARE, salt=salt),
        refits=RefitConfig(0),
        fake_orders=FakeOrdersConfig(sellers=0),
    )


def _evaluate(dataset: Dataset, plain: pd.DataFrame, share: float, step: Callable[[str], None]) -> ShareResult:
    splits, pooled = [], []
    for salt in SPLITS:
        step(f"Koubei: payments below {share:.0%}, split {salt}")
        result, truth, predicted, merchants = _split(dataset, plain, salt)
        splits.append(result)
        pooled.append((truth, predicted, merchants))
    bad, probability = (np.concatenate([part[index] for part in pooled]) for index in (0, 1))
    owners = [name for part in pooled for name in part[2]]
    slope = estimate_slope(bad, probability, owners)
    return ShareResult(share, tuple(splits), slope, estimate_level(bad, probability, owners))


def _split(
    dataset: Dataset, plain: pd.DataFrame, salt: str
) -> tuple[SplitResult, NDArray[np.bool_], NDArray[np.float64], list[str]]:
    config = config_of(salt, dataset.labels.definition)
    run = train(dataset, config)
    if run.predictions is None:
        raise TypeError("a run that was tested out of time has predictions")
    parts = out_of_time(dataset, config.split)
    bad = parts.test.rows["bad"].to_numpy()
    inside, outside = (_row_numbers(dataset, part) for part in (parts.train, parts.test))
    predicted = {
        MODEL: run.predictions["probability"].to_numpy(),
        SCORECARD: run.predictions["scorecard"].to_numpy(),
        LOGISTIC: _logistic(parts.train, parts.test),
        PLAIN: _plain_lightgbm(plain.iloc[inside], parts.train.rows["bad"], plain.iloc[outside]),
        UNGUARDED: _unguarded(parts.train, parts.test, config.fit),
        SEARCHED: _searched(parts.train, parts.test, config.fit),
    }
    merchants = parts.test.rows["seller_id"]
    against = {
        name: compare_ranking(bad, (predicted[MODEL], probability), merchants, config.fit.seed)
        for name, probability in predicted.items()
        if name != MODEL
    }
    result = SplitResult(
        salt,
        (len(inside), int(parts.train.rows["bad"].sum())),
        (len(bad), int(bad.sum())),
        {MODEL: against[SCORECARD].model, **{name: each.scorecard for name, each in against.items()}},
        {name: each.difference for name, each in against.items()},
        str(run.facts["model"]),
        int(run.facts["features"]),
    )
    return result, bad, predicted[MODEL], merchants.tolist()


def _row_numbers(dataset: Dataset, part: Dataset) -> NDArray[np.int64]:
    """Return the positions of the rows of a part in the dataset."""
    import pandas as pd

    keys = ["seller_id", "as_of"]
    numbers: NDArray[np.int64] = pd.MultiIndex.from_frame(dataset.rows[keys]).get_indexer(
        pd.MultiIndex.from_frame(part.rows[keys])
    )
    return numbers


def _logistic(inside: Dataset, outside: Dataset) -> NDArray[np.float64]:
    """Predict with a logistic regression on every feature that is not constant, in either direction."""
    varied = [name for name in inside.features if inside.features[name].nunique() > 1]
    model = logistic().fit(inside.features[varied], inside.rows["bad"])
    predicted: NDArray[np.float64] = model.predict_proba(outside.features[varied])[:, 1]
    return predicted


def _plain_lightgbm(inside: pd.DataFrame, bad: pd.Series, outside: pd.DataFrame) -> NDArray[np.float64]:
    import lightgbm

    settings = {
        "objective": "binary",
        "learning_rate": 0.05,
        "num_leaves": 15,
        "min_data_in_leaf": 20,
        "lambda_l2": 1.0,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
        "seed": 1,
    }
    data = lightgbm.Dataset(inside.to_numpy(), bad.to_numpy().astype(float))
    return np.asarray(lightgbm.train(settings, data, 100).predict(outside.to_numpy()))


def _unguarded(inside: Dataset, outside: Dataset, config: FitConfig) -> NDArray[np.float64]:
    """Predict with the model trained on the features that fake orders can move as well: the cost of excluding them."""
    features = [str(name) for name in inside.features]
    directed = Columns.of(features, not_scored=[name for name in features if not inside.signs.get(name)])
    rows = inside.rows
    sample = Sample.of(inside.features, rows["bad"], rows["seller_id"], rows["as_of"], directed)
    model = fit_sample(sample, config).booster
    return np.asarray(model.predict(outside.features.to_numpy(), raw_score=True))


def _searched(inside: Dataset, outside: Dataset, config: FitConfig) -> NDArray[np.float64]:
    """Predict with the model trained with the settings that `sellerscore train --trials 20` finds."""
    sample = Sample.of_dataset(inside)
    best = search(sample, config, TRIALS, lambda _: None).best
    model = fit_sample(sample, best).booster
    return np.asarray(model.predict(outside.features.to_numpy(), raw_score=True))


def figures(results: Study) -> dict[str, float]:
    """Return the figures of var/real-data.json, such as `koubei_50_auc`."""
    numbers: dict[str, float] = {}
    for result in results.results:
        begin = f"koubei_{result.share * 100:.0f}"
        numbers[f"{begin}_auc"] = result.mean_auc(MODEL)
        numbers[f"{begin}_best_baseline_auc"] = result.best_baseline_auc
        for name in (*BASELINES, UNGUARDED, SEARCHED):
            numbers[f"{begin}_{name}_auc"] = result.mean_auc(name)
        for split in result.splits:
            best = split.best_baseline
            numbers |= split.auc[MODEL].figures(f"{begin}_{split.salt}_auc")
            numbers[f"{begin}_{split.salt}_best_baseline_auc"] = split.auc[best].value
            numbers |= split.above[best].figures(f"{begin}_{split.salt}_above_best_baseline")
            numbers |= split.above[SEARCHED].figures(f"{begin}_{split.salt}_above_searched")
        numbers |= result.slope.figures(f"{begin}_calibration_slope")
        numbers |= result.level.ratio.figures(f"{begin}_observed_over_expected")
    return numbers
