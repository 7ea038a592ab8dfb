"""Training on any labelled table: settings that follow from its size, a split, directions, and all evidence.

The features are the columns of the table, so the model is evidence about the table and cannot become the champion.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from training.config import TrainConfig
from training.dataset import Origin
from training.errors import LabelError, TableError
from training.evidence.study import Finding
from training.fit import FitConfig
from training.labels import LabelConfig
from training.refits import RefitConfig
from training.run import Run, train
from training.split import Split, SplitConfig, hold_out, is_unseen, whole
from training.table_directions import apply_directions, find_directions
from training.tables import MOST_CATEGORIES, TableForm, as_dataset, list_some, require_unique_names

if TYPE_CHECKING:
    import pandas as pd

    from training.dataset import Dataset
    from training.table_directions import Direction

TEST_SHARE: Final = 0.3
"""Share of the rows, the latest, that are the test if the table has a time column."""

_BAD_VALUES: Final = ("1", "true", "yes", "bad", "default", "defaulted", "1.0")
"""Values of a target that mean bad by default."""

_NAMED: Final = 5
"""Number of columns that a message lists."""

_MOSTLY: Final = 0.9
"""Share of numbers from which a text column seems to be a column of numbers with wrong values."""


@dataclass(frozen=True)
class TableRequest:
    """What to train on.

    Attributes:
        name: name of the table, such as `loans.csv`.
        target: column with the outcome, which has two values.
        bad: the value that means bad; by default 1 (if the other is 0), true, yes, bad, default or defaulted.
        time: column with the date of each row; without it, the test is out of fold.
        group: column with the borrower; the rows of a borrower are all in the same part.
        signs: declared directions, +1 or -1, by column.
        leave_out: columns to ignore.
        horizon_days: days between a row's date and its outcome: the embargo between training and test.
        seed: random seed.
    """

    name: str
    target: str
    bad: str | None = None
    time: str | None = None
    group: str | None = None
    signs: Mapping[str, int] = field(default_factory=dict)
    leave_out: tuple[str, ...] = ()
    horizon_days: int = 1
    seed: int = 7


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
    facts = {**run.facts, "kind": "table", "command": command_of(request)}
    return replace(run, facts=facts, findings=(*run.findings, _columns_finding(directions, excluded)))


def read_request(table: pd.DataFrame, request: TableRequest) -> tuple[Dataset, dict[str, str]]:
    """Return the table as a dataset, and the excluded columns with the reason.

    Raises:
        TableError: a column does not exist, no column can be a feature, or the target does not have two values.
    """
    usable, excluded = usable_columns(table, request)
    unknown = sorted(set(request.signs) - set(usable.columns))
    if unknown:
        raise TableError(f"A direction is declared for {unknown[0]!r}, which is not among the features of the table.")
    bad = _bad_value(usable[request.target], request)
    dataset = as_dataset(usable, TableForm(request.target, bad, request.group, request.signs, request.time))
    _require_groups(dataset, request)
    return replace(dataset, origin=Origin((f"the table {request.name}",))), excluded


def _require_groups(dataset: Dataset, request: TableRequest) -> None:
    """Check that each fold can have a group with bad rows, and one with good rows."""
    if request.group is None:
        return
    folds = FitConfig().folds
    for bad, name in ((True, "bad"), (False, "good")):
        groups = dataset.rows.loc[dataset.rows["bad"] == bad, "seller_id"].nunique()
        if groups < folds:
            raise TableError(
                f"Only {groups} values of {request.group!r} (--group) have {name} rows; at least {folds} are needed. "
                "Use the column of the borrower, or omit --group."
            )


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


def usable_columns(table: pd.DataFrame, request: TableRequest) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return the table without the columns that cannot be features, and the reason for each exclusion.

    If an excluded column is empty in some rows, the feature `COLUMN_known` replaces it: 1 if it has a value, else 0.
    A missing value may carry the outcome.

    Raises:
        TableError: a column of the request is not in the table or has two roles, or `COLUMN_known` is already a column.
    """
    names = require_unique_names(table)
    table = table.set_axis(names, axis=1)
    roles = {"--target": request.target, "--time": request.time, "--group": request.group}
    for option, name in (*roles.items(), *(("--leave-out", name) for name in request.leave_out)):
        if name is not None and name not in names:
            raise TableError(f"The table has no column {name!r} ({option}). Its columns are {list_some(names)}.")
    used = [name for name in (*roles.values(), *request.leave_out) if name is not None]
    if twice := sorted({name for name in used if used.count(name) > 1}):
        raise TableError(f"The column {twice[0]!r} is named by two options. Give each column one role.")
    excluded = {name: "stated with --leave-out" for name in request.leave_out if name not in roles.values()}
    for name in names:
        if name not in roles.values() and name not in excluded and (reason := _why_unusable(table[name])):
            excluded[name] = reason
    known = {}
    for name in excluded:
        if name not in request.leave_out and table[name].isna().any() and table[name].notna().any():
            if f"{name}_known" in names:
                raise TableError(
                    f"The table has the columns {name!r} and '{name}_known'. The second is the name of the feature "
                    f"that states whether {name!r} has a value. Rename it, or leave {name!r} out with --leave-out."
                )
            known[f"{name}_known"] = table[name].notna().astype("float64")
            excluded[name] += f"; whether it has a value is the feature {name}_known"
    return table.drop(columns=list(excluded)).assign(**known), excluded


