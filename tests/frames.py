"""Frames for tests: with a few features, or cached. A frame of all features takes seconds for any number of sellers."""

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
    """Return a frame in which only these features are computed; all others are missing."""
    selected = [feature for feature in CATALOGUE if feature.name in names]
    assert len(selected) == len(set(names))
    return compute_frame(store, pairs, selected).reindex(columns=[feature.name for feature in CATALOGUE])


@contextmanager
def cached_frames() -> Iterator[None]:
    """Compute the features of the same sellers and midnights once: every copy of the world needs the same ones.

    A store is identified by its deliveries alone: do not use this in tests that erase sellers or change stored rows.
    """
    cache: dict[str, list[pd.DataFrame]] = {}

    def compute_once(store: OperatingStore, pairs: pd.DataFrame) -> pd.DataFrame:
        keys = pd.MultiIndex.from_frame(pairs[INDEX].assign(as_of=pd.to_datetime(pairs["as_of"])))
        for computed in cache.get(store.version, []):
            if keys.isin(computed.index).all():
                return computed[computed.index.isin(keys)].copy()
        cache.setdefault(store.version, []).append(compute_frame(store, pairs))
        return cache[store.version][-1].copy()

    with pytest.MonkeyPatch.context() as patch:
        for module in ("training.dataset", "training.monitor.subject", "training.monitor.drift"):
            patch.setattr(f"{module}.compute_frame", compute_once)
        yield
