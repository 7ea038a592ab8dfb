"""Frames for tests: of a few features, or computed once. One of all features takes seconds, whatever the sellers."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

import pandas as pd
import pytest

from features.catalogue import CATALOGUE
from features.ingest import OperatingStore
from features.pipeline import compute_frame

INDEX = ["seller_id", "as_of"]


def frame_of(store: OperatingStore, pairs: pd.DataFrame, names: Collection[str]) -> pd.DataFrame:
    """Return a frame in which these features alone are computed; all others are missing."""
    some = [feature for feature in CATALOGUE if feature.name in names]
    assert len(some) == len(set(names))
    return compute_frame(store, pairs, some).reindex(columns=[feature.name for feature in CATALOGUE])


@contextmanager
def remembered_frames() -> Iterator[None]:
    """Compute the features of the same sellers and midnights once: every copy of the world asks for the same ones.

    A store is identified by its deliveries alone: do not use this in tests that erase sellers or change stored rows.
    """
    known: dict[str, list[pd.DataFrame]] = {}

    def remembered(store: OperatingStore, pairs: pd.DataFrame) -> pd.DataFrame:
        asked = pd.MultiIndex.from_frame(pairs[INDEX].assign(as_of=pd.to_datetime(pairs["as_of"])))
        for computed in known.get(store.version, []):
            if asked.isin(computed.index).all():
                return computed[computed.index.isin(asked)].copy()
        known.setdefault(store.version, []).append(compute_frame(store, pairs))
        return known[store.version][-1].copy()

    with pytest.MonkeyPatch.context() as patch:
        for module in ("training.dataset", "training.monitor.reference", "training.monitor.population"):
            patch.setattr(f"{module}.compute_frame", remembered)
        yield
