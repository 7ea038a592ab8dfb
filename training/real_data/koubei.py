"""The study of real merchants: Koubei's daily payments, tested later in time and on merchants never trained on.

The label is made from outcomes: payments of the 56 days from `as_of` on below half (or 70%) of those of the 56 days
before. Cutoffs, test period and the halves of merchants are fixed in advance; the test is the latest two cutoffs. The
model is what `sellerscore train` makes with its default settings. It is compared with its scorecard, with a logistic
regression on all features of the catalogue and with LightGBM on 20 plain features, on the same rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from features.importers import ImportOptions, find_mapping, import_delivery
from features.ingest import IngestReport, ingest, open_store
from training.columns import Columns
from training.config import TrainConfig
from training.dataset import Dataset, build
from training.evidence.discrimination import compare_ranking
from training.evidence.fake_orders import FakeOrdersConfig
from training.evidence.level import LevelEstimate, estimate_level, estimate_slope
from training.evidence.metrics import Estimate
from training.fit import FitConfig, fit_sample
from training.labels import LabelConfig, Labels
from training.logistic import logistic
from training.real_data.koubei_features import plain_features
from training.refits import RefitConfig
from training.run import train
from training.sample import Sample
from training.search import search
from training.split import SplitConfig, out_of_time

if TYPE_CHECKING:
    import pandas as pd

HORIZON_DAYS: Final = 56
LEAST_HISTORY_DAYS: Final = 90
LEAST_PAYMENTS: Final = 200
FIRST_CUTOFF: Final = "2015-11-15"
TEST_DAYS: Final = 31
"""The latest cutoff and the first of the month before."""

UNSEEN_SHARE: Final = 0.5
SPLITS: Final = ("a", "b", "c")
"""Salts of the halves of merchants, fixed before any result was seen."""

SHARES: Final = (0.5, 0.7)
"""A merchant is bad whose payments fall below this share."""

USD_PER_CNY: Final = 0.15
MODEL, SCORECARD, LOGISTIC, PLAIN = "model", "scorecard", "logistic", "plain_lightgbm"
BASELINES: Final = (SCORECARD, LOGISTIC, PLAIN)
UNGUARDED: Final = "unguarded"
"""The same trainer, which may also read the features that fake orders can move."""

SEARCHED: Final = "searched"
"""The same trainer after a search of its settings."""

TRIALS: Final = 20
"""Settings that the search tries."""


@dataclass(frozen=True)
class SplitResult:
    """One half of merchants, tested.

    Attributes:
        salt: of the halves.
        train: rows of the training part and how many are bad.
        test: the same of the test part.
        auc: by model, with a 95% interval clustered by merchant.
        above: by other model, the AUC of our model less its own, paired.
        kind: the kind of model that was chosen.
        features: how many features it reads.
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
    """All splits of one label: the share of payments, the splits, and the level of all their test rows together."""

    share: float
    splits: tuple[SplitResult, ...]
    slope: Estimate
    level: LevelEstimate

    def mean_auc(self, name: str) -> float:
        """Return the mean AUC of a model over the splits."""
        return float(np.mean([split.auc[name].value for split in self.splits]))

    @property
    def best_baseline_auc(self) -> float:
        """The mean over the splits of the best baseline of each."""
        return float(np.mean([split.auc[split.best_baseline].value for split in self.splits]))


@dataclass(frozen=True)
class Study:
    """What ingest made of the data, the cutoffs, and the results by label."""

    intake: IngestReport
    merchants: int
    cutoffs: tuple[str, ...]
    results: tuple[ShareResult, ...]


def study(source: Path, home: Path, step: Callable[[str], None]) -> Study:
    """Import, ingest, label, train and test; `home` is a state folder of this study's own."""
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
        results.append(_judge(labelled, plain, share, step))
    cutoffs = tuple(str(day.date()) for day in sorted(rows["as_of"].unique()))
    return Study(intake, rows["seller_id"].nunique(), cutoffs, tuple(results))


def daily_payments(payments: pd.DataFrame) -> pd.DataFrame:
    """Return payments by shop (rows) and day (columns, none left out), 0 where there is no row."""
    import pandas as pd

    table = payments.assign(day=pd.to_datetime(payments["day"]), seller_id=payments["shop_id"].astype(str))
    wide = table.pivot_table(index="seller_id", columns="day", values="payments", aggfunc="sum")
    return wide.reindex(columns=pd.date_range(wide.columns.min(), wide.columns.max())).fillna(0.0)


