"""Labelled tables as training datasets: numbers stay numbers, text becomes flags, missing values stay missing.

There is no store and no catalogue behind such a table: each column is a feature without a sign, unless one is declared.
Outcomes are never used to encode a value.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import numpy as np

from features.regular_files import open_regular
from training.dataset import TABLE_GROUPS, TABLE_ROWS, UNDATED, Dataset
from training.errors import TableError
from training.labels import Labels

if TYPE_CHECKING:
    import pandas as pd

MOST_CATEGORIES: Final = 50
"""Maximum number of different values of a text column. A column with more is an identifier or free text."""

_NAMED: Final = 5
"""Number of values that a message lists."""

_REST_OF_DATE: Final = {4: "0101", 6: "01", 8: ""}
"""Digits that complete a year, a year with month, or a date, by its number of digits."""

_DATE_FORMATS: Final = ("ISO8601", "%d.%m.%Y", "%d-%b-%Y", "%d-%b-%y")
"""Date formats in which day and month cannot be confused."""

_UNSAFE: Final = re.compile(r"[^\w=.<>+-]+")
"""Characters that LightGBM's model text does not allow in the name of a feature."""


@dataclass(frozen=True)
class TableForm:
    """The meaning of the columns of a table.

    Attributes:
        label: column with the outcome, which has two values.
        bad: the value that means bad.
        identifier: column with the groups of rows, which is not a feature. Without one, rows with equal features are
            one group, so that no copy of a row is on both sides of a fold.
        signs: +1 for a column along which risk rises, -1 for one along which it falls; others have no sign.
        time: column with the date of each row, which is not a feature. Without one, all rows have the same `as_of`.

    Example: `TableForm("creditability", "bad")`.
    """

    label: str
    bad: str | int
    identifier: str | None = None
    signs: Mapping[str, int] = field(default_factory=dict)
    time: str | None = None

    @property
    def non_features(self) -> tuple[str, ...]:
        """The columns that are not features."""
        return tuple(name for name in (self.label, self.identifier, self.time) if name is not None)


def read_table(path: Path | str, text: Collection[str] = ()) -> pd.DataFrame:
    """Read a table from a Parquet file, or from a CSV file whose name ends with `.csv`.

    In a CSV file, empty cells and the texts that pandas reads as missing (`NA`, `N/A`, `NULL`, `NaN`, `None` and a few
    others) are missing values.

    Args:
        path: the file.
        text: columns of identifiers, which stay text: as numbers, `007` and `7` would be equal.

    Raises:
        TableError: the file does not exist, cannot be read, or has two columns with one name.
    """
    import pandas as pd
    import pyarrow.parquet as pq

    path = Path(path)
    with _open_table(path) as file:
        if path.suffix.lower() == ".csv":
            try:
                # with a header, pandas would rename the second of two columns with one name
                header = pd.read_csv(file, header=None, nrows=1, dtype=str, keep_default_na=False)
                require_unique_names(header.set_axis(header.iloc[0].tolist(), axis=1))
                file.seek(0)
                return pd.read_csv(file, low_memory=False, dtype=dict.fromkeys(text, str))
            except ValueError as error:
                reason = str(error).strip()
                raise TableError(f"The table {path.name} cannot be read as CSV in UTF-8: {reason}") from error
        try:
            table: pd.DataFrame = pq.ParquetFile(file).read().to_pandas()
        except (OSError, ValueError) as error:  # base classes of pyarrow's errors
            raise TableError(f"The table {path.name} cannot be read as Parquet: {str(error).strip()}") from error
        return table


def _open_table(path: Path) -> BinaryIO:
    try:
        return open_regular(path)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise TableError(f"There is no table at {path}.") from error
    except OSError as error:
        raise TableError(f"The table {path} cannot be read ({error.strerror}). Give a Parquet or CSV file.") from error


