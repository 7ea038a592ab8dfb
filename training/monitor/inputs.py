"""What monitoring reads: outcomes of loans as known today, and scores from a portfolio file.

A loan is bad by the definition that the model was trained to predict. It is matured when the months of that definition
are over. Until then it is open, whatever its payments show: bad loans are known early and good ones late, so a default
rate that includes young bad loans would be far too high.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from features.regular_files import open_regular
from features.seller_coverage import loan_ends
from scoring.assessment import SCALE_LIMIT
from scoring.explain import contributions
from scoring.points import to_points
from training.errors import LabelError, MonitorError
from training.labels import DefaultDefinition, LabelConfig, label_loans, read_label_table
from training.monitor.score_log import SCORED, SCORES, short_digest

if TYPE_CHECKING:
    import pandas as pd

    from features.ingest import OperatingStore
    from scoring import Bundle

_TABLES: Final = ("loans", "instalments", "payments")
_DEFINITION: Final = re.compile(r"(\d+)\+ days past due within (\d+) months")
_POINTS: Final = "points_"
_REQUIRED: Final = ("seller_id", "outcome", "score", "probability_of_default", "base_points")


@dataclass(frozen=True)
class Outcomes:
    """Loans and their outcomes.

    Attributes:
        loans: a row for each loan with the columns `seller_id`, `day` (the midnight at the start of the day of
            disbursement), `matured`, and `bad` (so far).
        known_through: outcomes before this midnight are known; None without outcome tables.
        unknown: why there are no loans; empty if there are some.
    """

    loans: pd.DataFrame
    known_through: date | None = None
    unknown: str = ""


def load_outcomes(
    store: OperatingStore, definition: str, today: date, table: Path | None = None, config: LabelConfig | None = None
) -> Outcomes:
    """Return the outcomes, as known at the midnight of today, of the loans in a store or of the rows of a label table.

    Rows with a later `known_at` are left out, so that monitoring of a past day gives the same result again.

    Args:
        store: the operating data.
        definition: of default, as in a bundle, such as `90+ days past due within 12 months`.
        today: the midnight of monitoring.
        table: an external label table.
        config: horizon and definition of the label table, as in training; without a horizon all rows are matured.

    Raises:
        LabelError: the label table cannot be read.
    """
    if table is not None:
        return _from_label_table(table, definition, today, config or LabelConfig())
    match = _DEFINITION.fullmatch(definition)
    if match is None:
        return _no_outcomes(f'Loans do not show the outcome "{definition}". Give the label table with --labels.')
    missing = [name for name in _TABLES if name not in store.covers_through or not store.rows(name)]
    if missing:
        return _no_outcomes(f"The operating data contain no {' and no '.join(missing)}.")
    through = min(*(store.covers_through[name] for name in _TABLES), today)
    tables = _known_rows(store, today)
    definition_of_bad = DefaultDefinition(int(match[1]), int(match[2]))
    return _from_loans(tables, through, definition_of_bad, loan_ends(store, tables["loans"]))


def _from_loans(
    tables: dict[str, pd.DataFrame], through: date, definition: DefaultDefinition, ends: pd.Series | None
) -> Outcomes:
    import pandas as pd

    loans = tables["loans"]
    loans = loans[loans["loan_id"].isin(tables["instalments"]["loan_id"])]
    if loans.empty:
        return _no_outcomes(f"No loan with instalments was disbursed before {through}.", through)
    known = pd.Series(pd.Timestamp(through), loans.index)
    if ends is not None:
        known = ends.reindex(loans["loan_id"]).set_axis(loans.index)
        known = known.mask(known > pd.Timestamp(through), pd.Timestamp(through))
    end = known - pd.DateOffset(months=definition.months)
    try:
        # `label_loans` returns one label per seller and day; with the loan ID as seller ID it returns one per loan
        by_loan = tables | {"loans": loans.assign(seller_id=loans["loan_id"])}
        labels = label_loans(by_loan, through, definition, ends).rows
        bad = set(labels.loc[labels["bad"], "seller_id"])
    except LabelError:  # no outcome is known yet: all loans are open
        bad = set()
    day = loans["disbursed_at"].dt.normalize()
    rows = pd.DataFrame(
        {"seller_id": loans["seller_id"], "day": day, "matured": day <= end, "bad": loans["loan_id"].isin(bad)}
    )
    return Outcomes(rows.sort_values(["day", "seller_id"], ignore_index=True), through)


def _from_label_table(table: Path, definition: str, today: date, config: LabelConfig) -> Outcomes:
    import pandas as pd

    labels = read_label_table(table, replace(config, horizon_days=0))
    if definition != labels.definition:
        return _no_outcomes(f'The model predicts "{definition}", but the label table contains "{labels.definition}".')
    rows = labels.rows[labels.rows["as_of"] < pd.Timestamp(today)].reset_index(drop=True)
    if rows.empty:
        return _no_outcomes(f"The label table has no row as of a day before {today}.", today)
    matured = rows["as_of"] <= pd.Timestamp(today) - pd.Timedelta(days=config.horizon_days)
    # before the end of the horizon the outcome was not known yet
    rows = rows.assign(matured=matured, bad=rows["bad"] & matured)
    return Outcomes(rows.rename(columns={"as_of": "day"}), today)


def _known_rows(store: OperatingStore, today: date) -> dict[str, pd.DataFrame]:
    """Return the rows known by today, including instalments that are due later."""
    import pandas as pd

    from features.pipeline import accepted_rows

    midnight = pd.Timestamp(today)
    tables = {name: accepted_rows(store, name) for name in _TABLES}
    known = {name: rows[rows["known_at"] <= midnight] for name, rows in tables.items()}
    return known | {"loans": known["loans"][known["loans"]["disbursed_at"] < midnight]}


def _no_outcomes(reason: str, known_through: date | None = None) -> Outcomes:
    import pandas as pd

    kinds = {"seller_id": "str", "day": "datetime64[us]", "matured": "bool", "bad": "bool"}
    return Outcomes(pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in kinds.items()}), known_through, reason)


def read_portfolio(path: Path, bundle: Bundle, as_of: date | None, valid_days: int) -> pd.DataFrame:
    """Read a portfolio file as a frame of `SCORES`.

    The file does not name its model; its columns and base points are compared with those of the bundle. Files of
    several months can be combined, since each row has its `as_of`.

    Args:
        path: a .csv or .parquet file that `sellerscore score-portfolio` wrote.
        bundle: the bundle that issued the scores.
        as_of: the midnight of all rows, for files without the column `as_of`.
        valid_days: number of days for which each score is valid.

    Raises:
        MonitorError: the file cannot be read, is not a portfolio of this model, or has no date.
    """
    import pandas as pd

    rows = _read(path)
    _require_columns(path, list(rows.columns), bundle)
    _require_base_points(path, rows["base_points"], bundle)
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

    if path.suffix not in {".csv", ".parquet"}:
        raise MonitorError(f"Unknown portfolio format {path.name}. Use a .csv or .parquet file.")
    try:
        with open_regular(path) as file:
            if path.suffix == ".parquet":
                return pd.read_parquet(file)
            # an ID such as 007 or NA is text
            return pd.read_csv(
                file,
                dtype={"seller_id": str, "outcome": str, "as_of": str},
                keep_default_na=False,
                na_values={name: [""] for name in ("score", "probability_of_default", "base_points")},
            )
    except OSError as error:
        raise MonitorError(f"The portfolio {path} cannot be read ({error.strerror or error}).") from error
    except (ValueError, pa.ArrowException) as error:
        reason = str(error).strip().splitlines()[0]
        raise MonitorError(f"The portfolio {path.name} cannot be read as {path.suffix[1:]}: {reason}") from error


def _require_columns(path: Path, columns: list[str], bundle: Bundle) -> None:
    missing = [name for name in _REQUIRED if name not in columns]
    if missing:
        raise MonitorError(
            f"The file {path.name} has no columns {', '.join(missing)}. Use a file that `sellerscore score-portfolio` "
            "wrote."
        )
    actual = {name.removeprefix(_POINTS) for name in columns if name.startswith(_POINTS)}
    differing = sorted(actual ^ {*(entry.name for entry in bundle.sheet.scored_entries), SCALE_LIMIT})
    if differing:
        raise MonitorError(
            f"The portfolio {path.name} and the model {short_digest(bundle.digest)} differ in {len(differing)} "
            f"features, such as {differing[0]}. Name the model of the portfolio with --portfolio-model."
        )


def _require_base_points(path: Path, actual: pd.Series, bundle: Bundle) -> None:
    """Check that all rows have the base points of the bundle; all scores of a model have the same base points."""
    expected = base_points(bundle)
    if numbers := sorted({*actual.dropna().unique().tolist()} - {expected}):
        raise MonitorError(
            f"The portfolio {path.name} has the base points {', '.join(f'{number:g}' for number in numbers)}, but the "
            f"model {short_digest(bundle.digest)} has {expected}. Name the model of the portfolio with "
            "--portfolio-model."
        )


def base_points(bundle: Bundle) -> int:
    """Return the base points of every score of a bundle."""
    any_row = np.full((1, len(bundle.sheet.names)), np.nan)  # base points do not depend on the row
    explained = contributions(bundle.model, any_row)
    return to_points(explained, bundle.policy.calibration, bundle.policy.scale, bundle.sheet.scored).base


def _midnights(path: Path, rows: pd.DataFrame, as_of: date | None) -> pd.Series:
    import pandas as pd

    if "as_of" not in rows.columns:
        if as_of is None:
            raise MonitorError(
                f"The portfolio {path.name} has no date. Give --as-of YYYY-MM-DD (the date that `sellerscore score` "
                "shows), or add a column as_of."
            )
        return pd.Series(pd.Timestamp(as_of), index=rows.index, dtype="datetime64[us]")
    dates = pd.to_datetime(rows["as_of"], format="ISO8601", errors="coerce").astype("datetime64[us]")
    _require_all(path, dates.notna() & (dates == dates.dt.normalize()), "as_of must be a date (YYYY-MM-DD)")
    return dates


def _numbers(path: Path, rows: pd.DataFrame, column: str) -> pd.Series:
    """Return a column that has a number if and only if the outcome is `scored`."""
    import pandas as pd

    numbers = pd.to_numeric(rows[column], errors="coerce").astype(float)
    rule = f"{column} must be a number if the outcome is {SCORED}, and empty otherwise"
    _require_all(path, numbers.notna() == (rows["outcome"] == SCORED), rule)
    return numbers


def _require_all(path: Path, valid: pd.Series, rule: str) -> None:
    if not valid.all():
        raise MonitorError(
            f"Row {int((~valid).to_numpy().argmax()) + 2} of the portfolio {path.name} is not valid: {rule}."
        )
