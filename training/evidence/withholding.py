"""Does it pay where a table is delivered, and one seller's rows in it are not? Sellers copied without them, and scored.

A table that nobody delivered is missing, and so is all that rests on it. Rows that are lacking of one seller alone look
like a seller who has none: whether that is a zero or unknown, each definition says. So nothing is set to missing here:
the rows are left out of a store of copies, and features are computed from what is left.

Does withholding pay? What a score gains where a table, a single value, or a seller's rows of a table are hidden.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from features.catalogue import CATALOGUE
from features.pipeline import compute_frame
from features.store.tiles import SOURCES
from training.evidence.fake_order_rows import NamedRows, copy_rows, first_rows, rows_of, with_new_ids, write_store
from training.evidence.limits import LimitCheck, Standing, alarms
from training.evidence.study import Finding, assess_rows, sample_rows, scorable_rows, scores

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from features.ingest import OperatingStore
    from scoring import Assessment, Bundle
    from training.evidence.study import ReviewedModel


UNCHANGED: Final = "as he is"
"""The copy that hides nothing."""


TOLD_BY_SILENCE: Final = frozenset({"refunds", "loans", "instalments"})
"""Tables whose silence is a fact, which nobody can tell from news withheld: no refund is what an honest seller hopes
for, and most who ask for a first loan never had one. Whether all rows come is the platform's and the lender's to keep;
a seller delivers none himself."""


_NEEDED: Final = frozenset({"sellers", "stores", "orders"})
"""Tables without which there is no seller to score."""


def optional_tables(store: OperatingStore) -> tuple[str, ...]:
    """Return the delivered tables of which a seller's rows may be lacking.

    Example: `("refunds", "traffic", "fulfilments", "ratings", "purchases")`.
    """
    return tuple(name for name in SOURCES if name not in _NEEDED and store.rows(name))


def without_rows(store: OperatingStore, pairs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the features of sellers as they are, and without their rows in each optional table that is delivered.

    Args:
        store: the operating data.
        pairs: `seller_id` and `as_of` to compute for.

    Returns:
        Frames by the name of the table left out, `HONEST` for none, each in the order of `pairs`.
    """
    import pandas as pd

    rows = rows_of(store, pairs["seller_id"].unique(), pairs["as_of"].max().date())
    copies = (UNCHANGED, *optional_tables(store))
    asked = pd.concat([_requested(pairs, copy) for copy in copies], ignore_index=True)
    with tempfile.TemporaryDirectory(prefix="sellerscore-hidden-rows-") as folder:
        deliveries = {"first": first_rows(store), "true": _all_sellers(rows, copies)}
        computed = compute_frame(write_store(Path(folder), store, deliveries), asked)
    found = computed.reindex(pd.MultiIndex.from_frame(asked))
    count = len(pairs)
    return {copy: found.iloc[place * count : (place + 1) * count] for place, copy in enumerate(copies)}


def _all_sellers(rows: dict[str, pa.Table], copies: Sequence[str]) -> NamedRows:
    for copy in copies:
        yield from with_new_ids({name: table for name, table in rows.items() if name != copy}, copy)


def _requested(pairs: pd.DataFrame, copy: str) -> pd.DataFrame:
    return pairs.assign(seller_id=[copy_rows(seller, copy) for seller in pairs["seller_id"]])[["seller_id", "as_of"]]


MOST_GAIN: Final = 5.0
"""Points that withholding may bring at the most before it raises an alarm."""


_ROWS_TESTED: Final = 200
"""Rows that are assessed as a bank would, for each table."""


_HIDDEN: Final = 2_000
"""Rows of which each value in turn is hidden."""


_ORDERS: Final = 20_000
"""No more sellers are copied without their rows once they have so many orders of 90 days together."""


_NAMED: Final = 5


@dataclass(frozen=True)
class WithholdingGain:
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
    def of(cls, what: str, before: NDArray[np.float64], after: NDArray[np.float64]) -> WithholdingGain:
        """Compare scores, NaN where an answer carries no number."""
        gained = (after - before)[~np.isnan(after)]
        if not len(gained):
            return cls(what, len(before), 1.0 if len(before) else 0.0, 0.0, 0.0, 0.0)
        beyond = float((gained > MOST_GAIN).sum()) / len(before)
        return cls(what, len(before), 1 - len(gained) / len(before), float(gained.max()), float(gained.mean()), beyond)


def withholding(subject: ReviewedModel) -> Finding:
    """Withhold each table, each value and all rows of each table from random test rows, and see what scores gain."""
    title, bundle = "What withholding brings", subject.served
    if not scorable_rows(bundle, subject.test.features).any():
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
        f"{_summary(tables, most, refused)} {_summary_of_rows(rows)}",
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


