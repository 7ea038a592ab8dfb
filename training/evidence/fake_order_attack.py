"""The attack with fake orders: copies of sellers, one for each strategy, in one store, scored together.

Each seller also has an unchanged copy. It must get exactly the assessment of its original; otherwise the attack stops
with an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from scoring.serialization import serialize_assessment
from training.errors import TrainingError
from training.evidence.fake_order_rows import budget, generate_rows
from training.evidence.fake_order_strategies import MICROS, STRATEGIES, SalesPattern, Strategy, sales_patterns
from training.evidence.store_copies import Rows, compute_copies, rows_of
from training.evidence.study import assess_rows

if TYPE_CHECKING:
    import pandas as pd

    from features.ingest import OperatingStore
    from scoring import Assessment, Bundle

HONEST: Final = "as he is"
"""The name of the copy without fake orders."""

_AT_ONCE: Final = 10_000
"""Orders of 90 days of the sellers whose copies share a store: they determine the memory and disk that it needs."""


@dataclass(frozen=True)
class AttackResult:
    """The result of an attack: a row for each seller and strategy; no rows if no seller has a budget.

    Attributes:
        gains: `seller_id`, `mix` (the strategy), `orders` (fake ones), `face_usd`, `cost_usd`, `points` gained and
            `bands` gained.
        by_feature: the points that each feature gained, one column for each feature, in the rows of `gains`.
    """

    gains: pd.DataFrame
    by_feature: pd.DataFrame

    @property
    def best(self) -> pd.DataFrame:
        """The row of each seller's best strategy; of equal ones, the cheapest."""
        ordered = self.gains.sort_values(["points", "cost_usd"], ascending=[False, True], kind="stable")
        return ordered.drop_duplicates("seller_id").sort_index()


def run_attack(
    bundle: Bundle, store: OperatingStore, known: pd.DataFrame, strategies: Sequence[Strategy] = STRATEGIES
) -> AttackResult:
    """Add the fake orders of every strategy to copies of sellers, and score all copies.

    `known` are the features of one scorable row for each seller, with orders in the last 90 days, computed from the
    store and indexed by (seller_id, as_of). A seller who has sold his stores since then has no budget.

    Raises:
        TrainingError: the assessment of a copy without fake orders differs from that of its original.
    """
    import pandas as pd

    orders = known["orders_90d"]
    batches = (orders.cumsum() - orders) // _AT_ONCE
    results = [_attack_batch(bundle, store, batch, strategies) for _, batch in known.groupby(batches.to_numpy())]
    gains, by_feature = (pd.concat(frames, ignore_index=True) for frames in zip(*results, strict=True))
    return AttackResult(gains, by_feature)


def _attack_batch(
    bundle: Bundle, store: OperatingStore, known: pd.DataFrame, strategies: Sequence[Strategy]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the gains of a few sellers, in total and by feature; sellers without sales have no budget."""
    import pandas as pd

    pairs = known.index.to_frame(index=False)
    rows = rows_of(store, pairs["seller_id"], pairs["as_of"].max().date())
    sellers = list(sales_patterns(rows, pairs))
    if not sellers:
        return pd.DataFrame(), pd.DataFrame()
    known = known[known.index.isin([seller.seller_id for seller in sellers], level="seller_id")]
    attacks = {strategy.name: _attack_rows(rows, sellers, strategy) for strategy in strategies}
    frames = compute_copies(store, known.index.to_frame(index=False), {HONEST: [rows], **attacks})
    copies = {name: _assess_frame(bundle, frame) for name, frame in frames.items()}
    _require_equal(_assess_frame(bundle, known), copies[HONEST])
    gains, by_feature = [], []
    for strategy in strategies:
        for seller, before, after in zip(sellers, copies[HONEST], copies[strategy.name], strict=True):
            gains.append(_gain(bundle, seller, strategy, (before, after)))
            by_feature.append(_points(after) - _points(before))
    scored = [entry.name for entry in bundle.sheet.scored_entries]
    return pd.DataFrame(gains), pd.DataFrame(np.array(by_feature), columns=scored)


def _attack_rows(rows: Rows, sellers: list[SalesPattern], strategy: Strategy) -> Iterator[Rows]:
    yield rows
    yield generate_rows(sellers, strategy, rows)


def _assess_frame(bundle: Bundle, frame: pd.DataFrame) -> list[Assessment]:
    return assess_rows(bundle, frame.index.to_frame(index=False), frame.to_numpy())


def _require_equal(originals: list[Assessment], copies: list[Assessment]) -> None:
    for original, copy in zip(originals, copies, strict=True):
        if serialize_assessment(original) != serialize_assessment(copy):
            raise TrainingError(
                f"The copy without fake orders of a seller as of {original.as_of} has a score of {copy.score}, but the "
                f"original has {original.score}. The training set does not match the operating data. Build it again."
            )


def _gain(
    bundle: Bundle, seller: SalesPattern, strategy: Strategy, assessments: tuple[Assessment, Assessment]
) -> dict[str, object]:
    bands = [band.name for band in bundle.policy.bands.items]
    before, after = ((each.score or 0, bands.index(each.band or bands[-1])) for each in assessments)
    face, orders = budget(seller) / MICROS, strategy.count(budget(seller), seller.usual)
    return {
        "seller_id": seller.seller_id,
        "mix": strategy.name,
        "orders": orders,
        "face_usd": face,
        "cost_usd": strategy.cost(face, orders),
        "points": after[0] - before[0],
        "bands": before[1] - after[1],
    }


def _points(assessment: Assessment) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the points of each feature, without the points that the ends of the scale cut off."""
    contributions = assessment.explanation.contributions if assessment.explanation else ()
    return np.array([each.points for each in contributions if each.reason_group is not None], dtype=np.int64)
