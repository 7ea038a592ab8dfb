"""The part of docs/real-data.md on real firms."""

from __future__ import annotations

from typing import Final

from features.catalogue import CATALOGUE
from training.real_data.firms import FIXED, Study, figures

_LINES: Final = {
    "fixed features": "",
    "of those, without tenure and recency": "_without_tenure",
    "whole catalogue": "_whole_catalogue",
}
"""The lines of the table of AUCs, and the endings of their figures' names."""

_PAGE: Final = """## On 425 real firms

425 real Chinese firms and their VAT invoices (2016-10 to 2020-02), released for the China
Undergraduate Mathematical Contest in Modeling 2020; {labelled} have a credit record, {bad} of them
defaulted. Nobody on this project made the data, and none of it is kept here.

### Every invoice accounted for

{accounts}

What `ingest` then made of the delivery; a duplicate is an invoice that the ledger itself holds twice, identical in
every column.

| table | read | accepted | duplicates | quarantined |
|---|---|---|---|---|
{intake}

### Does it rank?

AUC, mean of 10 repetitions of 5 folds on {labelled} firms; in brackets a 95% bootstrap interval over firms. The
{fixed} fixed features are the catalogue as it was before these firms were looked at, none chosen on them; of the whole
catalogue of today, {whole}, most rest on tables that these firms lack, or say the same twice. Two settings were made
while looking at these firms, which flatters both models a little: the logistic one takes missing values at the median,
without flags, and LightGBM's smallest leaf shrinks with the number of rows.

| | logistic | LightGBM | combined |
|---|---|---|---|
{aucs}

The defaults carry no date. That bad firms have shorter and thinner histories may be cause or consequence, so the
second line is the careful one. *Combined* is the mean of both in log-odds. At this size the models cannot be told
apart. The bank's own rating is never a
feature.

### Does it answer?

All {answered} firms without a record: {outcomes}. Points sum to the score in
{summing} of {scored} scored.
"""


def page(found: Study) -> str:
    """Return docs/real-data.md."""
    numbers = figures(found)
    aucs = "\n".join(
        f"| {label} | "
        + " | ".join(str(found.aucs[f"{name}_auc{ending}"]) for name in ("logistic", "lightgbm", "combined"))
        + " |"
        for label, ending in _LINES.items()
    )
    intake = "\n".join(
        f"| {each.table} | {each.read:,} | {each.accepted:,} | {each.duplicates:,} | {each.rejected:,} |"
        for each in found.intake.tables
    )
    accounts = "\n".join(f"- {line}" for line in str(found.invoices).splitlines())
    outcomes = ", ".join(
        f"{count} {name.removeprefix('answered_')}" for name, count in numbers.items() if name.startswith("answered_")
    )
    return _PAGE.format(
        accounts=accounts,
        intake=intake,
        aucs=aucs,
        outcomes=outcomes,
        fixed=len(FIXED),
        whole=len(CATALOGUE),
        labelled=found.labelled,
        bad=found.bad,
        answered=numbers["answered"],
        summing=numbers["explanations_that_sum"],
        scored=numbers.get("answered_scored", 0),
    )
