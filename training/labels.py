"""Labels: which loans went bad, from loan tables or from a label table. Loans with an open outcome are only counted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field

from features.regular_files import open_regular
from training.errors import LabelError
from training.settings import STRICT

if TYPE_CHECKING:
    import pandas as pd

_CENT = 0.005
"""Half a cent: a smaller amount is not owed."""


@dataclass(frozen=True)
class DefaultDefinition:
    """Definition of bad: days past due on any instalment, within a number of months of disbursement."""

    __pydantic_config__ = STRICT

    days_past_due: Annotated[int, Field(ge=1, le=365)] = 90
    months: Annotated[int, Field(ge=1, le=60)] = 12

    def __str__(self) -> str:
        """Return the text of every response: `90+ days past due within 12 months`."""
        return f"{self.days_past_due}+ days past due within {self.months} months"


@dataclass(frozen=True)
class LabelConfig(DefaultDefinition):
    """The `[labels]` section: the definition of bad for the loans of a store or for a label table.

    `days_past_due` and `months` apply to loans. `horizon_days` and `definition` apply to a label table.

    Attributes:
        horizon_days: days after `as_of` at which the outcome was observed; 0 if unknown.
        definition: the definition of bad in responses and reports; empty if unknown.

    Example: `LabelConfig(horizon_days=56, definition="payments of the next 56 days below half of the 56 days before")`.
    """

    __pydantic_config__ = STRICT

    horizon_days: Annotated[int, Field(ge=0, le=3_660)] = 0
    definition: Annotated[str, Field(max_length=200)] = ""

    @property
    def loan_definition(self) -> DefaultDefinition:
        """The definition of bad for loans."""
        return DefaultDefinition(self.days_past_due, self.months)

    @property
    def table_definition(self) -> str:
        """The definition of bad of a label table as text."""
        return self.definition.strip() or UNSTATED_DEFINITION


_NAMED: Final = 12
"""Number of columns of a file that a message names."""

LOANS: Final = "loans, instalments and payments of the operating data"
"""The source of labels of the loans of a store."""

UNSTATED_DEFINITION: Final = "as the label table says"
"""The definition of bad of a label table without one in the settings. Bundles hold this text: do not reword."""


@dataclass(frozen=True)
class Labels:
    """Labelled rows, and counts of those left out.

    Attributes:
        rows: `seller_id`, `as_of` (midnight, datetime64) and `bad` (bool), sorted by seller and `as_of`.
        censored: number of loans that are not bad and whose outcome is still open.
        matured_through: rows up to this `as_of` have a final outcome. Of later rows only the bad ones are known, so
            that training or testing on them would be biased.
        definition: the definition of bad.
        unscheduled: number of loans without known instalments. Whether they are late is unknown.
        source: where the outcomes come from.
        horizon_days: days after `as_of` at which the outcomes of a label table were observed; None if unknown, and
            for loans, whose definition states the months.
        uncovered: number of loans that were paid out after the data of their seller end.
    """

    rows: pd.DataFrame
    censored: int
    matured_through: date
    definition: str
    unscheduled: int = 0
    source: str = LOANS
    horizon_days: int | None = None
    uncovered: int = 0


def label_loans(
    tables: dict[str, pd.DataFrame],
    observed_through: date,
    definition: DefaultDefinition | None = None,
    loan_ends: pd.Series | None = None,
) -> Labels:
    """Label each loan by the instalments and payments known at a midnight.

    An instalment is N days past due if the payments made before the N-th day after its due date do not cover the sum
    of all instalments up to and including it.

    Args:
        tables: `loans`, `instalments` and `payments` of the data contract.
        observed_through: outcomes before this midnight are known.
        definition: the definition of bad; by default 90+ days within 12 months.
        loan_ends: by loan_id, the midnight through which the payments of the loan's seller are known, if that differs
            between sellers. Payments that were not delivered must not count as unpaid.

    Raises:
        LabelError: there are no loans, or no outcome is known.
    """
    import pandas as pd

    definition = definition or DefaultDefinition()
    scheduled = tables["loans"]["loan_id"].isin(tables["instalments"]["loan_id"])
    loans = tables["loans"][scheduled]
    if loans.empty:
        raise LabelError(
            f"None of the {len(scheduled)} loans has instalments. Ingest loans, instalments and payments, or name a "
            "label table with --labels."
        )
    observed = pd.Timestamp(observed_through)
    end = loans["disbursed_at"].dt.normalize() + pd.DateOffset(months=definition.months)
    # reindex instead of map, which cannot cast if no loan was ever late
    first_bad = _first_bad_day(tables, definition).reindex(loans["loan_id"])
    bad_from = first_bad.set_axis(loans.index).astype("datetime64[us]")
    known = pd.Series(observed, loans.index)
    if loan_ends is not None:
        known = loan_ends.reindex(loans["loan_id"]).set_axis(loans.index)
        known = known.mask(known > observed, observed)
    is_bad = (bad_from <= end) & (bad_from <= known)
    # of a seller whose data end earlier, bad loans are known earlier than good ones
    is_known = (is_bad & (known == observed)) | (end <= known)
    rows = pd.DataFrame(
        {"seller_id": loans["seller_id"], "as_of": loans["disbursed_at"].dt.normalize(), "bad": is_bad}
    )[is_known]
    if rows.empty:
        raise LabelError(f"None of the {len(loans)} loans has a known outcome by {observed_through}.")
    rows = rows.sort_values(["seller_id", "as_of"], ignore_index=True)
    matured = (observed - pd.DateOffset(months=definition.months)).date()
    return Labels(rows, int((~is_known).sum()), matured, str(definition), int((~scheduled).sum()))


def read_label_table(path: Path, config: LabelConfig | None = None, observed_through: date | None = None) -> Labels:
    """Read an external label table: a CSV file with `seller_id`, `bad` (true or false) and `as_of` (a date).

    With a horizon, a row is matured when its horizon has ended. Rows whose horizon ends after `observed_through` are
    left out and counted as censored. Without a horizon, all rows count as matured.

    Args:
        path: the file.
        config: the horizon and the definition of bad; by default unknown.
        observed_through: outcomes before this midnight are known; by default no limit.

    Example: with a horizon of 56 days and outcomes known up to 2024-03-01, a row as of 2024-01-05 is matured and a row
    as of 2024-01-06 is not.

    Raises:
        LabelError: the file is missing, lacks a column or has an invalid value; or no row is matured.
    """
    config = config or LabelConfig()
    rows = _label_rows(path)
    matured = _matured(rows, path, config, observed_through)
    return Labels(
        matured,
        censored=len(rows) - len(matured),
        matured_through=matured["as_of"].max().date(),
        definition=config.table_definition,
        source=f"the external label table {path.name}",
        horizon_days=config.horizon_days or None,
    )


def embargo_note(labels: Labels, embargo_days: int) -> str:
    """Return a note on the embargo of a label table without a horizon; otherwise an empty text.

    Example: "The label table does not state when its outcomes were observed, so the embargo is 366 days. ..."
    """
    if labels.horizon_days is not None or labels.rows["as_of"].nunique() == 1:
        return ""
    return (
        f"The label table does not state when its outcomes were observed, so the embargo is {embargo_days} days "
        "(split.embargo_days). If outcomes were observed sooner, set labels.horizon_days: the embargo follows it."
    )


def _matured(rows: pd.DataFrame, path: Path, config: LabelConfig, observed_through: date | None) -> pd.DataFrame:
    """Return the rows whose horizon ends by `observed_through`."""
    import pandas as pd

    if observed_through is None or not config.horizon_days:
        return rows
    last = pd.Timestamp(observed_through) - pd.Timedelta(days=config.horizon_days)
    matured = rows[rows["as_of"] <= last].reset_index(drop=True)
    if matured.empty:
        raise LabelError(
            f"None of the {len(rows)} rows of the label table {path.name} is matured: outcomes take "
            f"{config.horizon_days} days (labels.horizon_days), the first row is as of {rows['as_of'].min().date()} "
            f"and outcomes are known up to {observed_through}. Use rows as of {last.date()} or earlier, or correct "
            "labels.horizon_days."
        )
    return matured


def _label_rows(path: Path) -> pd.DataFrame:
    """Return the columns `seller_id`, `as_of` and `bad` of a label table, sorted."""
    import pandas as pd

    table = _read_text_columns(path)
    lacking = {"seller_id", "bad", "as_of"} - set(table.columns)
    if lacking:
        raise LabelError(
            f"The label table {path.name} lacks the columns {', '.join(sorted(lacking))}. Its columns are "
            f"{', '.join(map(str, table.columns[:_NAMED]))}. Use a CSV file with the header seller_id,as_of,bad."
        )
    if table.empty:
        raise LabelError(f"The label table {path.name} has no rows. Add a line for each label.")
    truth = table["bad"].str.lower().map({"true": True, "false": False, "1": True, "0": False})
    as_of = pd.to_datetime(table["as_of"], format="%Y-%m-%d", errors="coerce")
    invalid = truth.isna() | as_of.isna() | (table["seller_id"] == "")
    if invalid.any():
        raise LabelError(
            f"Line {_first_line(invalid)} of the label table {path.name} is not valid. Every line needs a seller_id, "
            "true or false for bad, and a date (YYYY-MM-DD) for as_of."
        )
    rows = pd.DataFrame({"seller_id": table["seller_id"], "as_of": as_of, "bad": truth.astype(bool)})
    duplicates = rows.duplicated(["seller_id", "as_of"])
    if duplicates.any():
        raise LabelError(
            f"Line {_first_line(duplicates)} of the label table {path.name} repeats a seller_id and as_of. Label a "
            "seller once per day."
        )
    return rows.sort_values(["seller_id", "as_of"], ignore_index=True)


def _first_line(rows: pd.Series) -> int:
    """Return the line number of the first row for which the boolean `rows` is true; the header is line 1."""
    return int(rows.to_numpy().argmax()) + 2


def _read_text_columns(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        with open_regular(path) as file:
            table = pd.read_csv(file, dtype=str, keep_default_na=False)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise LabelError(f"There is no label table at {path}.") from error
    except OSError as error:
        raise LabelError(f"The label table {path} cannot be read ({error.strerror}). Give a CSV file.") from error
    except ValueError as error:
        raise LabelError(f"The label table {path.name} cannot be read as CSV in UTF-8: {str(error).strip()}") from error
    # if every line has one field more than the header, pandas uses the first as index and shifts the rest
    if not isinstance(table.index, pd.RangeIndex):
        raise LabelError(
            f"The label table {path.name} has more fields on its lines than in its header. Add the missing "
            "column names."
        )
    return table


def _first_bad_day(tables: dict[str, pd.DataFrame], definition: DefaultDefinition) -> pd.Series:
    """Return, by loan_id, the first day on which an instalment was past due for as long as the definition says."""
    import pandas as pd

    due = tables["instalments"].sort_values(["loan_id", "due_on"])
    due = due.assign(
        owed=due.groupby("loan_id")["amount"].cumsum(),
        limit=pd.to_datetime(due["due_on"]) + pd.Timedelta(days=definition.days_past_due),
    )
    paid = due[["loan_id", "limit"]].merge(tables["payments"][["loan_id", "paid_at", "amount"]], on="loan_id")
    in_time = paid[paid["paid_at"] < paid["limit"]].groupby(["loan_id", "limit"])["amount"].sum()
    covered = due.merge(in_time.rename("covered").reset_index(), on=["loan_id", "limit"], how="left")
    unpaid = covered[covered["covered"].fillna(0.0) < covered["owed"] - _CENT]
    return unpaid.groupby("loan_id")["limit"].min()
