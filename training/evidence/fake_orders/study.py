"""What fake orders buy: the study of a training run, and how an attack is reported, here and in the benchmark."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from training.evidence.asking import scorable
from training.evidence.fake_orders.attack import Attack, attack
from training.evidence.fake_orders.mixes import BUDGET_SHARE
from training.evidence.finding import Finding
from training.evidence.intervals import wilson
from training.evidence.limits import LimitCheck, Standing, alarms

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from scoring.bundle import Bundle
    from training.dataset import Dataset
    from training.evidence.subject import Subject

POINTS: Final = 5
"""Who gains more than this by fake orders has bought something."""

MOST_BUYERS: Final = 0.05
"""Share of sellers who may gain more than POINTS in their best mix."""

_NAME: Final = "fake_orders"
_TITLE: Final = "What fake orders buy"
_MOVED: Final = "Features that the best mix moved"
_FEATURES: Final = 15


def fake_orders(subject: Subject) -> Finding:
    """Let some sellers of the test rows who repaid buy fake orders in 20 mixes, and report what their best one gained.

    Who repaid may still be a faker: a real store cannot tell. The benchmark asks the simulation's truth instead.
    """
    asked = subject.fake_orders
    if subject.store is None:
        return _unmeasured("no operating data are at hand")
    if "orders" not in subject.test.tables:
        return _unmeasured("the operating data hold no orders")
    if asked.sellers == 0:
        return _declined("the settings ask for no seller")
    known = drawn_sellers(subject.served, subject.test, ~subject.bad, subject.seed).head(asked.sellers)
    if known.empty:
        return _declined("no seller of the test rows both repaid and sold something of late")
    orders = known["orders_90d"]
    found = attack(subject.served, subject.store, known[orders.cumsum() - orders < asked.orders])
    if found.gains.empty:
        return _declined("no seller drawn from the test rows still had sales of his own stores")
    return report(found, "test sellers who repaid")


def _unmeasured(reason: str) -> Finding:
    return Finding(_NAME, _TITLE, f"What fake orders buy was not measured, since {reason}.")


def _declined(reason: str) -> Finding:
    """Say that other settings (more sellers, a longer test) would have measured it."""
    return replace(_unmeasured(reason), declined=True)


def drawn_sellers(bundle: Bundle, rows: Dataset, among: NDArray[np.bool_], seed: int) -> pd.DataFrame:
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
    chosen = rows.rows[among & selling & scorable(bundle, rows.features)]
    drawn = chosen.sample(frac=1.0, random_state=seed).drop_duplicates("seller_id")
    return rows.features.loc[drawn.index].set_index(pd.MultiIndex.from_frame(drawn[["seller_id", "as_of"]]))


def report(found: Attack, who: str) -> Finding:
    """Say what the best mix of each seller gained, what it cost, by mix and by feature; `who` the sellers are."""
    best = found.best
    figures = _figures(best)
    over = figures["gaining_share"]
    check = _check(over, f"{over:.1%} ({figures['gaining_share_low']:.1%} to {figures['gaining_share_high']:.1%})")
    return Finding(
        _NAME,
        _TITLE,
        _said(figures, who, found.gains["mix"].nunique()),
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
    low, high = (float(end) for end in wilson(over, len(best)))
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


def _said(figures: dict[str, float], who: str, mixes: int) -> str:
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


def _by_mix(found: Attack) -> pd.DataFrame:
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


def _by_feature(found: Attack) -> pd.DataFrame:
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
    from training.evidence.drawing import BAD, FAINT, GOOD, paper, plain

    ordered = np.sort(points.to_numpy())[::-1]
    share = np.arange(1, len(ordered) + 1) / len(ordered)
    figure = paper(6.4, 4.0)
    axes = figure.subplots()
    axes.axvline(POINTS, color=FAINT, linestyle=":", linewidth=1)
    axes.axhline(MOST_BUYERS, color=BAD, linestyle=":", linewidth=1)
    axes.step(ordered, share, where="pre", color=GOOD)
    axes.set(xlabel="Points gained in the best mix", ylabel="Share of sellers who gain as much", ylim=(0, 1.02))
    axes.set_title("What fake orders buy")
    plain(axes)
    return figure
