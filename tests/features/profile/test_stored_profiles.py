"""Stored profiles: written with the vectors, for the latest snapshot only, and removed with the seller."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from features import materialize
from features.catalogue import CATALOGUE, digest
from features.errors import StoreError
from features.executor import INDEX
from features.ingest import open_store
from features.materialize import materialize_vectors, snapshot_of
from features.profile.series import SUMS
from features.profile.series import digest as definitions
from features.store.profiles import Coverage, PeerGroup, PeerScope, ProfileSet, StoredProfile, decode, encode
from features.store.vectors import Snapshot, VectorStore
from tests.world import World, shared_world

SNAPSHOT = Snapshot(date(2024, 3, 1), "data-1", digest(CATALOGUE), {"orders": date(2024, 3, 1)})
NEXT = replace(SNAPSHOT, as_of=date(2024, 3, 2), data_version="data-2")
PROFILE = StoredProfile(
    PeerGroup(PeerScope.CATEGORY, "家居", None, 41),
    (tuple(range(2**60, 2**60 + 12)), *(None for _ in SUMS[1:])),
    tuple((None, None, 3) if number % 2 else (40, 70, 41) for number in range(len(CATALOGUE))),
    {"orders": Coverage(date(2024, 2, 29), date(2024, 2, 29), (*(0 for _ in range(11)), 1))},
)
VECTOR = (1.0,) * len(CATALOGUE)


@pytest.fixture
def store(tmp_path: Path) -> VectorStore:
    return VectorStore(tmp_path / "vectors.db")


def stored(store: VectorStore, snapshot: Snapshot, sellers: Iterable[str], made_by: str | None = None) -> None:
    names = list(sellers)
    pictures = ProfileSet(made_by or definitions(), [(each, PROFILE) for each in names])
    store.replace(snapshot, [(each, VECTOR) for each in names], pictures)


def test_a_profile_is_read_as_it_was_written(store: VectorStore) -> None:
    assert decode(encode(PROFILE)) == PROFILE
    stored(store, SNAPSHOT, ["S1", "S2"])
    found = store.picture("S2")
    assert found is not None
    assert (found[0].seller_id, found[0].snapshot, found[1]) == ("S2", SNAPSHOT, PROFILE)
    assert store.picture("S3") is None
    assert store.picture("\udcff") is None


def test_profiles_of_the_previous_snapshot_are_removed(store: VectorStore, tmp_path: Path) -> None:
    stored(store, SNAPSHOT, ["S-before"])
    stored(store, NEXT, ["S2"])
    assert store.picture("S-before") is None
    assert store.picture("S2") is not None
    assert store.remove("S-before") == 1
    assert not [file for file in tmp_path.iterdir() if b"S-before" in file.read_bytes()]


def test_a_removed_seller_leaves_no_byte_of_a_profile(store: VectorStore, tmp_path: Path) -> None:
    stored(store, SNAPSHOT, ["S-to-forget", "S-to-keep"])
    assert store.remove("S-to-forget") == 1
    assert store.picture("S-to-forget") is None
    assert store.picture("S-to-keep") is not None
    assert not [file for file in tmp_path.iterdir() if b"S-to-forget" in file.read_bytes()]


def test_profiles_of_other_definitions_are_rejected(store: VectorStore) -> None:
    for made_by in ("sha256:other", None):
        if made_by:
            stored(store, SNAPSHOT, ["S1"], made_by)
        else:
            store.replace(SNAPSHOT, [("S1", VECTOR)])
        with pytest.raises(StoreError, match="run `sellerscore features`"):
            store.picture("S1")
        assert store.sellers_in(SNAPSHOT) == 1
        assert store.sellers_in(SNAPSHOT, pictured=True) is None


def test_a_failed_computation_leaves_the_stored_profiles(store: VectorStore) -> None:
    stored(store, SNAPSHOT, ["S1"])

    def failing() -> Iterable[tuple[str, StoredProfile]]:
        yield "S1", PROFILE
        raise StoreError("killed in the middle")

    with pytest.raises(StoreError, match="killed"):
        store.replace(NEXT, [("S1", VECTOR)], ProfileSet(definitions(), failing()))
    found = store.picture("S1")
    assert found is not None
    assert found[0].snapshot == SNAPSHOT


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return shared_world(tmp_path_factory)


def test_vectors_without_profiles_get_them_once(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(world.home / "vectors.db", tmp_path / "vectors.db")
    operating, held = open_store(world.home / "operating"), VectorStore(tmp_path / "vectors.db")
    snapshot = snapshot_of(operating)
    plain = [(each.seller_id, each.values) for each in held.all_latest()][:40]
    held.replace(snapshot, plain)
    assert held.sellers_in(snapshot, pictured=True) is None
    index = pd.MultiIndex.from_tuples([(seller, pd.Timestamp(snapshot.as_of)) for seller, _ in plain], names=INDEX)
    features = pd.DataFrame([values for _, values in plain], index, dtype="float64")
    # the features are stored already; only profiles are missing
    monkeypatch.setattr(materialize, "compute_frame", lambda *_: features)
    assert materialize_vectors(operating, held) == (snapshot, len(plain))
    assert [(each.seller_id, each.values) for each in held.all_latest()] == plain
    assert held.picture(plain[0][0]) is not None
    monkeypatch.setattr(materialize, "compute_profiles", None)  # a second computation fails
    assert materialize_vectors(operating, held) == (snapshot, len(plain))
