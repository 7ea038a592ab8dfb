"""The whole evidence on a labelled table: settings that follow from its size, a split, directions, and the run.

The features are the columns of the table, so that the model is evidence about the table and never a champion.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
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
from training.split import Split, hold_out, is_unseen, whole
from training.split_settings import SplitConfig
from training.table_directions import directed, directions
from training.tables import MOST_CATEGORIES, TableForm, as_dataset

if TYPE_CHECKING:
    import pandas as pd

    from training.dataset import Dataset
    from training.table_directions import Direction

TEST_SHARE: Final = 0.3
"""The share of rows, the latest, that make the test if the table states a time."""

_BAD_VALUES: Final = ("1", "true", "yes", "bad", "default", "defaulted", "1.0")
"""Values of a target that mean bad unless another is stated."""

_NAMED: Final = 5


@dataclass(frozen=True)
class TableRequest:
    """What to train on.

    Attributes:
        name: of the table, such as `loans.csv`.
        target: the column with the outcome, which holds two values.
        bad: the value that means bad; if not stated, 1, true, yes, bad, default or defaulted.
        time: the column with the date of each row; without it, predictions are out of fold.
        group: the column that names the borrower; rows of one are never in both parts.
        signs: declared directions, +1 or -1, by column.
        leave_out: columns that are no features.
        horizon_days: days between a row's date and its outcome, kept between training and test.
        seed: of everything random.
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
    """Train on a table, measure on later rows or out of fold, and make every study that applies.

    Example: `train_table(read_table(path), TableRequest("loans.csv", "default", time="issued"))`.

    Args:
        table: the rows.
        request: what its columns are.
        step: reports what begins, for a progress display.

    Raises:
        TableError: the table has no such column, no usable feature, or a target without two values.
        LabelError: a part of the split has too few rows of one outcome.
    """
    dataset, left_out = read_request(table, request)
    config = table_config(dataset, request)
    split = _split(dataset, config.split, grouped=request.group is not None)
    found = directions(split.train, dataset.signs)
    run = train(dataset=directed(dataset, found), config=config, step=step, split=_directed(split, found))
    facts = {**run.facts, "kind": "table", "command": command_of(request)}
    return replace(run, facts=facts, findings=(*run.findings, _columns(found, left_out)))


def read_request(table: pd.DataFrame, request: TableRequest) -> tuple[Dataset, dict[str, str]]:
    """Return the table as a dataset, and the columns that were left out with the reason.

    Raises:
        TableError: the table has no such column, no usable feature, or a target without two values.
    """
    usable, left_out = usable_columns(table, request)
    dataset = as_dataset(usable, _form(usable, request))
    return replace(dataset, origin=Origin((f"the table {request.name}",))), left_out