def by_table(subject: ReviewedModel) -> tuple[list[WithholdingGain], list[WithholdingGain]]:
    """Return what withholding each table that the bundle requires brings: not delivered, and delivered without values.

    The second is a delivery in which the table is there and everything that rests on it is missing all the same.
    """
    bundle = subject.served
    places = sample_rows(bundle, subject.test, _ROWS_TESTED, subject.seed)
    rows, matrix = subject.test.rows.iloc[places], subject.test.features.to_numpy()[places]
    before = _numbers(assess_rows(bundle, rows, matrix))
    gains: list[list[WithholdingGain]] = [[], []]
    for table in bundle.sheet.required_tables:
        hidden = matrix.copy()
        hidden[:, _dependent_on(bundle, table)] = np.nan
        for found, withheld in zip(gains, ((table,), ()), strict=True):
            after = assess_rows(bundle, rows, hidden, withheld)
            found.append(WithholdingGain.of(table, before, _numbers(after)))
    return gains[0], gains[1]


def by_value(subject: ReviewedModel) -> list[WithholdingGain]:
    """Return what hiding each feature's value brings to the rows that have one."""
    bundle = subject.served
    places = sample_rows(bundle, subject.test, _HIDDEN, subject.seed)
    features = subject.test.features.iloc[places]
    before = scores(bundle, features.to_numpy()).astype(np.float64)
    found = []
    for name in bundle.sheet.names:
        shown = features[name].notna().to_numpy()
        hidden = features[shown].assign(**{name: np.nan})
        found.append(WithholdingGain.of(name, before[shown], _scored(bundle, hidden)))
    return found


def by_rows(subject: ReviewedModel) -> list[WithholdingGain]:
    """Return what it brings a seller that a delivered table lacks all his rows, by table; none without a store.

    Only those are counted who had rows that moved a feature.
    """
    store, bundle = subject.store, subject.served
    if store is None or "orders" not in subject.test.tables:
        return []
    places = sample_rows(bundle, subject.test, _ROWS_TESTED, subject.seed)
    places = np.random.default_rng(subject.seed).permutation(places)  # whoever is beyond the limit, is so by chance
    orders = subject.test.features["orders_90d"].iloc[places].cumsum()
    asked = subject.test.rows.iloc[places][(orders.shift(fill_value=0) < _ORDERS).to_numpy()]
    found = without_rows(store, asked[["seller_id", "as_of"]].drop_duplicates(ignore_index=True))
    honest = found.pop(UNCHANGED)
    before, whole = _scored(bundle, honest), honest.to_numpy()
    numbered = ~np.isnan(before)
    gains = []
    for table, features in found.items():
        hidden = features.to_numpy()
        shown = ((hidden != whole) & ~(np.isnan(hidden) & np.isnan(whole))).any(axis=1) & numbered
        gains.append(WithholdingGain.of(table, before[shown], _scored(bundle, features)[shown]))
    return gains


def _scored(bundle: Bundle, features: pd.DataFrame) -> NDArray[np.float64]:
    """Return scores, NaN without history enough for one."""
    numbers = scores(bundle, features.to_numpy()).astype(np.float64)
    return np.where(scorable_rows(bundle, features), numbers, np.nan)


def _numbers(found: Sequence[Assessment]) -> NDArray[np.float64]:
    return np.array([np.nan if each.score is None else float(each.score) for each in found])


def _dependent_on(bundle: Bundle, table: str) -> NDArray[np.bool_]:
    tables = {feature.name: feature.tables for feature in CATALOGUE}
    return np.array([table in tables.get(name, frozenset()) for name in bundle.sheet.names])


def _check(gains: Sequence[WithholdingGain], most: WithholdingGain) -> LimitCheck:
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


def _exempt(silent: Sequence[WithholdingGain]) -> Iterator[LimitCheck]:
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


def _summary(tables: Sequence[WithholdingGain], most: WithholdingGain, refused: float) -> str:
    names = ", ".join(gain.what for gain in tables) or "none"
    without = "all answers" if refused == 1 else f"{refused:.0%} of the answers or more"
    gained = f"The largest gain of a row is {most.most:.0f} points, by {most.what}." if most.most > 0 else ""
    return (
        f"Can a seller gain points by withholding data? For up to {_ROWS_TESTED} test rows drawn at random, each "
        f"required table ({names}) was left out of the delivery; {without} then carry no number. In a second run, the "
        "table was delivered and every value that depends on it was hidden. For up to "
        f"{_HIDDEN:,} rows, each value in turn was hidden. {gained or 'No row gained a point.'} The limit is "
        f"{MOST_GAIN:.0f} points."
    )


def _summary_of_rows(gains: Sequence[WithholdingGain]) -> str:
    if not gains:
        return "That a delivered table lacks rows of one seller was not measured: no operating data are at hand."
    named = "; ".join(f"{gain.what} {gain.most:.0f} ({gain.beyond:.0%})" for gain in gains)
    return (
        f"For up to {_ROWS_TESTED} sellers, all rows of each optional table were left out of a delivery. "
        f"The largest gain in points and the share of sellers who gain more than {MOST_GAIN:.0f}: {named}. Leaving out "
        "only a part of the rows, such as those of paid visits, was not measured."
    )


def _table(of: str, gains: Sequence[WithholdingGain]) -> pd.DataFrame:
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