def as_dataset(table: pd.DataFrame, form: TableForm) -> Dataset:
    """Return a table as a dataset, in the order of its rows.

    Numbers are not changed, and true is 1. Text becomes a flag for each of its values, such as `purpose=education`: 1
    if the row has that value, otherwise 0, and missing if the row has no value.

    Example: rows `{"income": 900.0, "home": "own", "bad": 1}` with the form `TableForm("bad", 1)` have the features
    `income`, `home=own` and the flags of other homes.

    Raises:
        TableError: no rows, two columns with one name, no label, a missing outcome or more than two, a missing
            group, a column that is neither number nor category, an infinite value, or a sign for a column that is
            not a number.
    """
    import pandas as pd

    _require_columns(table, form)
    bad = _outcomes(table[form.label], form)
    encoded = dict(_encode(table.drop(columns=list(form.non_features)), form))
    features = pd.DataFrame({name: values for name, (_, values) in encoded.items()}, index=table.index)
    if form.identifier is None:
        group = features.groupby(list(features.columns), dropna=False, sort=False).ngroup().astype(str)
    else:
        group = _groups(table[form.identifier])
    as_of = pd.Timestamp(UNDATED) if form.time is None else midnights(table[form.time])
    rows = pd.DataFrame({"seller_id": group, "as_of": as_of, "bad": bad}).reset_index(drop=True)
    about = pd.DataFrame({"country": "unknown", "marketplace": "unknown"}, index=rows.index)
    last = rows["as_of"].max().date()
    labels = Labels(rows, 0, last, f"{form.label} is {form.bad}", source=f"the column {form.label} of the table")
    signs = {name: sign for name, (sign, _) in encoded.items()}
    digest = "sha256:" + hashlib.sha256(json.dumps(signs).encode()).hexdigest()
    features = features.reset_index(drop=True)
    words = TABLE_ROWS if form.identifier is None else TABLE_GROUPS
    return Dataset(rows, features, about, labels, digest, "a table", (), signs, (), is_table=True, words=words)


def require_unique_names(table: pd.DataFrame) -> list[str]:
    """Return the names of the columns.

    Raises:
        TableError: the table is not a DataFrame, or two columns have one name.
    """
    import pandas as pd

    if not isinstance(table, pd.DataFrame):
        raise TableError(f"The table is a {type(table).__name__}. Use a pandas DataFrame with a row for each outcome.")
    names = [str(name) for name in table.columns]
    duplicates = sorted({name for name in names if names.count(name) > 1})
    if duplicates:
        count = names.count(duplicates[0])
        raise TableError(f"The table has {count} columns named {duplicates[0]!r}. Give each column its own name.")
    return names


def list_some(values: list[str]) -> str:
    """Return the first values of a list for a message: `'a', 'b' and 3 more`."""
    listed = ", ".join(map(repr, values[:_NAMED]))
    return f"{listed} and {len(values) - _NAMED} more" if len(values) > _NAMED else listed


def _groups(identifiers: pd.Series) -> pd.Series:
    missing = int(identifiers.isna().sum())
    if missing:
        raise TableError(
            f"{missing} of {len(identifiers)} rows have no value in {identifiers.name!r}, the column of the groups. "
            "Fill in the identifier, or remove these rows."
        )
    return identifiers.astype(str)


def _require_columns(table: pd.DataFrame, form: TableForm) -> None:
    names = require_unique_names(table)
    for role, name in (("label", form.label), ("identifier", form.identifier), ("time", form.time)):
        if name is not None and name not in names:
            raise TableError(f"The table has no column {name!r} for its {role}. Its columns are {list_some(names)}.")
    if table.empty:
        raise TableError("The table has no rows.")
    unknown = sorted(set(form.signs) - set(names))
    if unknown:
        raise TableError(f"A sign is declared for {unknown[0]!r}, but the columns of the table are {list_some(names)}.")
    if len(names) == len(form.non_features):
        raise TableError(f"The table has no features: its only columns are {' and '.join(names)}.")


