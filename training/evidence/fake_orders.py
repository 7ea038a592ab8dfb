"""The study of fake orders: which share of sellers gains points by them, and how many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from training.evidence.fake_order_attack import AttackResult, run_attack
from training.evidence.fake_order_strategies import BUDGET_SHARE
from training.evidence.limits import LimitCheck, alarm_if, shares
from training.evidence.metrics import Estimate
from training.evidence.plots import BAD, FAINT, GOOD, new_plot
from training.evidence.study import Finding, scorable_rows

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from scoring import Bundle
    from training.dataset import Dataset
    from training.evidence.study import ReviewedModel

POINTS: Final = 5
"""A seller who gains more points than this by fake orders counts as a seller who gains."""

MOST_BUYERS: Final = 0.05
"""Largest share of sellers who may gain more than POINTS with their best strategy."""

_NAME: Final = "fake_orders"
_TITLE: Final = "Fake orders"
_MOVED: Final = "Features that the best mix moved"
_FEATURES: Final = 15


def study_fake_orders(subject: ReviewedModel) -> Finding:
    """Attack some sellers of the test rows who repaid with 20 strategies, and report the gain of each one's best.

    A seller who repaid may still use fake orders: operating data cannot show it. The benchmark uses the true labels of
    the simulation instead.
    """
    config = subject.fake_orders
    if subject.store is None:
        return _not_measured("there are no operating data")
    if "orders" not in subject.test.tables:
        return _not_measured("the operating data have no orders")
    if config.sellers == 0:
        return _not_measured("the settings request no seller", declined=True)
    known = sample_sellers(subject.served, subject.test, ~subject.bad, subject.seed).head(config.sellers)
    if known.empty:
        return _not_measured("no seller of the test rows both repaid and has recent sales", declined=True)
    orders = known["orders_90d"]
    result = run_attack(subject.served, subject.store, known[orders.cumsum() - orders < config.orders])
    if result.gains.empty:
        return _not_measured("no seller drawn from the test rows still has sales of his own stores", declined=True)
    return report(result, "test sellers who repaid")


def _not_measured(reason: str, *, declined: bool = False) -> Finding:
    """Return why nothing was measured; `declined` if other settings (more sellers, a longer test) would allow it."""
    return Finding(_NAME, _TITLE, f"Not measured: {reason}.", declined=declined)


def sample_sellers(bundle: Bundle, rows: Dataset, among: NDArray[np.bool_], seed: int) -> pd.DataFrame:
    """Return the features of sellers in random order, each with one row that can be scored and has recent sales.

    Only rows in `among`, shape (rows,), are drawn. The index is (seller_id, as_of).
    """
    import pandas as pd

    selling = (rows.features["orders_90d"] > 0).to_numpy()
    eligible = rows.rows[among & selling & scorable_rows(bundle, rows.features)]
    drawn = eligible.sample(frac=1.0, random_state=seed).drop_duplicates("seller_id")
    return rows.features.loc[drawn.index].set_index(pd.MultiIndex.from_frame(drawn[["seller_id", "as_of"]]))


def report(result: AttackResult, sellers: str) -> Finding:
    """Return the finding of an attack with each seller's best strategy; `sellers` describes the sellers."""
    best = result.best
    gaining = Estimate.share(int((best["points"] > POINTS).sum()), len(best))
    figures = _figures(best, gaining)
    return Finding(
        _NAME,
        _TITLE,
        _summary(figures, gaining, sellers, result.gains["mix"].nunique()),
        figures=figures,
        tables={"By mix": _by_strategy(result), _MOVED: _by_feature(result)},
        plots={"points_gained": _plot(best["points"])},
        checks=(_check(gaining),),
    )


