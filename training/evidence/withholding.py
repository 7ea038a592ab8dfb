"""Withholding of data: what a score gains if a table, a single value, or a seller's rows of a table are hidden.

If a table is not delivered, it is missing, and so are its features. If only one seller's rows are absent from a
delivered table, the seller looks like one without any such rows; each feature's definition decides whether that is zero
or missing. So the study sets nothing to missing itself: it leaves the rows out of a store of copies and computes the
features from the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from features.store.tiles import SOURCES
from training.evidence.limits import LimitCheck, Standing, alarm_if, first_names
from training.evidence.metrics import build_table
from training.evidence.store_copies import compute_copies, rows_of
from training.evidence.study import Finding, assess_rows, sample_rows, scorable_rows, scores

if TYPE_CHECKING:
    import pandas as pd

    from features.ingest import OperatingStore
    from scoring import Assessment, Bundle
    from training.evidence.study import ReviewedModel

UNCHANGED: Final = "as he is"
"""The name of the copy that hides nothing."""

TOLD_BY_SILENCE: Final = frozenset({"refunds", "loans", "instalments"})
"""Tables in which no rows are a valid fact: an honest seller may have no refunds, and most first-time applicants never
had a loan. Hidden rows cannot be distinguished from that. The platform and the lender must deliver all rows; sellers
deliver none themselves."""

MOST_GAIN: Final = 5.0
"""Most points that withholding may gain without an alarm."""

_NEEDED: Final = frozenset({"sellers", "stores", "orders"})
"""Tables without which a seller cannot be scored."""

_ROWS_TESTED: Final = 200
"""Most rows that are assessed for each table."""

_HIDDEN: Final = 2_000
"""Most rows of which each value in turn is hidden."""

_ORDERS: Final = 20_000
"""Sellers are copied until they have this many orders of 90 days together."""


@dataclass(frozen=True)
class WithholdingGain:
    """The effect of hiding a table or feature on the scores of the rows that had it.

    `without_number` is the share of rows whose assessment then has no score, `most_gain` and `mean_gain` are in points
    of the others (0 without others), and `gained_too_much` is the share of all rows beyond `MOST_GAIN`.
    """

    what: str
    rows: int
    without_number: float
    most_gain: float
    mean_gain: float
    gained_too_much: float

    @classmethod
    def of(cls, what: str, before: NDArray[np.float64], after: NDArray[np.float64]) -> WithholdingGain:
        """Compare scores, NaN without a score."""
        rows, gained = len(before), (after - before)[~np.isnan(after)]
        if not len(gained):
            return cls(what, rows, 1.0 if rows else 0.0, 0.0, 0.0, 0.0)
        beyond = float((gained > MOST_GAIN).sum()) / rows
        return cls(what, rows, 1 - len(gained) / rows, float(gained.max()), float(gained.mean()), beyond)


def study_withholding(subject: ReviewedModel) -> Finding:
    """Withhold each table, each value and all rows of each table from random test rows, and measure the gain."""
    title = "Withholding of data"
    if not scorable_rows(subject.served, subject.test.features).any():
        return Finding("withholding", title, "Not studied: no test row has enough history for a score.")
    tables, columns = by_table(subject)
    values, rows = by_value(subject), by_rows(subject)
    counted = [gain for gain in rows if gain.what not in TOLD_BY_SILENCE]
    gains = [*tables, *columns, *values, *(replace(gain, what=f"rows of {gain.what}") for gain in counted)]
    most = max(gains, key=lambda gain: gain.most_gain)
    least_unscored = min((gain.without_number for gain in tables), default=1.0)
    return Finding(
        "withholding",
        title,
        f"{_summary(tables, most, least_unscored)} {_summary_of_rows(rows)}",
        figures={
            "most_gain": most.most_gain,
            "most_gain_by_table": max((gain.most_gain for gain in (*tables, *columns)), default=0.0),
            "most_gain_by_value": max((gain.most_gain for gain in values), default=0.0),
            "least_share_without_number": least_unscored,
            **({"most_gain_by_rows": max(gain.most_gain for gain in counted)} if counted else {}),
            **{f"most_gain_by_rows_of_{gain.what}": gain.most_gain for gain in rows},
            **{f"gaining_share_by_rows_of_{gain.what}": gain.gained_too_much for gain in rows},
        },
        tables={
            "By table not delivered": _table("table", tables),
            "By table whose values are hidden": _table("table", columns),
            "By value hidden": _table("feature", sorted(values, key=lambda gain: -gain.most_gain)),
            **({"By table without the seller's rows": _table("table", rows)} if rows else {}),
        },
        checks=(_check(gains, most), *_check_exempt([gain for gain in rows if gain.what in TOLD_BY_SILENCE])),
    )


def by_table(subject: ReviewedModel) -> tuple[list[WithholdingGain], list[WithholdingGain]]:
    """Return the gain from withholding each required table: not delivered, and delivered without values.

    In the second case, the table is delivered but all its features are missing.
    """
    bundle = subject.served
    positions = sample_rows(bundle, subject.test, _ROWS_TESTED, subject.seed)
    rows, matrix = subject.test.rows.iloc[positions], subject.test.features.to_numpy()[positions]
    before = _assessed_scores(assess_rows(bundle, rows, matrix))
    gains: list[list[WithholdingGain]] = [[], []]
    for table in bundle.sheet.required_tables:
        hidden = matrix.copy()
        hidden[:, [table in entry.tables for entry in bundle.sheet.entries]] = np.nan
        for by_delivery, withheld in zip(gains, ((table,), ()), strict=True):
            after = assess_rows(bundle, rows, hidden, withheld)
            by_delivery.append(WithholdingGain.of(table, before, _assessed_scores(after)))
    return gains[0], gains[1]


def by_value(subject: ReviewedModel) -> list[WithholdingGain]:
    """Return the gain from hiding each feature's value, for the rows that have one."""
    bundle = subject.served
    features = subject.test.features.iloc[sample_rows(bundle, subject.test, _HIDDEN, subject.seed)]
    before = scores(bundle, features.to_numpy()).astype(np.float64)
    gains = []
    for name in bundle.sheet.names:
        known = features[name].notna().to_numpy()
        hidden = features[known].assign(**{name: np.nan})
        gains.append(WithholdingGain.of(name, before[known], _scores_or_nan(bundle, hidden)))
    return gains


