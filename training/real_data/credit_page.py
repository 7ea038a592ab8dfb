"""The part of docs/real-data.md on public credit tables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from training.real_data.credit import BARE, MODEL, SCORECARD, TRIALS, TableResult

_PAGE: Final = """## On public credit tables

The same fit, calibration, scorecard and figures of merit as `sellerscore train`, with the columns of a table in place
of the catalogue (`training/tables.py`). Nothing is tuned on rows that are judged: the rounds, the calibration and the
best of {trials} trials of settings are found inside each part that is learnt from. Numbers are taken as they are, text
as a flag for each of its values. A missing value is scored as the riskiest value, as for sellers
([ADR 13](adr/0013-missing-values-are-scored-as-the-riskiest.md)); LightGBM alone would fit missing values to the data.
No lender may use some of the columns, such as sex and age; they are included because published figures include them.

AUC, mean over the parts left out; in brackets a 95% bootstrap interval over rows, of differences on the same resamples.

| table, and what is left out | rows (bad) | given | LightGBM | scorecard | above the scorecard | above bare LightGBM |
|---|---|---|---|---|---|---|
{aucs}

`Bare LightGBM` is the library as it comes, 100 rounds of its defaults, on the same rows. {verdict}

Probabilities of all rows left out, ours beside the scorecard's; 1 is the right slope, and of Brier less is better.

| table, and what is left out | calibration slope | scorecard's | KS | scorecard's | Brier | scorecard's |
|---|---|---|---|---|---|---|
{figures}
"""


def page(judged: Iterable[TableResult]) -> str:
    """Return the section."""
    every = tuple(judged)
    return _PAGE.format(
        trials=TRIALS,
        aucs="\n".join(map(_auc_line, every)),
        verdict=_verdict(every),
        figures="\n".join(map(_figures_line, every)),
    )


def _auc_line(each: TableResult) -> str:
    cells = (
        f"{each.table.title}: {each.hold_out.said}",
        f"{each.rows:,} ({each.bad:,})",
        f"{each.hold_out.given:.4g}",
        str(each.auc[MODEL]),
        str(each.auc[SCORECARD]),
        f"{each.over[SCORECARD].value:+.3f} ({each.over[SCORECARD].low:+.3f} to {each.over[SCORECARD].high:+.3f})",
        f"{each.over[BARE].value:+.3f} ({each.over[BARE].low:+.3f} to {each.over[BARE].high:+.3f})",
    )
    return f"| {' | '.join(cells)} |"


def _figures_line(each: TableResult) -> str:
    pairs = ("calibration_slope", "ks", "brier")
    cells = (str(each.figures[model][name]) for name in pairs for model in (MODEL, SCORECARD))
    return f"| {each.table.title}: {each.hold_out.said} | {' | '.join(cells)} |"


def _verdict(judged: tuple[TableResult, ...]) -> str:
    missed = [each for each in judged if each.auc[MODEL].value < each.hold_out.given]
    behind = [each for each in judged if each.over[SCORECARD].high < 0]
    names = "; ".join(f"{each.table.title}, whose interval {_reach(each)} it" for each in missed)
    return (
        f"Our LightGBM reaches the figure given in {len(judged) - len(missed)} of {len(judged)} lines"
        + (f" (not on {names})" if missed else "")
        + f", and is behind the scorecard by more than chance in {len(behind)} of {len(judged)}."
    )


def _reach(each: TableResult) -> str:
    return "holds" if each.auc[MODEL].high >= each.hold_out.given else "ends below"