def midnights(times: pd.Series) -> pd.Series:
    """Return the midnight that begins the day of each time: of dates, ISO text, years, or numbers such as 20240131.

    A year of two digits is in the hundred years that end today, because an outcome is known.

    Example: `2024`, `202403` and `20240305` are 2024-01-01, 2024-03-01 and 2024-03-05; `22-Jun-66` is 1966-06-22.

    Raises:
        TableError: a value is missing, not a date, or in the future.
    """
    import pandas as pd
    from pandas.api.types import is_numeric_dtype

    if is_numeric_dtype(times):
        text = times.where(times % 1 == 0).astype("Int64").astype("string")
        text += text.str.len().map(_REST_OF_DATE)
        dates = pd.to_datetime(text, format="%Y%m%d", errors="coerce")
    else:
        try:
            candidates = [pd.to_datetime(times, errors="coerce", format=form) for form in _DATE_FORMATS]
        except ValueError as error:  # pandas rejects times in different time zones
            raise TableError(
                f"The time column {times.name!r} has times in different time zones. Use dates, or one time zone."
            ) from error
        dates = min(candidates, key=lambda column: int(column.isna().sum()))
        if dates is candidates[-1]:
            dates = dates.mask(dates > pd.Timestamp.now(), dates - pd.DateOffset(years=100))
    if dates.isna().any():
        first = str(times[dates.isna()].iloc[0])
        raise TableError(
            f"{int(dates.isna().sum())} values of the time column {times.name!r} are not dates. The first is "
            f"{first!r}. Use dates such as 2024-01-31, all in one form; 31.01.2024, 31-Jan-2024 and years work as "
            "well. Dates with slashes do not, because the day and the month can be confused."
        )
    midnight: pd.Series = dates.dt.tz_localize(None).dt.normalize()
    future = midnight[midnight > pd.Timestamp.now()]
    if len(future):
        raise TableError(
            f"{len(future)} values of the time column {times.name!r} are in the future, the last is "
            f"{future.max().date()}. Outcomes of future rows cannot be known. Correct the dates."
        )
    return midnight


def _outcomes(label: pd.Series, form: TableForm) -> pd.Series:
    missing = int(label.isna().sum())
    if missing:
        raise TableError(f"{missing} of {len(label)} rows have no value in {form.label!r}. Remove these rows.")
    values = sorted(label.unique().tolist(), key=str)
    if form.bad not in values:
        raise TableError(
            f"The column {form.label!r} never has the value {form.bad!r}, which should mean bad. Its values are "
            f"{list_some(values)}."
        )
    if len(values) != 2:  # noqa: PLR2004 - good and bad
        found = f"only the value {values[0]!r}" if len(values) == 1 else f"{len(values)} values, {list_some(values)}"
        raise TableError(f"The column {form.label!r} has {found}. A label has two values, one for good, one for bad.")
    return label == form.bad


def _encode(raw: pd.DataFrame, form: TableForm) -> Iterator[tuple[str, tuple[int, pd.Series]]]:
    """Yield the name of each feature, valid in a model text, with its sign and its float64 values."""
    used: dict[str, str] = {}
    for name, column in raw.items():
        sign = form.signs.get(str(name), 0)
        for title, values in _features(column, sign):
            safe = _UNSAFE.sub("_", title)
            if safe in used:
                raise TableError(
                    f"The columns {title!r} and {used[safe]!r} have the same name in a model, {safe}. Rename one."
                )
            used[safe] = title
            yield safe, (sign, values)


def _features(column: pd.Series, sign: int) -> Iterator[tuple[str, pd.Series]]:
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    if is_numeric_dtype(column) or is_bool_dtype(column) or column.isna().all():
        values = column.astype("float64")
        infinite = int(np.isinf(values).sum())
        if infinite:
            raise TableError(
                f"The column {column.name!r} has {infinite} infinite values. Leave them empty, or use a finite value."
            )
        yield str(column.name), values
    elif sign:
        raise TableError(f"A sign is declared for {column.name!r}, which is text. Only numbers can have a sign.")
    else:
        yield from _flags(column)


def _flags(column: pd.Series) -> Iterator[tuple[str, pd.Series]]:
    present = column.notna()
    values = sorted(column[present].unique().tolist(), key=str)
    if not all(isinstance(value, str) for value in values):
        raise TableError(f"The column {column.name!r} has neither numbers nor text only. Use one of them.")
    if len(values) > MOST_CATEGORIES:
        raise TableError(
            f"The text column {column.name!r} has {len(values)} different values; at most {MOST_CATEGORIES} are "
            "allowed. Use it as the identifier, or remove it."
        )
    for value in values:
        yield f"{column.name}={value}", (column == value).astype("float64").where(present)
