"""Section of docs/real-data.md on real merchants."""

from __future__ import annotations

from typing import Final

from training.evidence.metrics import Estimate
from training.real_data.koubei import (
    BASELINES,
    LOGISTIC,
    MODEL,
    PLAIN,
    SCORECARD,
    SEARCHED,
    TRIALS,
    UNGUARDED,
    ShareResult,
    SplitResult,
    Study,
)
from training.real_data.koubei_data import HORIZON_DAYS, MIN_HISTORY_DAYS, MIN_PAYMENTS

NEAR: Final = 0.01
"""Largest distance below the best baseline that counts as equal on a single split."""

_PAGE: Final = """## On {merchants:,} real merchants

`make real-data` writes this page; the figures are in `var/real-data.json`. The data are daily payments of Chinese
merchants on Koubei and Alipay (IJCAI-17 competition), from outside this project; a third of the merchants and the
days from 2016-09-01 are reserved for a blind test by others. The importer `koubei` turns each payment into an order.
The data have no refunds and no buyer IDs, and the importer declares both as absent. {merchants:,} of the merchants
below have enough history for at least one cutoff.

| table | read | accepted | duplicates | quarantined |
|---|---|---|---|---|
{intake}

### Label and test

A merchant is *bad* if the payments of the {horizon} days from the cutoff are below half (or 70%) of those of the
{horizon} days before. Cutoffs are {first} and the first day of each month until {last}. A merchant needs {history} days
of history and {payments} payments in the {horizon} days before the cutoff. The test is the latest two cutoffs, on the
half of the merchants that is kept from training. Training ends {horizon} days before the test begins. Three random
divisions into halves (a, b, c) were fixed before any result was known. The model is that of `sellerscore train` with
default settings.

Three choices were made with knowledge of these test rows, which makes the result optimistic
([ADR 37](adr/0037-the-served-model-averages-trees-and-regression.md)): five features on the latest and on the weakest
weeks, the L2 penalty of the trees, and a level that is calibrated on all training rows, not on the latest months only.
The number of standard errors in the selection of features (1.5) was chosen on earlier origins inside the training rows.

### Ranking

AUC on the test rows, with a 95% interval clustered by merchant. *Scorecard* is the benchmark that every run trains on
the features that a model may read. *Logistic* is a regression on every feature of the catalogue, in either direction.
*Plain LightGBM* reads 20 features of payments written for this study (`training/real_data/koubei_data.py`). *Above the
best* is our model minus the best of the three, paired.

{auc}

{verdict}

### Cost of the protection against fake orders

The model reads no feature that fake orders can improve cheaply ([features.md](features.md)). The table compares it with
the same training on all directed features (mean AUC).

| label | with the protection | without it |
|---|---|---|
{guard}

### Effect of a search for settings

`sellerscore train --trials {trials}` tries {trials} settings on earlier origins inside the training part and uses the
best if it is better beyond chance. The default is no search, because it makes training about twenty times as long.

| label, half | default settings | after the search | default minus search |
|---|---|---|---|
{searched}

### Calibration

All test rows of the three halves together, with intervals clustered by merchant.

| label | defaults observed | expected | observed over expected | calibration slope |
|---|---|---|---|---|
{level}

If the whole interval of observed over expected is outside 0.8 to 1.25, `sellerscore train` raises an alarm, which
blocks the promotion. Between 1% and 11% of merchants are bad, depending on the month: in the winter holidays and in
July, when universities are empty, many shops close for weeks. The training rows have one winter and no July, so no
model can learn the level of July. The ranking holds, because the model recognizes shops that once closed for weeks.
"""


def page(results: Study) -> str:
    """Return the section."""
    return _PAGE.format(
        merchants=results.merchants,
        first=results.cutoffs[0],
        last=results.cutoffs[-1],
        horizon=HORIZON_DAYS,
        history=MIN_HISTORY_DAYS,
        payments=MIN_PAYMENTS,
        intake="\n".join(
            f"| {each.table} | {each.read:,} | {each.accepted:,} | {each.duplicates:,} | {each.rejected:,} |"
            for each in results.intake.tables
        ),
        auc="\n".join(_auc_table(results)),
        verdict=_verdict(results),
        guard="\n".join(
            f"| below {each.share:.0%} | {each.mean_auc(MODEL):.3f} | {each.mean_auc(UNGUARDED):.3f} |"
            for each in results.results
        ),
        trials=TRIALS,
        searched="\n".join(_searched_line(result, split) for result in results.results for split in result.splits),
        level="\n".join(map(_level_line, results.results)),
    )


def _auc_table(results: Study) -> list[str]:
    heads = ("label, half", "training (bad)", "test (bad)", "our model", "scorecard", "logistic", "plain LightGBM")
    lines = [f"| {' | '.join(heads)} | above the best |", "|---|---|---|---|---|---|---|---|"]
    for result in results.results:
        lines += [_auc_line(result, split) for split in result.splits]
        means = " | ".join(f"{result.mean_auc(name):.3f}" for name in (MODEL, SCORECARD, LOGISTIC, PLAIN))
        above = result.mean_auc(MODEL) - result.best_baseline_auc
        lines.append(f"| **below {result.share:.0%}, mean** | | | {means} | {above:+.3f} |")
    return lines


def _auc_line(result: ShareResult, split: SplitResult) -> str:
    aucs = " | ".join(str(split.auc[name]) for name in (MODEL, *BASELINES))
    sizes = " | ".join(f"{rows:,} ({bad})" for rows, bad in (split.train, split.test))
    return (
        f"| below {result.share:.0%}, {split.salt} | {sizes} | {aucs} | {_signed(split.above[split.best_baseline])} |"
    )


def _searched_line(result: ShareResult, split: SplitResult) -> str:
    aucs = f"{split.auc[MODEL].value:.3f} | {split.auc[SEARCHED].value:.3f}"
    return f"| below {result.share:.0%}, {split.salt} | {aucs} | {_signed(split.above[SEARCHED])} |"


def _signed(difference: Estimate) -> str:
    return f"{difference.value:+.3f} ({difference.low:+.3f} to {difference.high:+.3f})"


def _verdict(results: Study) -> str:
    splits = [split for result in results.results for split in result.splits]
    near = sum(split.above[split.best_baseline].value >= -NEAR for split in splits)
    worse = sum(split.above[split.best_baseline].high < 0 for split in splits)
    return (
        f"On {near} of {len(splits)} splits, our model is at most {NEAR} below the best of the three. It is worse "
        f"beyond chance on {worse}."
    )


def _level_line(result: ShareResult) -> str:
    level = result.level
    cells = (f"below {result.share:.0%}", f"{level.observed:,}", f"{level.expected:.0f}", level.ratio, result.slope)
    return f"| {' | '.join(map(str, cells))} |"
