"""Does withholding pay? What a score gains where a table, a single value, or a seller's rows of a table are hidden."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from features.catalogue import CATALOGUE
from training.evidence.asking import answers, drawn_rows, scorable
from training.evidence.finding import Finding
from training.evidence.hidden_rows import HONEST, TOLD_BY_SILENCE, without_rows
from training.evidence.limits import LimitCheck, Standing, alarms
from training.evidence.scored import scores

if TYPE_CHECKING:
    import pandas as pd

    from scoring import Assessment, Bundle
    from training.evidence.subject import Subject

MOST_GAIN: Final = 5.0
"""Points that withholding may bring at the most before it raises an alarm."""

_ASKED: Final = 200
"""Rows that are assessed as a bank would, for each table."""

_HIDDEN: Final = 2_000
"""Rows of which each value in turn is hidden."""

_ORDERS: Final = 20_000
"""No more sellers are copied without their rows once they have so many orders of 90 days together."""

_NAMED: Final = 5


@dataclass(frozen=True)
class Gain:
    """What hiding something did to the scores of the rows that showed it before.

    Attributes:
        what: the table or feature.
        rows: how many were asked.
        unscored: share of them whose answer then carries no number.
        most: the most points that any of the others gained; 0 where nobody was scored.
        mean: what they gained on average.
        beyond: share of all rows that gained more than `MOST_GAIN`.
    """

    what: str
    rows: int
    unscored: float
    most: float
    mean: float
    beyond: float

    @classmethod
    def of(cls, what: str, before: NDArray[np.float64], after: NDArray[np.float64]) -> Gain:
        """Compare scores, NaN where an answer carries no number."""
        gained = (after - before)[~np.isnan(after)]
        if not len(gained):
            return cls(what, len(before), 1.0 if len(before) else 0.0, 0.0, 0.0, 0.0)
        beyond = float((gained > MOST_GAIN).sum()) / len(before)
        return cls(what, len(before), 1 - len(gained) / len(before), float(gained.max()), float(gained.mean()), beyond)


def withholding(subject: Subject) -> Finding:
    """Withhold each table, each value and all rows of each table from random test rows, and see what scores gain."""
    title, bundle = "What withholding brings", subject.served
    if not scorable(bundle, subject.test.features).any():
        return Finding(
            "withholding", title, "No test row has history enough for a score, so none can be withheld from."
        )
    tables, columns = by_table(subject)
    values, rows = by_value(subject), by_rows(subject)
    lacking = [gain for gain in rows if gain.what not in TOLD_BY_SILENCE]
    all_gains = [*tables, *columns, *values, *(replace(gain, what=f"rows of {gain.what}") for gain in lacking)]
    most = max(all_gains, key=lambda gain: gain.most)
    checks = (_check(all_gains, most), *_exempt([gain for gain in rows if gain.what in TOLD_BY_SILENCE]))
    refused = min((gain.unscored for gain in tables), default=1.0)
    return Finding(
        "withholding",
        title,
        f"{_said(tables, most, refused)} {_said_of_rows(rows)}",
        figures={
            "most_gain": most.most,
            "most_gain_by_table": max((gain.most for gain in (*tables, *columns)), default=0.0),
            "most_gain_by_value": max((gain.most for gain in values), default=0.0),
            "least_share_without_number": refused,
            **({"most_gain_by_rows": max(gain.most for gain in lacking)} if lacking else {}),
            **{f"most_gain_by_rows_of_{gain.what}": gain.most for gain in rows},
            **{f"gaining_share_by_rows_of_{gain.what}": gain.beyond for gain in rows},
        },
        tables={
            "By table not delivered": _table("table", tables),
            "By table whose values are hidden": _table("table", columns),
            "By value hidden": _table("feature", sorted(values, key=lambda gain: -gain.most)),
            **({"By table without the seller's rows": _table("table", rows)} if rows else {}),
        },
        alarms=alarms(checks),
        checks=checks,
    )


def by_table(subject: Subject) -> tuple[list[Gain], list[Gain]]:
    """Return what withholding each table that the bundle requires brings: not delivered, and delivered without values.

    The second is a delivery in which the table is there and everything that rests on it is missing all the same.
    """
    bundle = subject.served
    places = drawn_rows(bundle, subject.test, _ASKED, subject.seed)
    rows, matrix = subject.test.rows.iloc[places], subject.test.features.to_numpy()[places]
    before = _numbers(answers(bundle, rows, matrix))
    gains: list[list[Gain]] = [[], []]
    for table in bundle.sheet.required_tables:
        hidden = matrix.copy()
        hidden[:, _resting_on(bundle, table)] = np.nan
        for found, withheld in zip(gains, ((table,), ()), strict=True):
            after = answers(bundle, rows, hidden, withheld)
            found.append(Gain.of(table, before, _numbers(after)))
    return gains[0], gains[1]


def by_value(subject: Subject) -> list[Gain]:
    """Return what hiding each feature's value brings to the rows that have one."""
    bundle = subject.served
    places = drawn_rows(bundle, subject.test, _HIDDEN, subject.seed)
    features = subject.test.features.iloc[places]
    before = scores(bundle, features.to_numpy()).astype(np.float64)
    found = []
    for name in bundle.sheet.names:
        shown = features[name].notna().to_numpy()
        hidden = features[shown].assign(**{name: np.nan})
        found.append(Gain.of(name, before[shown], _scored(bundle, hidden)))
    return found