def table_config(dataset: Dataset, request: TableRequest) -> TrainConfig:
    """Return settings that follow from the size of a table: the more bad outcomes, the larger the trees.

    Every column is kept: the evidence is about the whole table.

    Example: with 300 bad rows of 1,000, trees have 6 leaves; with 6,600 of 30,000, they have 31.
    """
    bad = int(min(dataset.rows["bad"].sum(), (~dataset.rows["bad"]).sum()))
    leaves = min(max(bad // 50, 4), 31)
    fit = FitConfig(
        stability=0.0,  # a column whose risk is high at both ends ranks rows in neither direction, and is kept
        learning_rate=0.05,
        num_leaves=leaves,
        max_depth=min(max(math.ceil(math.log2(leaves)) + 1, 3), 8),
        most_data_in_leaf=20,
        feature_fraction=0.8,
        lambda_l2=10.0,
        extra_trees=False,
        max_rounds=5_000,  # a table has no setting for it, so the limit must not be reached
        patience=50,
        seed=request.seed,
    )
    split = SplitConfig(test_days=_test_days(dataset), embargo_days=request.horizon_days)
    labels = LabelConfig(horizon_days=request.horizon_days, definition=dataset.labels.definition[:200])
    return TrainConfig(labels, split, fit=fit, refits=RefitConfig(3))


def usable_columns(table: pd.DataFrame, request: TableRequest) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return the table without columns that cannot be features, and why each was left out.

    Where such a column is empty in some rows, `COLUMN_known` takes its place, 1 where it has a value: that a value is
    missing may carry the outcome.

    Raises:
        TableError: a column that is named is not in the table.
    """
    names = [str(name) for name in table.columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise TableError(f"The table has {names.count(twice[0])} columns named {twice[0]!r}; name each column once.")
    table = table.set_axis(names, axis=1)
    stated = {"--target": request.target, "--time": request.time, "--group": request.group}
    stated |= {f"--leave-out {name}": name for name in request.leave_out}
    for option, name in stated.items():
        if name is not None and name not in names:
            raise TableError(f"The table has no column {name!r} ({option.split()[0]}). Its columns are {_some(names)}.")
    others = {request.target, request.time, request.group}
    why = {name: "stated with --leave-out" for name in request.leave_out if name not in others}
    for name in names:
        if name not in others and name not in why and (reason := _unusable(table[name])):
            why[name] = reason
    known = {
        f"{name}_known": table[name].notna().astype("float64")
        for name, reason in why.items()
        if name not in request.leave_out and table[name].isna().any() and table[name].notna().any()
    }
    for name in why:
        if f"{name}_known" in known:
            why[name] += f"; whether it has a value is the feature {name}_known"
    return table.drop(columns=list(why)).assign(**known), why


def command_of(request: TableRequest) -> str:
    """Return the command that trains on the table again."""
    raises = [name for name, sign in request.signs.items() if sign > 0]
    lowers = [name for name, sign in request.signs.items() if sign < 0]
    options = [
        ("target", request.target),
        *((name, getattr(request, name)) for name in ("bad", "time", "group")),
        *(("raises", name) for name in raises),
        *(("lowers", name) for name in lowers),
        *(("leave-out", name) for name in request.leave_out),
        *([("horizon-days", str(request.horizon_days))] if request.horizon_days != 1 else []),
    ]
    words = [f"--{name} {_quoted(value)}" for name, value in options if value is not None]
    return " ".join(["sellerscore train-table", _quoted(request.name), *words])


def _quoted(value: str) -> str:
    import shlex

    return shlex.quote(value)


def _unusable(column: pd.Series) -> str:
    """Return why a column cannot be a feature; empty if it can."""
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    if column.nunique() < 2:  # noqa: PLR2004 - nothing varies
        return "one value in every row" if column.notna().all() else "one value, or none"
    if is_numeric_dtype(column) or is_bool_dtype(column):
        infinite = int(np.isinf(column.astype("float64")).sum())
        return f"{infinite} infinite values" if infinite else ""
    if not column.dropna().map(lambda value: isinstance(value, str)).all():
        return "neither numbers nor text"
    count = column.nunique()
    return f"text with {count:,} different values; up to {MOST_CATEGORIES} are used" if count > MOST_CATEGORIES else ""


def _form(table: pd.DataFrame, request: TableRequest) -> TableForm:
    unknown = sorted(set(request.signs) - set(table.columns))
    if unknown:
        raise TableError(f"A direction is declared for {unknown[0]!r}, which is not among the features of the table.")
    return TableForm(
        request.target, _bad_value(table[request.target], request), request.group, request.signs, request.time
    )


def _bad_value(target: pd.Series, request: TableRequest) -> str | int:
    """Return the value of the target that means bad, as the table holds it."""
    values = target.dropna().unique().tolist()
    if not values:
        raise TableError(
            f"The target {request.target!r} has no value in the {len(target):,} rows of the table. Give a table with "
            "rows in which it has a value."
        )
    wanted = _BAD_VALUES if request.bad is None else (request.bad,)
    named = {str(value).strip().lower(): value for value in values}
    found = [named[each.lower()] for each in wanted if each.lower() in named]
    if not found and request.bad is not None:
        found = [value for value in values if _is_number(value, request.bad)]
    if not found:
        what = "no value that is known to mean bad" if request.bad is None else f"no {request.bad!r}"
        raise TableError(
            f"The target {request.target!r} has {what}. Its values are {_some(list(map(str, values)))}. "
            "Name the one that means bad with --bad."
        )
    bad: str | int = found[0]
    return bad


def _is_number(value: object, text: str) -> bool:
    try:
        return float(str(value)) == float(text)
    except ValueError:
        return False


def _test_days(dataset: Dataset) -> int:
    """Return how many of the last days hold the latest rows, about `TEST_SHARE` of them."""
    days = dataset.rows["as_of"]
    begin = days.quantile(1.0 - TEST_SHARE, interpolation="nearest")
    if begin == days.min():  # most rows are as of the first day
        begin = days[days > begin].min() if dataset.spans_time else begin
    return int((days.max() - begin).days) + 1


def _split(dataset: Dataset, config: SplitConfig, *, grouped: bool) -> Split:
    """Split by time, and by group if there are groups; without time, every row is predicted out of fold."""
    import pandas as pd

    if not dataset.spans_time:
        return whole(dataset)
    unseen = is_unseen(dataset.rows["seller_id"], config) if grouped else _from(dataset, config.test_days)
    try:
        return hold_out(dataset, config, unseen)
    except LabelError as error:
        rows = dataset.rows["as_of"]
        raise TableError(
            f"The rows cannot be parted into earlier and later ones with enough of both outcomes. They are as of "
            f"{rows.min().date()} to {rows.max().date()}; the test is from "
            f"{(rows.max() - pd.Timedelta(days=config.test_days - 1)).date()} on, and rows of {config.embargo_days} "
            f"days before it are left out (--horizon-days){', with 30% of the groups in the test' if grouped else ''}. "
            "Give rows of a longer period, or leave out --time: then each row is predicted by a model that was trained "
            "on other rows."
        ) from error


def _from(dataset: Dataset, test_days: int) -> pd.Series:
    """Return True for the rows of the last days."""
    import pandas as pd

    later: pd.Series = dataset.rows["as_of"] >= (
        pd.Timestamp(dataset.labels.matured_through) - pd.Timedelta(days=test_days - 1)
    )
    return later


def _directed(split: Split, found: tuple[Direction, ...]) -> Split:
    train_part = directed(split.train, found)
    test_part = train_part if split.test is split.train else directed(split.test, found)
    return replace(split, train=train_part, test=test_part)


def _columns(found: tuple[Direction, ...], left_out: Mapping[str, str]) -> Finding:
    import pandas as pd

    words = {1: "risk rises", -1: "risk falls", 0: "either"}
    free = sum(not each.sign for each in found)
    said = (
        f"{len(found):,} features come from the columns of the table. {len(found) - free:,} have a direction, declared "
        f"or clear in the training rows; {free:,} may follow any shape."
    )
    if left_out:
        shown = [f"{name} ({why})" for name, why in left_out.items()]
        said += f" Left out: {', '.join(shown[:_NAMED])}" + (
            f" and {len(shown) - _NAMED} more." if len(shown) > _NAMED else "."
        )
    tables = {"Directions": pd.DataFrame(list(_lines(found, words)))}
    if left_out:
        tables["Columns left out"] = pd.DataFrame({"column": list(left_out), "why": list(left_out.values())})
    return Finding("columns", "Columns of the table", said, {"features": float(len(found))}, tables)


def _lines(found: tuple[Direction, ...], words: Mapping[int, str]) -> Iterator[dict[str, object]]:
    for each in sorted(found, key=lambda each: -abs(np.nan_to_num(each.standard_errors))):
        yield {
            "column": each.column,
            "direction": words[each.sign],
            "from": each.how,
            "standard_errors": round(each.standard_errors, 2),
        }


def _some(values: list[str]) -> str:
    shown = ", ".join(map(repr, values[:_NAMED]))
    return f"{shown} and {len(values) - _NAMED} more" if len(values) > _NAMED else shown