def command_of(request: TableRequest) -> str:
    """Return the command that repeats the training."""
    options = [
        ("target", request.target),
        *((name, getattr(request, name)) for name in ("bad", "time", "group")),
        *(("raises", name) for name, sign in request.signs.items() if sign > 0),
        *(("lowers", name) for name, sign in request.signs.items() if sign < 0),
        *(("leave-out", name) for name in request.leave_out),
        *([("horizon-days", str(request.horizon_days))] if request.horizon_days != 1 else []),
    ]
    arguments = [f"--{name} {shlex.quote(value)}" for name, value in options if value is not None]
    return " ".join(["sellerscore train-table", shlex.quote(request.name), *arguments])


def _why_unusable(column: pd.Series) -> str:
    """Return why a column cannot be a feature; empty if it can."""
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    count = column.nunique()
    if count < 2:  # noqa: PLR2004 - constant
        return "one value in every row" if column.notna().all() else "one value, or none"
    if is_numeric_dtype(column) or is_bool_dtype(column):
        infinite = int(np.isinf(column.astype("float64")).sum())
        return f"{infinite} infinite values" if infinite else ""
    if not column.dropna().map(lambda value: isinstance(value, str)).all():
        return "neither numbers nor text"
    if count <= MOST_CATEGORIES:
        return ""
    return f"text with {count:,} different values; up to {MOST_CATEGORIES} are used{_wrong_numbers(column)}"


def _wrong_numbers(column: pd.Series) -> str:
    """Return which values of a text column are not numbers, if most of them are."""
    import pandas as pd

    values = column.dropna()
    wrong = values[pd.to_numeric(values, errors="coerce").isna()]
    if len(wrong) > (1 - _MOSTLY) * len(values):
        return ""
    return f". All but {len(wrong):,} of its values are numbers; the first other value is {wrong.iloc[0]!r}"


def _bad_value(target: pd.Series, request: TableRequest) -> str | int:
    """Return the value of the target that means bad, with the type that it has in the table."""
    values = target.dropna().unique().tolist()
    if not values:
        raise TableError(
            f"The target {request.target!r} has no value in the {len(target):,} rows of the table. Use a table with "
            "outcomes."
        )
    names = _BAD_VALUES if request.bad is None else (request.bad,)
    by_name = {str(value).strip().lower(): value for value in values}
    matches = [by_name[name.lower()] for name in names if name.lower() in by_name]
    numbers = {number for value in values for number in ("0", "1") if _is_number(value, number)}
    if request.bad is None and numbers == {"1"} and len(values) == 2:  # noqa: PLR2004 - good and bad
        matches = []  # without a 0, 1 may mean good: public credit data have 1 for good and 2 for bad
    if not matches and request.bad is not None:
        matches = [value for value in values if _is_number(value, request.bad)]
    if not matches:
        missing = "no value that means bad by default" if request.bad is None else f"no value {request.bad!r}"
        raise TableError(
            f"The target {request.target!r} has {missing}. Its values are {list_some(list(map(str, values)))}. "
            "Name the one that means bad with --bad."
        )
    bad: str | int = matches[0]
    return bad


def _is_number(value: object, text: str) -> bool:
    try:
        return float(str(value)) == float(text)
    except ValueError:
        return False


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


def _columns_finding(directions: tuple[Direction, ...], excluded: Mapping[str, str]) -> Finding:
    import pandas as pd

    undirected = sum(not each.sign for each in directions)
    summary = (
        f"{len(directions):,} features come from the columns of the table. {len(directions) - undirected:,} have a "
        f"direction, declared or clear in the training rows; {undirected:,} may follow any shape."
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
        more = f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
        summary += f" Excluded columns: {', '.join(listed[:_NAMED])}{more}."
        tables["Columns left out"] = pd.DataFrame({"column": list(excluded), "why": list(excluded.values())})
    return Finding("columns", "Columns of the table", summary, {"features": float(len(directions))}, tables)
