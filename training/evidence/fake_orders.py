"""The attack itself: each seller as he is and once for each mix, in one store, one frame and one scoring.

The copy that buys nothing must be scored as its original, to the byte: else nothing here could be believed.

What fake orders buy: the study of a training run, and how an attack is reported, here and in the benchmark.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from features.pipeline import compute_frame
from scoring.serialization import serialize_assessment
from training.errors import TrainingError
from training.evidence.fake_order_rows import (
    NamedRows,
    budget,
    copy_rows,
    first_rows,
    generate_rows,
    rows_of,
    with_new_ids,
    write_store,
)
from training.evidence.fake_order_strategies import (
    BUDGET_SHARE,
    MICROS,
    STRATEGIES,
    SalesPattern,
    Strategy,
    sales_patterns,
)
from training.evidence.limits import LimitCheck, Standing, alarms
from training.evidence.statistics import wilson_interval
from training.evidence.study import Finding, assess_rows, scorable_rows

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from matplotlib.figure import Figure

    from features.ingest import OperatingStore
    from scoring import Assessment, Bundle
    from training.dataset import Dataset
    from training.evidence.study import ReviewedModel


HONEST: Final = "as he is"
"""The copy that buys nothing."""


_AT_ONCE: Final = 10_000
"""Orders of 90 days of the sellers whose copies share a store: memory and disk follow it, not how many there are."""


@dataclass(frozen=True)
class AttackResult:
    """What came of it: a row a seller and mix, none where nobody had anything to spend.

    Attributes:
        gains: `seller_id`, `mix`, `orders` (fake ones), `face_usd`, `cost_usd`, `points` gained and `bands` gained.
        by_feature: the points that each feature gained, a column a feature, in the rows of `gains`.
    """

    gains: pd.DataFrame
    by_feature: pd.DataFrame

    @property
    def best(self) -> pd.DataFrame:
        """The row of each seller's best mix; of equals, the one that costs least."""
        ordered = self.gains.sort_values(["points", "cost_usd"], ascending=[False, True], kind="stable")
        return ordered.drop_duplicates("seller_id").sort_index()


def run_attack(
    bundle: Bundle, store: OperatingStore, known: pd.DataFrame, mixes: Sequence[Strategy] = STRATEGIES
) -> AttackResult:
    """Let sellers buy fake orders in every mix, and score all of them anew.

    Args:
        bundle: the model that is fooled or not.
        store: the operating data that the features were computed from.
        known: features of one scorable row a seller, with orders in the last 90 days, indexed by (seller_id, as_of);
            who sold his stores since then has nothing to spend.
        mixes: the ways to spend the budget.

    Raises:
        TrainingError: a copy that buys nothing is not scored as its original.
    """
    import pandas as pd

    orders = known["orders_90d"]
    lots = (orders.cumsum() - orders) // _AT_ONCE
    parts = [_attack_batch(bundle, store, lot, mixes) for _, lot in known.groupby(lots.to_numpy())]
    gains, by_feature = (pd.concat(each, ignore_index=True) for each in zip(*parts, strict=True))
    return AttackResult(gains, by_feature)