def by_rows(subject: Subject) -> list[Gain]:
    """Return what it brings a seller that a delivered table lacks all his rows, by table; none without a store.

    Only those are counted who had rows that moved a feature.
    """
    store, bundle = subject.store, subject.served
    if store is None or "orders" not in subject.test.tables:
        return []
    places = drawn_rows(bundle, subject.test, _ASKED, subject.seed)
    places = np.random.default_rng(subject.seed).permutation(places)  # whoever is beyond the limit, is so by chance
    orders = subject.test.features["orders_90d"].iloc[places].cumsum()
    asked = subject.test.rows.iloc[places][(orders.shift(fill_value=0) < _ORDERS).to_numpy()]
    found = without_rows(store, asked[["seller_id", "as_of"]].drop_duplicates(ignore_index=True))
    honest = found.pop(HONEST)
    before, whole = _scored(bundle, honest), honest.to_numpy()
    numbered = ~np.isnan(before)
    gains = []
    for table, features in found.items():
        hidden = features.to_numpy()
        shown = ((hidden != whole) & ~(np.isnan(hidden) & np.isnan(whole))).any(axis=1) & numbered
        gains.append(Gain.of(table, before[shown], _scored(bundle, features)[shown]))
    return gains


def _scored(bundle: Bundle, features: pd.DataFrame) -> NDArray[np.float64]:
    """Return scores, NaN without history enough for one."""
    numbers = scores(bundle, features.to_numpy()).astype(np.float64)
    return np.where(scorable(bundle, features), numbers, np.nan)


def _numbers(found: Sequence[Assessment]) -> NDArray[np.float64]:
    return np.array([np.nan if each.score is None else float(each.score) for each in found])


def _resting_on(bundle: Bundle, table: str) -> NDArray[np.bool_]:
    tables = {feature.name: feature.tables for feature in CATALOGUE}
    return np.array([table in tables.get(name, frozenset()) for name in bundle.sheet.names])


def _check(gains: Sequence[Gain], most: Gain) -> LimitCheck:
    figure, limit, found = "number of points gained by withholding", f"at most {MOST_GAIN:.0f}", f"{most.most:.0f}"
    paying = sorted((gain for gain in gains if gain.most > MOST_GAIN), key=lambda gain: -gain.most)
    if not paying:
        return LimitCheck(figure, found, limit, Standing.WITHIN)
    named = ", ".join(f"{gain.what} ({gain.most:.0f})" for gain in paying[:_NAMED])
    more = f" and {len(paying) - _NAMED} more" if len(paying) > _NAMED else ""
    note = (
        f"Withholding brings more than the limit of {MOST_GAIN:.0f} points: {named}{more}. Require the table for a "
        "score, or treat missing values of these features as the riskiest ones."
    )
    return LimitCheck(figure, found, limit, Standing.ALARM, note)


def _exempt(silent: Sequence[Gain]) -> Iterator[LimitCheck]:
    """Check tables whose missing rows look like an honest zero; a gain without them is stated and raises no alarm."""
    if not silent:
        return
    figure, limit = "points gained without a seller's rows of a table", f"at most {MOST_GAIN:.0f}"
    found = ", ".join(f"{gain.what} {gain.most:.0f}" for gain in silent)
    paying = [gain for gain in silent if gain.most > MOST_GAIN]
    if not paying:
        yield LimitCheck(figure, found, limit, Standing.WITHIN)
        return
    gains = ", ".join(
        f"up to {gain.most:.0f} points without {gain.what} ({gain.beyond:.0%} of sellers gain too much)"
        for gain in paying
    )
    note = (
        f"A seller whose rows are missing from a delivered table gains more than the limit of {MOST_GAIN:.0f} points: "
        f"{gains}. It raises no alarm, because missing rows look like an honest zero and sellers do not deliver data "
        "themselves. The platform and the lender must deliver every row."
    )
    yield LimitCheck(figure, found, limit, Standing.EXEMPT, note)


def _said(tables: Sequence[Gain], most: Gain, refused: float) -> str:
    names = ", ".join(gain.what for gain in tables) or "none"
    without = "all answers" if refused == 1 else f"{refused:.0%} of the answers or more"
    gained = f"The largest gain of a row is {most.most:.0f} points, by {most.what}." if most.most > 0 else ""
    return (
        f"Asked: can a seller gain points by withholding data? For up to {_ASKED} test rows drawn at random, each "
        f"required table ({names}) was left out of the delivery; {without} then carry no number. In a second run, the "
        "table was delivered and every value that depends on it was hidden. For up to "
        f"{_HIDDEN:,} rows, each value in turn was hidden. {gained or 'No row gained a point.'} The limit is "
        f"{MOST_GAIN:.0f} points."
    )


def _said_of_rows(gains: Sequence[Gain]) -> str:
    if not gains:
        return "That a delivered table lacks rows of one seller was not measured: no operating data are at hand."
    named = "; ".join(f"{gain.what} {gain.most:.0f} ({gain.beyond:.0%})" for gain in gains)
    return (
        f"For up to {_ASKED} sellers, all rows of each optional table were left out of a delivery that has the table. "
        f"The largest gain in points and the share of sellers who gain more than {MOST_GAIN:.0f}: {named}. Leaving out "
        "only a part of the rows, such as those of paid visits, was not measured."
    )


def _table(of: str, gains: Sequence[Gain]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        [
            {
                of: gain.what,
                "rows": gain.rows,
                "without_number": gain.unscored,
                "most_gain": gain.most,
                "mean_gain": gain.mean,
                "gained_too_much": gain.beyond,
            }
            for gain in gains
        ]
    )
