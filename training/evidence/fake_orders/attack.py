"""The attack itself: each seller as he is and once for each mix, in one store, one frame and one scoring.

The copy that buys nothing must be scored as its original, to the byte: else nothing here could be believed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from features.pipeline import compute_frame
from training.errors import TrainingError
from training.evidence.asking import answers
from training.evidence.fake_orders.copies import NamedRows, copied, first_rows, renamed, rows_of, write_store
from training.evidence.fake_orders.forge import budget, forge
from training.evidence.fake_orders.habits import Habits, habits
from training.evidence.fake_orders.mixes import MICROS, MIXES, Mix

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from features.ingest import OperatingStore
    from scoring import Assessment, Bundle

HONEST: Final = "as he is"
"""The copy that buys nothing."""

_AT_ONCE: Final = 10_000
"""Orders of 90 days of the sellers whose copies share a store: memory and disk follow it, not how many there are."""


@dataclass(frozen=True)
class Attack:
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


def attack(bundle: Bundle, store: OperatingStore, known: pd.DataFrame, mixes: Sequence[Mix] = MIXES) -> Attack:
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
    parts = [_attacked(bundle, store, lot, mixes) for _, lot in known.groupby(lots.to_numpy())]
    gains, by_feature = (pd.concat(each, ignore_index=True) for each in zip(*parts, strict=True))
    return Attack(gains, by_feature)


def _attacked(
    bundle: Bundle, store: OperatingStore, known: pd.DataFrame, mixes: Sequence[Mix]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the gains and their parts by feature of a few sellers; those without sales have nothing to spend."""
    import pandas as pd

    pairs = known.index.to_frame(index=False)
    rows = rows_of(store, pairs["seller_id"], pairs["as_of"].max().date())
    sellers = list(habits(rows, pairs))
    if not sellers:
        return pd.DataFrame(), pd.DataFrame()
    known = known[known.index.isin([each.seller_id for each in sellers], level="seller_id")]
    copies = _copies_scored(bundle, store, _Copied(rows, sellers, mixes))
    _expect_equal(_asked(bundle, known), copies[HONEST])
    gains, parts = [], []
    for mix in mixes:
        for seller, before, after in zip(sellers, copies[HONEST], copies[mix.name], strict=True):
            gains.append(_gained(bundle, seller, mix, (before, after)))
            parts.append(_points(after) - _points(before))
    scored = [entry.name for entry in bundle.sheet.scored_entries]
    return pd.DataFrame(gains), pd.DataFrame(np.array(parts), columns=scored)


@dataclass(frozen=True)
class _Copied:
    """Sellers with their true rows, and the mixes that a copy each of them buys."""

    rows: dict[str, pa.Table]
    sellers: list[Habits]
    mixes: Sequence[Mix]

    def true(self) -> NamedRows:
        """Yield the true rows of every copy."""
        for copy in (HONEST, *(mix.name for mix in self.mixes)):
            yield from renamed(self.rows, copy)

    def fake(self) -> NamedRows:
        """Yield the fake rows of every copy that buys some."""
        for mix in self.mixes:
            yield from renamed(forge(self.sellers, mix, self.rows), mix.name)

    def pairs(self, copy: str) -> Iterator[tuple[str, np.datetime64]]:
        """Yield the id and the midnight of each seller's copy, in their order."""
        for seller in self.sellers:
            yield copied(seller.seller_id, copy), seller.as_of


def _copies_scored(bundle: Bundle, store: OperatingStore, made: _Copied) -> dict[str, list[Assessment]]:
    """Return the assessments of every copy, by its name, in the order of the sellers."""
    import pandas as pd

    names = [HONEST, *(mix.name for mix in made.mixes)]
    pairs = pd.DataFrame([pair for name in names for pair in made.pairs(name)], columns=["seller_id", "as_of"])
    with tempfile.TemporaryDirectory(prefix="sellerscore-fake-orders-") as folder:
        deliveries = {"first": first_rows(store), "true": made.true(), "fake": made.fake()}
        computed = compute_frame(write_store(Path(folder), store, deliveries), pairs)
    scored = _asked(bundle, computed.reindex(pd.MultiIndex.from_frame(pairs)))
    count = len(made.sellers)
    return {name: scored[place * count : (place + 1) * count] for place, name in enumerate(names)}


def _asked(bundle: Bundle, computed: pd.DataFrame) -> list[Assessment]:
    return answers(bundle, computed.index.to_frame(index=False), computed.to_numpy())


def _expect_equal(originals: list[Assessment], copies: list[Assessment]) -> None:
    for original, copy in zip(originals, copies, strict=True):
        if original.canonical_bytes != copy.canonical_bytes:
            raise TrainingError(
                f"A seller scored as of {original.as_of} has {original.score} points, but his copy, which bought "
                f"nothing, has {copy.score}: the training set is not of the operating data as they are now; build it "
                "anew."
            )


def _gained(bundle: Bundle, seller: Habits, mix: Mix, scored: tuple[Assessment, Assessment]) -> dict[str, object]:
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