def _check(gaining: Estimate) -> LimitCheck:
    """Check the share itself, whatever its interval: a weakness that some sellers found is a weakness."""
    shown = shares(gaining)
    note = (
        f"{shown} of sellers gain more than {POINTS} points by fake orders, above the limit of {MOST_BUYERS:.0%}. Find "
        f"the features that gained the points in the table “{_MOVED}” of this study in the model card. Declare these "
        "features gameable, or remove them."
    )
    figure = f"share of sellers who gain more than {POINTS} points by fake orders"
    return alarm_if(gaining.value > MOST_BUYERS, figure, shown, f"at most {MOST_BUYERS:.0%}", note)


def _figures(best: pd.DataFrame, gaining: Estimate) -> dict[str, float]:
    points = best["points"]
    return {
        "sellers": float(len(best)),
        "median_face_usd": float(best["face_usd"].median()),
        **gaining.figures("gaining_share"),
        "band_gaining_share": float((best["bands"] > 0).mean()),
        "median_points": float(points.median()),
        "p95_points": float(points.quantile(0.95)),
        # a ratio of sums: a mean of ratios would be dominated by the smallest seller
        "points_per_1000_usd": 1000.0 * float(points.sum()) / float(best["face_usd"].sum()),
    }


def _summary(figures: dict[str, float], gaining: Estimate, sellers: str, strategies: int) -> str:
    return (
        f"How many points does a seller gain with fake orders worth {BUDGET_SHARE:.0%} of monthly sales? Each of "
        f"{figures['sellers']:.0f} {sellers} was given {strategies} strategies: orders by strangers, orders by the own "
        "store and orders that are refunded later, some with fake visits, parcels and ratings. With the best strategy "
        f"of each seller, which a seller cannot predict, {gaining.value:.1%} ({gaining.low:.1%} to {gaining.high:.1%}) "
        f"gained more than {POINTS} points and {figures['band_gaining_share']:.1%} gained a band. The median gain is "
        f"{figures['median_points']:.0f} points, the 95th percentile {figures['p95_points']:.0f}. In total, sellers "
        f"gained {figures['points_per_1000_usd']:.1f} points per $1,000 of fake orders. The median seller spent "
        f"${figures['median_face_usd']:,.0f}."
    )


def _by_strategy(result: AttackResult) -> pd.DataFrame:
    best = result.best["mix"].value_counts(normalize=True)
    lines = result.gains.groupby("mix", sort=False).agg(
        median_orders=("orders", "median"),
        median_cost_usd=("cost_usd", "median"),
        mean_points=("points", "mean"),
        p95_points=("points", lambda points: points.quantile(0.95)),
        gaining_share=("points", lambda points: (points > POINTS).mean()),
        band_gaining_share=("bands", lambda bands: (bands > 0).mean()),
    )
    lines["best_for_share"] = best.reindex(lines.index).fillna(0.0)
    return lines.sort_values("mean_points", ascending=False, kind="stable").reset_index()


def _by_feature(result: AttackResult) -> pd.DataFrame:
    """Return the features that gained most with the best strategies: for all sellers, and for those who gained."""
    import pandas as pd

    best = result.best
    moved = result.by_feature.loc[best.index]
    lines = pd.DataFrame(
        {"mean_points": moved.mean(), "mean_points_of_buyers": moved[best["points"] > POINTS].mean()}
    ).rename_axis("feature")
    return lines.sort_values("mean_points", ascending=False, kind="stable").head(_FEATURES).reset_index()


def _plot(points: pd.Series) -> Figure:
    ordered = np.sort(points.to_numpy())[::-1]
    share = np.arange(1, len(ordered) + 1) / len(ordered)
    figure, axes = new_plot(6.4, 4.0)
    axes.axvline(POINTS, color=FAINT, linestyle=":", linewidth=1)
    axes.axhline(MOST_BUYERS, color=BAD, linestyle=":", linewidth=1)
    axes.step(ordered, share, where="pre", color=GOOD)
    axes.set(xlabel="Points gained with the best strategy", ylabel="Share of sellers", ylim=(0, 1.02))
    axes.set_title("Points gained by fake orders")
    return figure
