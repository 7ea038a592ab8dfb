"""A request to train on a table: the meaning of its columns, validated, and the rows that follow from it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from training.columns import FARTHEST
from training.dataset import Origin
from training.errors import TableError
from training.fit import FitConfig
from training.tables import MOST_CATEGORIES, TableForm, as_dataset, list_some, require_unique_names

if TYPE_CHECKING:
    import pandas as pd

    from training.dataset import Dataset

_BAD_VALUES: Final = ("1", "true", "yes", "bad", "default", "defaulted", "1.0")
"""Values of a target that mean bad by default."""

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
        group: column with groups of rows, such as borrowers; the rows of a group are all in the same part.
        signs: declared directions, +1 or -1, by column.
        leave_out: columns to ignore.
        horizon_days: days between a row's date and its outcome: the embargo between training and test.
        seed: random seed.

    Raises:
        TableError: a value has the wrong type.
    """

    name: str
    target: str
    bad: str | int | float | None = None
    time: str | None = None
    group: str | None = None
    signs: Mapping[str, int] = field(default_factory=dict)
    leave_out: tuple[str, ...] = ()
    horizon_days: int = 1
    seed: int = 7

    def __post_init__(self) -> None:
        for name, values in {
            "target": [self.target],
            "time": [] if self.time is None else [self.time],
            "group": [] if self.group is None else [self.group],
            "leave_out": self.leave_out if isinstance(self.leave_out, list | tuple) else [None],
            "signs": self.signs if isinstance(self.signs, Mapping) else [None],
        }.items():
            if not all(isinstance(value, str) for value in values):
                kind = {"leave_out": "a tuple of column names", "signs": "a dict from column names to +1 or -1"}
                found = type(getattr(self, name)).__name__
                raise TableError(f"{name} is of type {found}. Use {kind.get(name, 'the name of a column')}.")
        for name, sign in self.signs.items():
            if sign not in {1, -1}:
                raise TableError(f"The sign of {name!r} is {sign!r}. Use +1 (raises risk) or -1 (lowers it).")
        if not isinstance(self.horizon_days, int) or self.horizon_days < 1:
            raise TableError(f"horizon_days is {self.horizon_days!r}. Use a number of days from 1.")
        if self.bad is not None:
            object.__setattr__(self, "bad", str(self.bad))


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
                "Use a column with more groups, or omit --group."
            )


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
        beyond = int((column.astype("float64").abs() >= FARTHEST).sum())
        return f"{beyond:,} values of {FARTHEST:g} or more, or infinite; leave missing values empty" if beyond else ""
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
    if len(values) != 2:  # noqa: PLR2004 - good and bad
        raise TableError(
            f"The target {request.target!r} has {'one value' if len(values) == 1 else f'{len(values):,} values'}: "
            f"{list_some(list(map(str, values)))}. A target has two, one for good and one for bad rows. Use a column "
            "with two values, or remove the rows with other values."
        )
    names = _BAD_VALUES if request.bad is None else (str(request.bad),)
    by_name = {str(value).strip().lower(): value for value in values}
    matches = [by_name[name.lower()] for name in names if name.lower() in by_name]
    numbers = {number for value in values for number in ("0", "1") if _is_number(value, number)}
    if request.bad is None and numbers == {"1"}:
        matches = []  # without a 0, 1 may mean good: public credit data have 1 for good and 2 for bad
    if not matches and request.bad is not None:
        matches = [value for value in values if _is_number(value, str(request.bad))]
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
