"""Labelled tables that others made, as datasets of training: numbers as they are, a category as flags, gaps as gaps.

No store and no catalogue stand behind them: a feature is a column, free unless a sign is declared for it, and the same
fit, calibration, scorecard and figures of merit take it from there. Nothing here looks at outcomes to encode a value.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from training.dataset import UNDATED, Dataset
from training.errors import TableError
from training.labels import Labels

if TYPE_CHECKING:
    import pandas as pd

MOST_CATEGORIES: Final = 50
"""A text column of more different values is an identifier or free text rather than a category."""

_REST_OF_DATE: Final = {4: "0101", 6: "01", 8: ""}
"""What makes a year, a year with its month, or a whole date of so many digits a date of eight digits."""

_DATE_FORMATS: Final = ("ISO8601", "%d.%m.%Y", "%d-%b-%Y", "%d-%b-%y")
"""Forms of dates in which day and month cannot be mistaken for each other."""

_UNSAFE: Final = re.compile(r"[^\w=.<>+-]+")
"""What LightGBM's model text cannot hold in the name of a feature, or would read as its own."""


@dataclass(frozen=True)
class TableForm:
    """What the columns of a table are.

    Attributes:
        label: the column that says what became of a row; it holds two values.
        bad: the one of them that means bad.
        identifier: the column that names the borrower, never a feature; without one, rows alike in every feature count
            as one borrower, so that no copy of a row is on both sides of a fold.
        signs: +1 for a column along which risk rises, -1 for one along which it falls; all others are free.
        time: the column with the date of each row, never a feature; without one, all rows are as of one midnight.

    Example: `TableForm("creditability", "bad")`.
    """

    label: str
    bad: str | int
    identifier: str | None = None
    signs: Mapping[str, int] = field(default_factory=dict)
    time: str | None = None

    @property
    def others(self) -> tuple[str, ...]:
        """The columns that are no features."""
        return tuple(name for name in (self.label, self.identifier, self.time) if name is not None)


def read_table(path: Path) -> pd.DataFrame:
    """Read a table from a Parquet file, or from a CSV file whose name ends with `.csv`.

    Raises:
        TableError: there is no such file, or it is not of that kind.
    """
    import pandas as pd
    import pyarrow.parquet as pq

    if not path.is_file():
        raise TableError(f"There is no table at {path}.")
    if path.suffix.lower() == ".csv":
        try:
            return pd.read_csv(path, low_memory=False)
        except ValueError as error:
            raise TableError(f"The table {path.name} cannot be read as CSV in UTF-8: {str(error).strip()}") from error
    try:
        table: pd.DataFrame = pq.ParquetFile(path).read().to_pandas()
    except (OSError, ValueError) as error:  # pyarrow's own errors are both of them
        raise TableError(f"The table {path.name} cannot be read as Parquet: {str(error).strip()}") from error
    return table


def as_dataset(table: pd.DataFrame, form: TableForm) -> Dataset:
    """Return a table as a dataset, in its own order.

    A number stays what it is and true is 1. Text becomes a flag for each of its values, `purpose=education`, 1 where
    the row has that value and else 0, and missing in all of them where it has none.

    Example: rows `{"income": 900.0, "home": "own", "bad": 1}` with the form `TableForm("bad", 1)` have the features
    `income` and, beside the flags of other homes, `home=own`.

    Raises:
        TableError: no rows, two columns of one name, no label, an outcome missing or not one of two, a column that is
            neither number nor category, an infinite value, or a sign for a column that is not a number.
    """
    import pandas as pd

    _require_columns(table, form)
    bad = _outcomes(table[form.label], form)
    raw = table.drop(columns=list(form.others))
    encoded = dict(_encoded(raw, form))
    features = pd.DataFrame({name: values for name, (_, values) in encoded.items()}, index=table.index)
    borrower = _alike(features) if form.identifier is None else table[form.identifier].astype(str)
    as_of = pd.Timestamp(UNDATED) if form.time is None else midnights(table[form.time])
    rows = pd.DataFrame({"seller_id": borrower, "as_of": as_of, "bad": bad}).reset_index(drop=True)
    about = pd.DataFrame({"country": "unknown", "marketplace": "unknown"}, index=rows.index)
    last = rows["as_of"].max().date()
    labels = Labels(rows, 0, last, f"{form.label} is {form.bad}", source=f"the column {form.label} of the table")
    signs = {name: sign for name, (sign, _) in encoded.items()}
    features = features.reset_index(drop=True)
    return Dataset(rows, features, about, labels, _digest(signs), "a table", (), signs, (), is_table=True)