def by_rows(subject: ReviewedModel) -> list[WithholdingGain]:
    """Return a seller's gain if a delivered table lacks all his rows, by table; none without a store.

    Only sellers with rows that change a feature count.
    """
    store, bundle = subject.store, subject.served
    if store is None or "orders" not in subject.test.tables:
        return []
    positions = sample_rows(bundle, subject.test, _ROWS_TESTED, subject.seed)
    positions = np.random.default_rng(subject.seed).permutation(positions)  # the sellers beyond the limit are random
    orders = subject.test.features["orders_90d"].iloc[positions].cumsum()
    rows = subject.test.rows.iloc[positions][(orders.shift(fill_value=0) < _ORDERS).to_numpy()]
    frames = without_rows(store, rows[["seller_id", "as_of"]].drop_duplicates(ignore_index=True))
    unchanged = frames.pop(UNCHANGED)
    before, complete = _scores_or_nan(bundle, unchanged), unchanged.to_numpy()
    gains = []
    for table, features in frames.items():
        hidden = features.to_numpy()
        differs = ((hidden != complete) & ~(np.isnan(hidden) & np.isnan(complete))).any(axis=1) & ~np.isnan(before)
        gains.append(WithholdingGain.of(table, before[differs], _scores_or_nan(bundle, features)[differs]))
    return gains


def optional_tables(store: OperatingStore) -> tuple[str, ...]:
    """Return the delivered tables in which a seller may have no rows.

    Example: `("refunds", "traffic", "fulfilments", "ratings", "purchases")`.
    """
    return tuple(name for name in SOURCES if name not in _NEEDED and store.rows(name))


