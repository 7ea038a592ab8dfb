"""Training on any labelled table: settings that follow from its size, a split, directions, and all evidence.

The features are the columns of the table, so the model is evidence about the table and cannot become the champion.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from training.config import TrainConfig
from training.errors import LabelError, TableError
from training.evidence.limits import first_names
from training.evidence.study import Finding
from training.fit import FitConfig
from training.labels import LabelConfig
from training.refits import RefitConfig
from training.run import Run, train
from training.split import Split, SplitConfig, hold_out, is_unseen, whole
from training.table_directions import apply_directions, find_directions
from training.table_request import TableRequest, command_of, read_request

if TYPE_CHECKING:
    import pandas as pd

    from training.dataset import Dataset
    from training.table_directions import Direction

TEST_SHARE: Final = 0.3
"""Share of the rows, the latest, that are the test if the table has a time column."""


def train_table(table: pd.DataFrame, request: TableRequest, step: Callable[[str], None] = lambda _: None) -> Run:
    """Train on a table, test on later rows or out of fold, and run every study that applies.

    Example: `train_table(read_table(path), TableRequest("loans.csv", "default", time="issued"))`.

    Args:
        table: the rows.
        request: the meaning of the columns.
        step: reports progress.

    Raises:
        TableError: a column does not exist or has two roles, no column can be a feature, the target does not have two
            values, or too few groups have bad rows.
        LabelError: a part of the split has too few rows of one outcome.
    """
    dataset, excluded = read_request(table, request)
    config = table_config(dataset, request)
    split = _split(dataset, config.split, grouped=request.group is not None)
    directions = find_directions(split.train, dataset.signs)
    train_part = apply_directions(split.train, directions)
    test_part = train_part if split.test is split.train else apply_directions(split.test, directions)
    split = replace(split, train=train_part, test=test_part)
    run = train(dataset=apply_directions(dataset, directions), config=config, step=step, split=split)
    roles = {request.target, request.time, request.group}
    used = [name for name in table if str(name) not in excluded and str(name) not in roles]
    missing = {str(name): count for name in used if (count := int(table[name].isna().sum()))}
    facts = {**run.facts, "kind": "table", "command": command_of(request)}
    return replace(run, facts=facts, findings=(*run.findings, _columns_finding(directions, excluded, missing)))


def table_config(dataset: Dataset, request: TableRequest) -> TrainConfig:
    """Return settings that follow from the size of a table: the more bad outcomes, the larger the trees.

    Every column is selected, because the evidence is about the whole table.

    Example: with 300 bad rows of 1,000, trees have 6 leaves; with 6,600 of 30,000, they have 31.
    """
    bad = int(min(dataset.rows["bad"].sum(), (~dataset.rows["bad"]).sum()))
    leaves = min(max(bad // 50, 4), 31)
    fit = FitConfig(
        stability=0.0,  # a column whose risk is high at both ends ranks rows in neither direction
        learning_rate=0.05,
        num_leaves=leaves,
        max_depth=min(max(math.ceil(math.log2(leaves)) + 1, 3), 8),
        most_data_in_leaf=20,
        feature_fraction=0.8,
        lambda_l2=10.0,
        extra_trees=False,
        max_rounds=5_000,  # high enough that early stopping decides, because a table has no setting for it
        patience=50,
        seed=request.seed,
    )
    split = SplitConfig(test_days=_test_days(dataset), embargo_days=request.horizon_days)
    labels = LabelConfig(horizon_days=request.horizon_days, definition=dataset.labels.definition[:200])
    return TrainConfig(labels, split, fit=fit, refits=RefitConfig(3))


def _test_days(dataset: Dataset) -> int:
    """Return the number of last days that have about `TEST_SHARE` of the rows."""
    days = dataset.rows["as_of"]
    start = days.quantile(1.0 - TEST_SHARE, interpolation="nearest")
    if start == days.min() and dataset.spans_time:  # most rows are as of the first day
        start = days[days > start].min()
    return int((days.max() - start).days) + 1


def _split(dataset: Dataset, config: SplitConfig, *, grouped: bool) -> Split:
    """Split by time, and by group if there are groups. Without time, the test is out of fold."""
    import pandas as pd

    if not dataset.spans_time:
        return whole(dataset)
    days = dataset.rows["as_of"]
    test_from = pd.Timestamp(dataset.labels.matured_through) - pd.Timedelta(days=config.test_days - 1)
    unseen = is_unseen(dataset.rows["seller_id"], config) if grouped else days >= test_from
    try:
        return hold_out(dataset, config, unseen)
    except LabelError as error:
        raise TableError(
            f"The rows cannot be divided into earlier and later ones with enough of both outcomes. They are as of "
            f"{days.min().date()} to {days.max().date()}; the test begins on {test_from.date()}, and rows of "
            f"{config.embargo_days} days before it are excluded (--horizon-days)"
            f"{', with 30% of the groups in the test' if grouped else ''}. Use rows of a longer period, or omit "
            "--time: then the test is out of fold."
        ) from error


def _columns_finding(
    directions: tuple[Direction, ...], excluded: Mapping[str, str], missing: Mapping[str, int]
) -> Finding:
    import pandas as pd

    undirected = sum(not each.sign for each in directions)
    summary = (
        f"Features from the columns of the table: {len(directions):,}. With a direction, declared or clear in the "
        f"training rows: {len(directions) - undirected:,}. Free to follow any shape: {undirected:,}."
    )
    names = {1: "risk rises", -1: "risk falls", 0: "either"}
    rows = [
        {
            "column": each.column,
            "direction": names[each.sign],
            "from": each.source,
            "standard_errors": round(each.standard_errors, 2),
        }
        for each in sorted(directions, key=lambda each: -abs(np.nan_to_num(each.standard_errors)))
    ]
    tables = {"Directions": pd.DataFrame(rows)}
    if excluded:
        listed = [f"{name} ({reason})" for name, reason in excluded.items()]
        summary += f" Excluded columns: {first_names(listed)}."
        tables["Columns left out"] = pd.DataFrame({"column": list(excluded), "why": list(excluded.values())})
    if missing:
        counts = [f"{name} ({count:,})" for name, count in sorted(missing.items(), key=lambda item: -item[1])]
        summary += f" Columns with missing values, and in how many rows: {first_names(counts)}."
        tables["Missing values"] = pd.DataFrame({"column": list(missing), "rows": list(missing.values())})
    return Finding("columns", "Columns of the table", summary, {"features": float(len(directions))}, tables)
