"""What became of loans as far as it is known today: matured or still open, bad so far or not.

Bad is what the model was trained to predict. A loan is matured once it has had all its months; before that it is open
whatever it has done, since of young loans the bad are known early and the good are not: to count the ones without
waiting for the others would make every recent month look terrible.

A file that `sellerscore score-portfolio` wrote, as scores that were given.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from scoring.assessment import SCALE_LIMIT
from scoring.explain import contributions
from scoring.points import to_points
from training.errors import LabelError, MonitorError
from training.labels import DefaultDefinition, LabelConfig, label_loans, read_label_table
from training.monitor.score_log import SCORED, SCORES

if TYPE_CHECKING:
    import pandas as pd

    from features.ingest import OperatingStore
    from scoring import Bundle


_TABLES = ("loans", "instalments", "payments")


_DEFINITION = re.compile(r"(\d+)\+ days past due within (\d+) months")


@dataclass(frozen=True)
class Outcomes:
    """Loans and what is known of them.

    Attributes:
        loans: columns `seller_id`, `day` (the midnight that begins its day of disbursement), `matured` and `bad`
            (so far), a row a loan.
        known_through: outcomes before this midnight are known; None where there is no record of them.
        unknown: why there are no loans to judge by; empty where there are some.
    """

    loans: pd.DataFrame
    known_through: date | None = None
    unknown: str = ""


def outcomes(
    store: OperatingStore, definition: str, today: date, table: Path | None = None, config: LabelConfig | None = None
) -> Outcomes:
    """Return what is known at the midnight of today of the loans in a store, or of the rows of a label table.

    Rows that became known after today are left out, so that a day in the past can be monitored again as it was.

    Args:
        store: the operating data.
        definition: what bad means, in the words of a bundle, such as `90+ days past due within 12 months`.
        today: the midnight of monitoring.
        table: an external label table.
        config: its horizon and definition, as the model was trained with; without a horizon all its rows are matured.

    Raises:
        LabelError: the label table cannot be read.
    """
    if table is not None:
        return _from_labels(table, definition, today, config or LabelConfig())
    words = _DEFINITION.fullmatch(definition)
    if words is None:
        return Outcomes(
            _no_outcomes(), None, f'Loans cannot be judged by "{definition}"; give its label table with --labels.'
        )
    lacking = [name for name in _TABLES if name not in store.covers_through or not store.rows(name)]
    if lacking:
        return Outcomes(_no_outcomes(), None, f"The operating data hold no {' and no '.join(lacking)}.")
    through = min(*(store.covers_through[name] for name in _TABLES), today)
    return _of_loans(_as_known(store, today), through, DefaultDefinition(int(words[1]), int(words[2])))


def _of_loans(tables: dict[str, pd.DataFrame], through: date, definition: DefaultDefinition) -> Outcomes:
    """Label loans one by one, and keep those whose outcome is open."""
    import pandas as pd

    loans = tables["loans"]
    loans = loans[loans["loan_id"].isin(tables["instalments"]["loan_id"])]
    if loans.empty:
        return Outcomes(_no_outcomes(), through, f"No loan with instalments was paid out before {through}.")
    end = pd.Timestamp(through) - pd.DateOffset(months=definition.months)
    try:
        # labels name their rows by seller, of whom several loans of one day could not be told apart
        named = tables | {"loans": loans.assign(seller_id=loans["loan_id"])}
        rows = label_loans(named, through, definition).rows
        bad = set(rows.loc[rows["bad"], "seller_id"])
    except LabelError:  # no outcome is known yet: all are open
        bad = set()
    day = loans["disbursed_at"].dt.normalize()
    found = pd.DataFrame(
        {"seller_id": loans["seller_id"], "day": day, "matured": day <= end, "bad": loans["loan_id"].isin(bad)}
    )
    return Outcomes(found.sort_values(["day", "seller_id"], ignore_index=True), through)


def _from_labels(table: Path, definition: str, today: date, config: LabelConfig) -> Outcomes:
    import pandas as pd

    known = read_label_table(table, replace(config, horizon_days=0))
    if definition != known.definition:
        return Outcomes(_no_outcomes(), None, f'The model predicts "{definition}", which a label table does not say.')
    rows = known.rows[known.rows["as_of"] < pd.Timestamp(today)].reset_index(drop=True)
    if rows.empty:
        return Outcomes(_no_outcomes(), today, f"The label table has no row as of before {today}.")
    matured = rows["as_of"] <= pd.Timestamp(today) - pd.Timedelta(days=config.horizon_days)
    # the outcome of a row whose horizon has not ended was not known yet
    found = rows.assign(matured=matured, bad=rows["bad"] & matured)
    return Outcomes(found.rename(columns={"as_of": "day"}), today)


def _as_known(store: OperatingStore, today: date) -> dict[str, pd.DataFrame]:
    """Return the rows that the platform knew by today; of instalments also those that are not due yet."""
    import pandas as pd

    from features.pipeline import accepted_rows

    midnight = pd.Timestamp(today)
    tables = {name: accepted_rows(store, name) for name in _TABLES}
    known = {name: rows[rows["known_at"] <= midnight] for name, rows in tables.items()}
    return known | {"loans": known["loans"][known["loans"]["disbursed_at"] < midnight]}


def _no_outcomes() -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        {
            "seller_id": pd.Series(dtype="str"),
            "day": pd.Series(dtype="datetime64[us]"),
            "matured": pd.Series(dtype=bool),
            "bad": pd.Series(dtype=bool),
        }
    )


_POINTS: Final = "points_"


_NEEDED: Final = ("seller_id", "outcome", "score", "probability_of_default", "base_points")


def read_portfolio(path: Path, bundle: Bundle, as_of: date | None, valid_days: int) -> pd.DataFrame:
    """Read a portfolio as a frame of `ledger.SCORES`.

    The file names neither its model nor its midnight. That the bundle made it is checked by its columns and its base
    points; the midnight is given, or stands in a column `as_of` that somebody added, so that the files of several
    months can be put together.

    Args:
        path: a .csv or .parquet file.
        bundle: what made it.
        as_of: the midnight of all rows, where the file has no column for it.
        valid_days: for how many days each score may be relied on.

    Raises:
        MonitorError: the file cannot be read, is no portfolio or another model's, or nobody says of which midnight.
    """
    import pandas as pd

    rows = _read(path)
    _require_columns(path, list(rows.columns), bundle)
    _require_base(path, rows["base_points"], bundle)
    return pd.DataFrame(
        {
            "score_id": [f"{path.name}:{line}" for line in range(2, len(rows) + 2)],
            "model": bundle.digest,
            "seller_id": rows["seller_id"].astype(str),
            "as_of": _midnights(path, rows, as_of),
            "scored_at": pd.Series(pd.NaT, index=rows.index, dtype="datetime64[us]"),
            "valid_days": float(valid_days),
            "outcome": rows["outcome"].astype(str),
            "score": _numbers(path, rows, "score"),
            "probability_of_default": _numbers(path, rows, "probability_of_default"),
            "values": None,
        },
        columns=list(SCORES),
    )


def _read(path: Path) -> pd.DataFrame:
    import pandas as pd
    import pyarrow as pa

    readers: dict[str, Callable[[Path], pd.DataFrame]] = {".csv": _read_csv, ".parquet": pd.read_parquet}
    if path.suffix not in readers:
        raise MonitorError(f"The portfolio {path.name} must end in one of {', '.join(readers)}.")
    try:
        return readers[path.suffix](path)
    except OSError as error:
        raise MonitorError(f"The portfolio {path} cannot be read ({error.strerror or error}).") from error
    except (ValueError, pa.ArrowException) as error:
        reason = str(error).strip().splitlines()[0]
        raise MonitorError(f"The portfolio {path.name} cannot be read as {path.suffix[1:]}: {reason}") from error


def _read_csv(path: Path) -> pd.DataFrame:
    import pandas as pd

    # an id such as 007 or NA is text
    return pd.read_csv(
        path,
        dtype={"seller_id": str, "outcome": str, "as_of": str},
        keep_default_na=False,
        na_values={name: [""] for name in ("score", "probability_of_default", "base_points")},
    )


def _require_columns(path: Path, columns: list[str], bundle: Bundle) -> None:
    lacking = [name for name in _NEEDED if name not in columns]
    if lacking:
        raise MonitorError(
            f"The file {path.name} lacks the columns {', '.join(lacking)}; give one that `sellerscore score-portfolio` "
            "wrote."
        )
    found = {name.removeprefix(_POINTS) for name in columns if name.startswith(_POINTS)}
    differing = sorted(found ^ {*(entry.name for entry in bundle.sheet.scored_entries), SCALE_LIMIT})
    if differing:
        raise MonitorError(
            f"The portfolio {path.name} is of another model than {bundle.digest[:19]}: {len(differing)} features are "
            f"not those of both, the first is {differing[0]}; name its model with --portfolio-model."
        )


def _require_base(path: Path, found: pd.Series, bundle: Bundle) -> None:
    """Refuse a file whose base points, of which each model has one number, are another's."""
    bases = set(found.dropna().unique().tolist())
    own = base_points(bundle)
    if bases - {own}:
        raise MonitorError(
            f"The portfolio {path.name} has the base points {', '.join(f'{each:g}' for each in sorted(bases))} and the "
            f"model {bundle.digest[:19]} has {own}; name the model that made it with --portfolio-model."
        )


