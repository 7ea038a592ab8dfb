"""Coverage of tables over time: tables that begin late, so that their features are missing in early training rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from features.facts import LOAN_TABLES
from training.evidence.limits import Limit, quantity
from training.evidence.metrics import Estimate, build_table
from training.evidence.study import Finding

if TYPE_CHECKING:
    import pandas as pd

    from training.dataset import Dataset
    from training.evidence.study import ReviewedModel

GAP: Final = Limit("share of rows with data of a table, test less training", 0.25, percent=True)


def study_table_coverage(subject: ReviewedModel) -> Finding:
    """Compare the shares of training and test rows with data of each table.

    A model cannot be trained well on a table that began after most training loans were paid out. It learns that missing
    values belong to the sellers of that time, while every later seller has the value.
    """
    table = _coverage(subject)
    train, test = len(subject.train.rows), len(subject.test.rows)
    return Finding(
        "begins",
        "Coverage of tables over time",
        "Was every table delivered from the first training loan on? The table shows the share of the "
        f"{train:,} training and {test:,} test loans for which at least one feature of each table has a value.",
        figures={"largest_gap": float((table["test"] - table["training"]).max()) if len(table) else 0.0},
        tables={"Known by table": table.round(3)} if len(table) else {},
        checks=tuple(
            GAP.check(
                Estimate.exact(gap),
                f"The table {name} began later than most training loans. Exclude its features (features.exclude) until "
                "the training loans have them, or deliver its earlier rows.",
                quantity(test, "test loan"),
            )
            for name, gap in zip(table["table"], table["test"] - table["training"], strict=True)
        ),
    )


def _coverage(subject: ReviewedModel) -> pd.DataFrame:
    features: dict[str, list[str]] = {}
    for entry in subject.bundle.sheet.entries:
        for table in entry.tables:
            features.setdefault(table, []).append(entry.name)
    rows = (
        {
            "table": table,
            "training": _share_with_data(subject.train, names),
            "test": _share_with_data(subject.test, names),
        }
        for table, names in sorted(features.items())
        # the loan tables begin with the lending itself: a first loan has no earlier one
        if table in subject.train.tables and table not in LOAN_TABLES
    )
    return build_table(rows, ["table", "training", "test"])


def _share_with_data(part: Dataset, names: list[str]) -> float:
    return float(part.features[names].notna().any(axis=1).mean())
