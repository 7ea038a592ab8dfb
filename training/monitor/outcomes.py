"""What became of loans as far as it is known today: matured or still open, bad so far or not.

Bad is what the model was trained to predict. A loan is matured once it has had all its months; before that it is open
whatever it has done, since of young loans the bad are known early and the good are not: to count the ones without
waiting for the others would make every recent month look terrible.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from training.errors import LabelError
from training.labels import DefaultDefinition, LabelConfig, label_loans, read_label_table

if TYPE_CHECKING:
    import pandas as pd

    from features.ingest import OperatingStore

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
        return _labelled(table, definition, today, config or LabelConfig())
    words = _DEFINITION.fullmatch(definition)
    if words is None:
        return Outcomes(_none(), None, f'Loans cannot be judged by "{definition}"; give its label table with --labels.')
    lacking = [name for name in _TABLES if name not in store.covers_through or not store.rows(name)]
    if lacking:
        return Outcomes(_none(), None, f"The operating data hold no {' and no '.join(lacking)}.")
    through = min(*(store.covers_through[name] for name in _TABLES), today)
    return _of_loans(_known(store, today), through, DefaultDefinition(int(words[1]), int(words[2])))


def _of_loans(tables: dict[str, pd.DataFrame], through: date, definition: DefaultDefinition) -> Outcomes:
    """Label loans one by one, and keep those whose outcome is open."""
    import pandas as pd

    loans = tables["loans"]
    loans = loans[loans["loan_id"].isin(tables["instalments"]["loan_id"])]
    if loans.empty:
        return Outcomes(_none(), through, f"No loan with instalments was paid out before {through}.")
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


def _labelled(table: Path, definition: str, today: date, config: LabelConfig) -> Outcomes:
    import pandas as pd

    known = read_label_table(table, replace(config, horizon_days=0))
    if definition != known.definition:
        return Outcomes(_none(), None, f'The model predicts "{definition}", which a label table does not say.')
    rows = known.rows[known.rows["as_of"] < pd.Timestamp(today)].reset_index(drop=True)
    if rows.empty:
        return Outcomes(_none(), today, f"The label table has no row as of before {today}.")
    matured = rows["as_of"] <= pd.Timestamp(today) - pd.Timedelta(days=config.horizon_days)
    # the outcome of a row whose horizon has not ended was not known yet
    found = rows.assign(matured=matured, bad=rows["bad"] & matured)
    return Outcomes(found.rename(columns={"as_of": "day"}), today)


def _known(store: OperatingStore, today: date) -> dict[str, pd.DataFrame]:
    """Return the rows that the platform knew by today; of instalments also those that are not due yet."""
    import pandas as pd

    from features.pipeline import accepted_rows

    midnight = pd.Timestamp(today)
    tables = {name: accepted_rows(store, name) for name in _TABLES}
    known = {name: rows[rows["known_at"] <= midnight] for name, rows in tables.items()}
    return known | {"loans": known["loans"][known["loans"]["disbursed_at"] < midnight]}


def _none() -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        {
            "seller_id": pd.Series(dtype="str"),
            "day": pd.Series(dtype="datetime64[us]"),
            "matured": pd.Series(dtype=bool),
            "bad": pd.Series(dtype=bool),
        }
    )