def without_rows(store: OperatingStore, pairs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the features of sellers with all rows, and without their rows in each optional table.

    The frames are by the name of the table left out, `UNCHANGED` for none, each in the order of `pairs`.
    """
    rows = rows_of(store, pairs["seller_id"].unique(), pairs["as_of"].max().date())
    copies = {
        copy: [{name: table for name, table in rows.items() if name != copy}]
        for copy in (UNCHANGED, *optional_tables(store))
    }
    return compute_copies(store, pairs, copies)


def _scores_or_nan(bundle: Bundle, features: pd.DataFrame) -> NDArray[np.float64]:
    numbers = scores(bundle, features.to_numpy()).astype(np.float64)
    return np.where(scorable_rows(bundle, features), numbers, np.nan)


def _assessed_scores(assessments: Sequence[Assessment]) -> NDArray[np.float64]:
    return np.array([np.nan if each.score is None else float(each.score) for each in assessments])


def _check(gains: Sequence[WithholdingGain], most: WithholdingGain) -> LimitCheck:
    beyond = sorted((gain for gain in gains if gain.most_gain > MOST_GAIN), key=lambda gain: -gain.most_gain)
    names = first_names([f"{gain.what} ({gain.most_gain:.0f})" for gain in beyond])
    note = (
        f"Withholding gains more than the limit of {MOST_GAIN:.0f} points: {names}. Require the table for a score, or "
        "treat missing values of these features as the riskiest ones."
    )
    figure = "number of points gained by withholding"
    return alarm_if(beyond, figure, f"{most.most_gain:.0f}", f"at most {MOST_GAIN:.0f}", note)


def _check_exempt(exempt: Sequence[WithholdingGain]) -> Iterator[LimitCheck]:
    """Check tables in which no rows look like an honest zero; a gain without them is stated and raises no alarm."""
    if not exempt:
        return
    figure, limit = "points gained without a seller's rows of a table", f"at most {MOST_GAIN:.0f}"
    shown = ", ".join(f"{gain.what} {gain.most_gain:.0f}" for gain in exempt)
    beyond = [gain for gain in exempt if gain.most_gain > MOST_GAIN]
    if not beyond:
        yield LimitCheck(figure, shown, limit, Standing.WITHIN)
        return
    gains = ", ".join(
        f"up to {gain.most_gain:.0f} points without {gain.what} ({gain.gained_too_much:.0%} of sellers gain too much)"
        for gain in beyond
    )
    note = (
        f"A seller whose rows are missing from a delivered table gains more than the limit of {MOST_GAIN:.0f} points: "
        f"{gains}. It raises no alarm, because missing rows look like an honest zero and sellers do not deliver data "
        "themselves. The platform and the lender must deliver every row."
    )
    yield LimitCheck(figure, shown, limit, Standing.EXEMPT, note)


def _summary(tables: Sequence[WithholdingGain], most: WithholdingGain, least_unscored: float) -> str:
    names = ", ".join(gain.what for gain in tables) or "none"
    share = "no assessment" if least_unscored == 1 else f"at most {1 - least_unscored:.0%} of the assessments"
    gain = f"The largest gain of a row is {most.most_gain:.0f} points, by {most.what}." if most.most_gain > 0 else ""
    return (
        f"Can a seller gain points by withholding data? For up to {_ROWS_TESTED} test rows drawn at random, each "
        f"required table ({names}) was left out of the delivery; {share} then has a score. In a second run, the "
        "table was delivered and every value that depends on it was hidden. For up to "
        f"{_HIDDEN:,} rows, each value in turn was hidden. {gain or 'No row gained a point.'} The limit is "
        f"{MOST_GAIN:.0f} points."
    )


def _summary_of_rows(gains: Sequence[WithholdingGain]) -> str:
    if not gains:
        return "The effect of one seller's rows missing from a delivered table was not measured: no operating data."
    by_table = "; ".join(f"{gain.what} {gain.most_gain:.0f} ({gain.gained_too_much:.0%})" for gain in gains)
    return (
        f"For up to {_ROWS_TESTED} sellers, all rows of each optional table were left out of a delivery. "
        f"The largest gain in points, and the share of sellers who gain more than {MOST_GAIN:.0f}: {by_table}. The "
        "effect of leaving out a part of the rows, such as those of paid visits, was not measured."
    )


def _table(of: str, gains: Sequence[WithholdingGain]) -> pd.DataFrame:
    return build_table(vars(gain) for gain in gains).rename(columns={"what": of})
