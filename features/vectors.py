"""Vectors, pictures and circumstances of sellers as of the latest covered midnight, made when data lands."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeVar

from features.catalogue import CATALOGUE, digest
from features.circumstances.landing import land as land_circumstances
from features.circumstances.stored import CircumstanceSet
from features.intake.erased import read_erased
from features.picture.landing import land
from features.picture.stored import PictureSet
from features.pipeline import all_sellers, compute_frame, covered_days, latest_midnight
from features.store import Snapshot, VectorStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pandas as pd

    from features.intake import OperatingStore

Row = TypeVar("Row", bound=tuple[Any, ...])


def refresh(store: OperatingStore, vectors: VectorStore) -> tuple[Snapshot, int]:
    """Compute and store what a request reads of all sellers; return what their vectors share and how many there are.

    What is stored already, of the same data and definitions, is not computed again.

    Example: after a delivery that covers orders through 2026-01-01, every seller has a vector as of that midnight.
    """
    snapshot = snapshot_of(store)
    if held := vectors.sellers_in(snapshot, pictured=True):
        return snapshot, held
    computed = compute_frame(store, all_sellers(store, snapshot.as_of))
    pictures = land(store, computed)
    known = land_circumstances(store, computed.index.to_frame(index=False), snapshot.as_of)
    erased = read_erased(store.folder)

    def kept(rows: Iterable[Row]) -> Iterator[Row]:
        # who was erased while it was computed gets nothing
        return (row for row in rows if not erased.holds("seller_id", row[0]))

    return snapshot, vectors.replace(
        snapshot,
        kept(rows_of(computed)),
        PictureSet(pictures.definitions, kept(pictures.pictures)),
        CircumstanceSet(known.usd_per_unit, kept(known.sellers)),
    )


def snapshot_of(store: OperatingStore) -> Snapshot:
    """Return what all vectors share that are computed now from this store."""
    return Snapshot(latest_midnight(store), store.version, digest(CATALOGUE), covered_days(store))


def rows_of(computed: pd.DataFrame) -> Iterator[tuple[str, tuple[float | None, ...]]]:
    """Yield seller_id and values of each row of a frame, NaN as None."""
    for (seller_id, _), values in zip(computed.index, computed.to_numpy().tolist(), strict=True):
        yield seller_id, tuple(None if math.isnan(value) else value for value in values)