def base_points(bundle: Bundle) -> int:
    """Return the base points of every score of a bundle."""
    any_row = np.full((1, len(bundle.sheet.names)), np.nan)
    explained = contributions(bundle.model, any_row)
    return to_points(explained, bundle.policy.calibration, bundle.policy.scale, bundle.sheet.scored).base


def _midnights(path: Path, rows: pd.DataFrame, as_of: date | None) -> pd.Series:
    import pandas as pd

    if "as_of" not in rows.columns:
        if as_of is None:
            raise MonitorError(
                f"The portfolio {path.name} does not say as of which midnight it is; give --as-of YYYY-MM-DD (what "
                "`sellerscore score` shows beside the seller), or add a column as_of."
            )
        return pd.Series(pd.Timestamp(as_of), index=rows.index, dtype="datetime64[us]")
    found = pd.to_datetime(rows["as_of"], format="ISO8601", errors="coerce").astype("datetime64[us]")
    broken = (found.isna() | (found != found.dt.normalize())).to_numpy()
    if broken.any():
        line = int(broken.argmax()) + 2
        raise MonitorError(f"The portfolio {path.name} needs a date (YYYY-MM-DD) for as_of; row {line} has none.")
    return found


def _numbers(path: Path, rows: pd.DataFrame, column: str) -> pd.Series:
    """Return a column of numbers that are there exactly where the outcome is `scored`."""
    import pandas as pd

    found = pd.to_numeric(rows[column], errors="coerce").astype(float)
    broken = (found.notna() != (rows["outcome"] == SCORED)).to_numpy()
    if broken.any():
        line = int(broken.argmax()) + 2
        raise MonitorError(
            f"The portfolio {path.name} needs a {column} where the outcome is {SCORED} and nowhere else; row {line} "
            "breaks this."
        )
    return found