def _attack_batch(
    bundle: Bundle, store: OperatingStore, known: pd.DataFrame, mixes: Sequence[Strategy]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the gains and their parts by feature of a few sellers; those without sales have nothing to spend."""
    import pandas as pd

    pairs = known.index.to_frame(index=False)
    rows = rows_of(store, pairs["seller_id"], pairs["as_of"].max().date())
    sellers = list(sales_patterns(rows, pairs))
    if not sellers:
        return pd.DataFrame(), pd.DataFrame()
    known = known[known.index.isin([each.seller_id for each in sellers], level="seller_id")]
    copies = _score_copies(bundle, store, _CopiedSellers(rows, sellers, mixes))
    _expect_equal(_requested(bundle, known), copies[HONEST])
    gains, parts = [], []
    for mix in mixes:
        for seller, before, after in zip(sellers, copies[HONEST], copies[mix.name], strict=True):
            gains.append(_gains(bundle, seller, mix, (before, after)))
            parts.append(_points(after) - _points(before))
    scored = [entry.name for entry in bundle.sheet.scored_entries]
    return pd.DataFrame(gains), pd.DataFrame(np.array(parts), columns=scored)


@dataclass(frozen=True)
class _CopiedSellers:
    """Sellers with their true rows, and the mixes that a copy each of them buys."""

    rows: dict[str, pa.Table]
    sellers: list[SalesPattern]
    mixes: Sequence[Strategy]

    def true(self) -> NamedRows:
        """Yield the true rows of every copy."""
        for copy in (HONEST, *(mix.name for mix in self.mixes)):
            yield from with_new_ids(self.rows, copy)

    def fake(self) -> NamedRows:
        """Yield the fake rows of every copy that buys some."""
        for mix in self.mixes:
            yield from with_new_ids(generate_rows(self.sellers, mix, self.rows), mix.name)

    def pairs(self, copy: str) -> Iterator[tuple[str, np.datetime64]]:
        """Yield the id and the midnight of each seller's copy, in their order."""
        for seller in self.sellers:
            yield copy_rows(seller.seller_id, copy), seller.as_of


def _score_copies(bundle: Bundle, store: OperatingStore, made: _CopiedSellers) -> dict[str, list[Assessment]]:
    """Return the assessments of every copy, by its name, in the order of the sellers."""
    import pandas as pd

    names = [HONEST, *(mix.name for mix in made.mixes)]
    pairs = pd.DataFrame([pair for name in names for pair in made.pairs(name)], columns=["seller_id", "as_of"])
    with tempfile.TemporaryDirectory(prefix="sellerscore-fake-orders-") as folder:
        deliveries = {"first": first_rows(store), "true": made.true(), "fake": made.fake()}
        computed = compute_frame(write_store(Path(folder), store, deliveries), pairs)
    scored = _requested(bundle, computed.reindex(pd.MultiIndex.from_frame(pairs)))
    count = len(made.sellers)
    return {name: scored[place * count : (place + 1) * count] for place, name in enumerate(names)}


def _requested(bundle: Bundle, computed: pd.DataFrame) -> list[Assessment]:
    return assess_rows(bundle, computed.index.to_frame(index=False), computed.to_numpy())


def _expect_equal(originals: list[Assessment], copies: list[Assessment]) -> None:
    for original, copy in zip(originals, copies, strict=True):
        if serialize_assessment(original) != serialize_assessment(copy):
            raise TrainingError(
                f"A seller scored as of {original.as_of} has {original.score} points, but his copy, which bought "
                f"nothing, has {copy.score}: the training set is not of the operating data as they are now; build it "
                "anew."
            )


def _gains(
    bundle: Bundle, seller: SalesPattern, mix: Strategy, scored: tuple[Assessment, Assessment]
) -> dict[str, object]:
    bands = [band.name for band in bundle.policy.bands.items]
    before, after = ((each.score or 0, bands.index(each.band or bands[-1])) for each in scored)
    face, orders = budget(seller) / MICROS, mix.count(budget(seller), seller.usual)
    return {
        "seller_id": seller.seller_id,
        "mix": mix.name,
        "orders": orders,
        "face_usd": face,
        "cost_usd": mix.cost(face, orders),
        "points": after[0] - before[0],
        "bands": before[1] - after[1],
    }


def _points(assessment: Assessment) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the points of each feature; what an end of the scale cuts off is no feature's."""
    explained = assessment.explanation.contributions if assessment.explanation else ()
    return np.array([each.points for each in explained if each.reason_group is not None], dtype=np.int64)


POINTS: Final = 5
"""Who gains more than this by fake orders has bought something."""


MOST_BUYERS: Final = 0.05
"""Share of sellers who may gain more than POINTS in their best mix."""


_NAME: Final = "fake_orders"


_TITLE: Final = "What fake orders buy"


_MOVED: Final = "Features that the best mix moved"


_FEATURES: Final = 15


def study_fake_orders(subject: ReviewedModel) -> Finding:
    """Let some sellers of the test rows who repaid buy fake orders in 20 mixes, and report what their best one gained.

    Who repaid may still be a faker: a real store cannot tell. The benchmark asks the simulation's truth instead.
    """
    asked = subject.fake_orders
    if subject.store is None:
        return _not_measured("no operating data are at hand")
    if "orders" not in subject.test.tables:
        return _not_measured("the operating data hold no orders")
    if asked.sellers == 0:
        return _skipped("the settings ask for no seller")
    known = sample_sellers(subject.served, subject.test, ~subject.bad, subject.seed).head(asked.sellers)
    if known.empty:
        return _skipped("no seller of the test rows both repaid and sold something of late")
    orders = known["orders_90d"]
    found = run_attack(subject.served, subject.store, known[orders.cumsum() - orders < asked.orders])
    if found.gains.empty:
        return _skipped("no seller drawn from the test rows still had sales of his own stores")
    return report(found, "test sellers who repaid")


def _not_measured(reason: str) -> Finding:
    return Finding(_NAME, _TITLE, f"What fake orders buy was not measured, since {reason}.")


def _skipped(reason: str) -> Finding:
    """Say that other settings (more sellers, a longer test) would have measured it."""
    return replace(_not_measured(reason), declined=True)


def sample_sellers(bundle: Bundle, rows: Dataset, among: NDArray[np.bool_], seed: int) -> pd.DataFrame:
    """Return sellers in random order, one of the rows of each that can be scored and has sales of late.

    Args:
        bundle: says which rows have history enough.
        rows: to draw from.
        among: True for the rows that may be drawn, shape (rows,).
        seed: of the order.

    Returns:
        Their features, indexed by (seller_id, as_of).
    """
    import pandas as pd

    selling = (rows.features["orders_90d"] > 0).to_numpy()
    chosen = rows.rows[among & selling & scorable_rows(bundle, rows.features)]
    drawn = chosen.sample(frac=1.0, random_state=seed).drop_duplicates("seller_id")
    return rows.features.loc[drawn.index].set_index(pd.MultiIndex.from_frame(drawn[["seller_id", "as_of"]]))


def report(found: AttackResult, who: str) -> Finding:
    """Say what the best mix of each seller gained, what it cost, by mix and by feature; `who` the sellers are."""
    best = found.best
    figures = _figures(best)
    over = figures["gaining_share"]
    check = _check(over, f"{over:.1%} ({figures['gaining_share_low']:.1%} to {figures['gaining_share_high']:.1%})")
    return Finding(
        _NAME,
        _TITLE,
        _summary(figures, who, found.gains["mix"].nunique()),
        figures=figures,
        tables={"By mix": _by_mix(found), _MOVED: _by_feature(found)},
        plots={"points_gained": _plot(best["points"])},
        alarms=alarms((check,)),
        checks=(check,),
    )


def _check(over: float, shown: str) -> LimitCheck:
    """Check the share itself, whatever its interval: a hole that some sellers found is a hole."""
    figure, limit = f"share of sellers who gain more than {POINTS} points by fake orders", f"at most {MOST_BUYERS:.0%}"
    if over <= MOST_BUYERS:
        return LimitCheck(figure, shown, limit, Standing.WITHIN)
    note = (
        f"{shown} of sellers gain more than {POINTS} points by fake orders, above the limit of {MOST_BUYERS:.0%}. Find "
        f"the features that gained the points in the table “{_MOVED}” of this study in the model card, and declare "
        "them gameable or take them out."
    )
    return LimitCheck(figure, shown, limit, Standing.ALARM, note)


def _figures(best: pd.DataFrame) -> dict[str, float]:
    points, over = best["points"], int((best["points"] > POINTS).sum())
    low, high = (float(end) for end in wilson_interval(over, len(best)))
    return {
        "sellers": float(len(best)),
        "median_face_usd": float(best["face_usd"].median()),
        "gaining_share": over / len(best),
        "gaining_share_low": low,
        "gaining_share_high": high,
        "band_gaining_share": float((best["bands"] > 0).mean()),
        "median_points": float(points.median()),
        "p95_points": float(points.quantile(0.95)),
        # of all together: a ratio for each would be that of the smallest seller
        "points_per_1000_usd": 1000.0 * float(points.sum()) / float(best["face_usd"].sum()),
    }


def _summary(figures: dict[str, float], who: str, mixes: int) -> str:
    return (
        f"Asked: what does a seller gain from fake orders worth {BUDGET_SHARE:.0%} of monthly sales? Each of "
        f"{figures['sellers']:.0f} {who} spent this in {mixes} mixes of orders by strangers, orders by the own store "
        "and orders that are refunded later, some with fake visits, parcels and ratings. In the best mix of each "
        f"seller, which a seller cannot predict, {figures['gaining_share']:.1%} ({figures['gaining_share_low']:.1%} to "
        f"{figures['gaining_share_high']:.1%}) gained more than {POINTS} points and "
        f"{figures['band_gaining_share']:.1%} gained a band. The median gain is {figures['median_points']:.0f} points, "
        f"the 95th percentile {figures['p95_points']:.0f}. In total, sellers gained "
        f"{figures['points_per_1000_usd']:.1f} points per $1,000 of fake orders; the median seller spent "
        f"${figures['median_face_usd']:,.0f}."
    )


def _by_mix(found: AttackResult) -> pd.DataFrame:
    """Return a line a mix, the most rewarding first."""
    chosen = found.best["mix"].value_counts(normalize=True)
    lines = found.gains.groupby("mix", sort=False).agg(
        median_orders=("orders", "median"),
        median_cost_usd=("cost_usd", "median"),
        mean_points=("points", "mean"),
        p95_points=("points", lambda points: points.quantile(0.95)),
        gaining_share=("points", lambda points: (points > POINTS).mean()),
        band_gaining_share=("bands", lambda bands: (bands > 0).mean()),
    )
    lines["best_for_share"] = chosen.reindex(lines.index).fillna(0.0)
    return lines.sort_values("mean_points", ascending=False, kind="stable").reset_index()


def _by_feature(found: AttackResult) -> pd.DataFrame:
    """Return the features that gained most in the best mixes: of all sellers, and of those who bought something."""
    import pandas as pd

    best = found.best
    moved = found.by_feature.loc[best.index]
    lines = pd.DataFrame(
        {"mean_points": moved.mean(), "mean_points_of_buyers": moved[best["points"] > POINTS].mean()}
    ).rename_axis("feature")
    return lines.sort_values("mean_points", ascending=False, kind="stable").head(_FEATURES).reset_index()


def _plot(points: pd.Series) -> Figure:
    """Draw which share of sellers gains at least so many points."""
    from training.evidence.report_blocks import BAD, FAINT, GOOD, new_figure, plain

    ordered = np.sort(points.to_numpy())[::-1]
    share = np.arange(1, len(ordered) + 1) / len(ordered)
    figure = new_figure(6.4, 4.0)
    axes = figure.subplots()
    axes.axvline(POINTS, color=FAINT, linestyle=":", linewidth=1)
    axes.axhline(MOST_BUYERS, color=BAD, linestyle=":", linewidth=1)
    axes.step(ordered, share, where="pre", color=GOOD)
    axes.set(xlabel="Points gained in the best mix", ylabel="Share of sellers who gain as much", ylim=(0, 1.02))
    axes.set_title("What fake orders buy")
    plain(axes)
    return figure
