"""Tables that begin later than others: what rests on them is missing in early training rows and known in the test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from features.facts import LOAN_TABLES
from training.evidence.limits import Limit, alarms, quantity
from training.evidence.metrics import Estimate
from training.evidence.study import Finding

if TYPE_CHECKING:
    import pandas as pd

    from training.dataset import Dataset
    from training.evidence.study import ReviewedModel

GAP: Final = Limit("share of rows with data of a table, test less training", 0.25, percent=True)


def begins(subject: ReviewedModel) -> Finding:
    """Compare how many training and test rows have data of each table.

    A model cannot be trained on a table that began when most training loans were already paid out: it takes the
    missing values for the sellers of that time, and every later seller has the value.
    """
    table = _table(subject)
    train, test = len(subject.train.rows), len(subject.test.rows)
    checks = tuple(
        GAP.check(
            Estimate(gap, gap, gap),
            f"The table {name} began later than most training loans. Exclude its features (features.exclude) until the "
            "training loans have them, or deliver its earlier rows.",
            quantity(test, "test loan"),
        )
        for name, gap in zip(table["table"], table["test"] - table["training"], strict=True)
    )
    return Finding(
        "begins",
        "Tables that begin late",
        "Asked: was every table there from the beginning? For each table, the share of the "
        f"{train:,} training and {test:,} test loans of which any of its features is known.",
        figures={"largest_gap": float((table["test"] - table["training"]).max()) if len(table) else 0.0},
        tables={"Known by table": table.round(3)} if len(table) else {},
        alarms=alarms(checks),
        checks=checks,
    )


def _table(subject: ReviewedModel) -> pd.DataFrame:
    import pandas as pd

    features: dict[str, list[str]] = {}
    for entry in subject.bundle.sheet.entries:
        for table in entry.tables:
            features.setdefault(table, []).append(entry.name)
    rows = [
        {
            "table": table,
            "training": _share_with_data(subject.train, names),
            "test": _share_with_data(subject.test, names),
        }
        for table, names in sorted(features.items())
        # loans begin with the lending itself: a first loan has no earlier one
        if table in subject.train.tables and table not in LOAN_TABLES
    ]
    return pd.DataFrame(rows, columns=["table", "training", "test"])


def _share_with_data(part: Dataset, names: list[str]) -> float:
    return float(part.features[names].notna().any(axis=1).mean())