def _require_columns(table: pd.DataFrame, form: TableForm) -> None:
    names = [str(name) for name in table.columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise TableError(f"The table has {names.count(twice[0])} columns named {twice[0]!r}; a name may stand once.")
    for what, name in (("label", form.label), ("identifier", form.identifier), ("time", form.time)):
        if name is not None and name not in names:
            raise TableError(f"The table has no column {name!r} for its {what}; its columns are {_some(names)}.")
    if table.empty:
        raise TableError("The table has no rows; there is nothing to learn from.")
    unknown = sorted(set(form.signs) - set(names))
    if unknown:
        raise TableError(f"A sign is declared for {unknown[0]!r}, but the columns of the table are {_some(names)}.")
    if len(names) == len(form.others):
        raise TableError(f"The table has no column beside {' and '.join(names)}, so there is nothing to learn from.")


def midnights(times: pd.Series) -> pd.Series:
    """Return the midnight that begins the day of each time: of dates, ISO text, years, or numbers such as 20240131.

    Example: `2024`, `202403` and `20240305` are 2024-01-01, 2024-03-01 and 2024-03-05.

    Raises:
        TableError: a value is missing or no date.
    """
    import pandas as pd
    from pandas.api.types import is_numeric_dtype

    if is_numeric_dtype(times):
        text = times.where(times % 1 == 0).astype("Int64").astype("string")
        text += text.str.len().map(_REST_OF_DATE)
        found = pd.to_datetime(text, format="%Y%m%d", errors="coerce")
    else:
        try:
            read = [pd.to_datetime(times, errors="coerce", format=form) for form in _DATE_FORMATS]
        except ValueError as error:  # pandas refuses times of different zones
            raise TableError(
                f"The time column {times.name!r} has times of different zones; give dates, or times of one zone."
            ) from error
        found = min(read, key=lambda dates: int(dates.isna().sum()))
    if found.isna().any():
        first = times[found.isna()].iloc[0]
        raise TableError(
            f"{int(found.isna().sum())} values of the time column {times.name!r} are no dates; the first is {first!r}. "
            "Use dates such as 2024-01-31, all in one form; 31.01.2024, 31-Jan-2024 and years work as well. Dates with "
            "slashes do not, because the day and the month cannot be told apart."
        )
    midnight: pd.Series = found.dt.tz_localize(None).dt.normalize()
    return midnight


def _outcomes(label: pd.Series, form: TableForm) -> pd.Series:
    missing = int(label.isna().sum())
    if missing:
        raise TableError(
            f"{missing} of {len(label)} rows have no {form.label!r}; leave out the rows whose outcome is not known."
        )
    values = sorted(label.unique().tolist(), key=str)
    if form.bad not in values:
        raise TableError(
            f"The column {form.label!r} holds {_some(values)} and never {form.bad!r}, which is said to mean bad."
        )
    if len(values) != 2:  # noqa: PLR2004 - good and bad
        found = f"only {values[0]!r}" if len(values) == 1 else f"{len(values)} values, {_some(values)}"
        raise TableError(f"The column {form.label!r} holds {found}; a label has two values, one for good, one for bad.")
    return label == form.bad


def _encoded(raw: pd.DataFrame, form: TableForm) -> Iterator[tuple[str, tuple[int, pd.Series]]]:
    """Yield the features of each column under names that a model can hold: the sign, and float64 values."""
    taken: dict[str, str] = {}
    for name, column in raw.items():
        sign = form.signs.get(str(name), 0)
        for title, values in _features(column, sign):
            safe = _UNSAFE.sub("_", title)
            if safe in taken:
                raise TableError(f"{title!r} and {taken[safe]!r} are one name to a model, {safe}; rename one of them.")
            taken[safe] = title
            yield safe, (sign, values)


def _features(column: pd.Series, sign: int) -> Iterator[tuple[str, pd.Series]]:
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    if is_numeric_dtype(column) or is_bool_dtype(column) or column.isna().all():
        yield str(column.name), _finite(column.astype("float64"))
    elif sign:
        raise TableError(f"A sign is declared for {column.name!r}, which holds text; only a number rises and falls.")
    else:
        yield from _flags(column)


def _finite(column: pd.Series) -> pd.Series:
    infinite = int(np.isinf(column).sum())
    if infinite:
        raise TableError(
            f"The column {column.name!r} holds {infinite} infinite values; leave them empty, or give them a bound."
        )
    return column


def _flags(column: pd.Series) -> Iterator[tuple[str, pd.Series]]:
    known = column.notna()
    values = sorted(column[known].unique().tolist(), key=str)
    if not all(isinstance(value, str) for value in values):
        raise TableError(f"The column {column.name!r} holds neither numbers nor text; give one of them.")
    if len(values) > MOST_CATEGORIES:
        raise TableError(
            f"The text column {column.name!r} has {len(values)} different values and may have {MOST_CATEGORIES}; "
            "name it as the identifier, or leave it out."
        )
    for value in values:
        yield f"{column.name}={value}", (column == value).astype("float64").where(known)


def _alike(features: pd.DataFrame) -> pd.Series:
    """Return a name for each row that rows alike in every feature share."""
    return features.groupby(list(features.columns), dropna=False, sort=False).ngroup().astype(str)


def _digest(signs: Mapping[str, int]) -> str:
    return "sha256:" + hashlib.sha256(json.dumps(signs).encode()).hexdigest()


def _some(values: list[str]) -> str:
    shown = ", ".join(map(repr, values[:5]))
    return f"{shown} and {len(values) - 5} more" if len(values) > 5 else shown  # noqa: PLR2004 - enough to recognise