def label_rows(daily: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each merchant and cutoff with enough history: seller_id, as_of, payments before and after."""
    import pandas as pd

    payments, days = daily.to_numpy(), pd.DatetimeIndex(daily.columns)
    last = days[-1] - timedelta(days=HORIZON_DAYS - 1)
    first_day = (payments > 0).argmax(axis=1)
    parts = []
    for cutoff in [pd.Timestamp(FIRST_CUTOFF), *pd.date_range(FIRST_CUTOFF, last, freq="MS")]:
        at = int(days.searchsorted(cutoff))
        before = payments[:, at - HORIZON_DAYS : at].sum(axis=1)
        after = payments[:, at : at + HORIZON_DAYS].sum(axis=1)
        known = (first_day <= at - LEAST_HISTORY_DAYS) & (before >= LEAST_PAYMENTS)
        part = pd.DataFrame({"seller_id": list(daily.index), "as_of": cutoff, "before": before, "after": after})
        parts.append(part[known])
    rows: pd.DataFrame = pd.concat(parts).sort_values(["seller_id", "as_of"], ignore_index=True)
    return rows


def labels_of(rows: pd.DataFrame, share: float) -> Labels:
    """Return the labels of rows: bad where payments fall below the share."""
    labelled = rows[["seller_id", "as_of"]].assign(bad=rows["after"] < share * rows["before"])
    words = f"payments of the next {HORIZON_DAYS} days below {share:.0%} of those of the {HORIZON_DAYS} days before"
    matured = rows["as_of"].max().date()
    return Labels(labelled, 0, matured, words, source="daily payments", horizon_days=HORIZON_DAYS)


def config_of(salt: str, definition: str) -> TrainConfig:
    """Return the default settings, with this study's label and split."""
    return TrainConfig(
        labels=LabelConfig(horizon_days=HORIZON_DAYS, definition=definition),
        split=SplitConfig(test_days=TEST_DAYS, unseen_share=UNSEEN_SHARE, salt=salt),
        refits=RefitConfig(0),
        fake_orders=FakeOrdersConfig(sellers=0),
    )


def _judge(dataset: Dataset, plain: pd.DataFrame, share: float, step: Callable[[str], None]) -> ShareResult:
    splits, pooled = [], []
    for salt in SPLITS:
        step(f"Koubei: payments below {share:.0%}, split {salt}")
        result, truth, predicted, merchants = _split(dataset, plain, salt)
        splits.append(result)
        pooled.append((truth, predicted, merchants))
    bad, probability = (np.concatenate([part[place] for part in pooled]) for place in (0, 1))
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
    inside, outside = (_places(dataset, part) for part in (parts.train, parts.test))
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
        name: compare_ranking(bad, (predicted[MODEL], each), merchants, config.fit.seed)
        for name, each in predicted.items()
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


def _places(dataset: Dataset, part: Dataset) -> NDArray[np.int64]:
    """Return where the rows of a part are in the dataset."""
    import pandas as pd

    keys = ["seller_id", "as_of"]
    places: NDArray[np.int64] = pd.MultiIndex.from_frame(dataset.rows[keys]).get_indexer(
        pd.MultiIndex.from_frame(part.rows[keys])
    )
    return places


def _logistic(inside: Dataset, outside: Dataset) -> NDArray[np.float64]:
    """Predict by a logistic regression on every feature that varies, in whichever direction."""
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
    """Predict as the model does, with the features that fake orders can move as well: what leaving them out costs."""
    features = [str(name) for name in inside.features]
    directed = Columns.of(features, not_scored=[name for name in features if not inside.signs.get(name)])
    rows = inside.rows
    sample = Sample.of(inside.features, rows["bad"], rows["seller_id"], rows["as_of"], directed)
    model = fit_sample(sample, config).booster
    return np.asarray(model.predict(outside.features.to_numpy(), raw_score=True))


def _searched(inside: Dataset, outside: Dataset, config: FitConfig) -> NDArray[np.float64]:
    """Predict as the model does with the settings that `sellerscore train --trials 20` finds."""
    sample = Sample.of_dataset(inside)
    found = search(sample, config, TRIALS, lambda _: None)
    model = fit_sample(sample, found.best).booster
    return np.asarray(model.predict(outside.features.to_numpy(), raw_score=True))


def figures(found: Study) -> dict[str, float]:
    """Return what goes into var/real-data.json, such as `koubei_50_auc`."""
    numbers: dict[str, float] = {}
    for result in found.results:
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
