"""Pictures beside the vectors: written with them, of the latest snapshot alone, gone with the seller."""

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
PICTURE = StoredProfile(
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
    pictures = ProfileSet(made_by or definitions(), [(each, PICTURE) for each in names])
    store.replace(snapshot, [(each, VECTOR) for each in names], pictures)


def test_a_picture_is_read_as_it_was_written(store: VectorStore) -> None:
    assert decode(encode(PICTURE)) == PICTURE
    stored(store, SNAPSHOT, ["S1", "S2"])
    found = store.profile("S2")
    assert found is not None
    assert (found[0].seller_id, found[0].snapshot, found[1]) == ("S2", SNAPSHOT, PICTURE)
    assert store.profile("S3") is None
    assert store.profile("\udcff") is None


def test_those_of_the_snapshot_before_are_gone(store: VectorStore, tmp_path: Path) -> None:
    stored(store, SNAPSHOT, ["S-before"])
    stored(store, NEXT, ["S2"])
    assert store.profile("S-before") is None
    assert store.profile("S2") is not None
    assert store.remove("S-before") == 1
    assert not [file for file in tmp_path.iterdir() if b"S-before" in file.read_bytes()]


def test_a_seller_removed_leaves_no_byte_of_a_picture(store: VectorStore, tmp_path: Path) -> None:
    stored(store, SNAPSHOT, ["S-to-forget", "S-to-keep"])
    assert store.remove("S-to-forget") == 1
    assert store.profile("S-to-forget") is None
    assert store.profile("S-to-keep") is not None
    assert not [file for file in tmp_path.iterdir() if b"S-to-forget" in file.read_bytes()]


def test_pictures_of_other_definitions_or_none_are_not_shown(store: VectorStore) -> None:
    for made_by in ("sha256:other", None):
        if made_by:
            stored(store, SNAPSHOT, ["S1"], made_by)
        else:
            store.replace(SNAPSHOT, [("S1", VECTOR)])
        with pytest.raises(StoreError, match="Run `sellerscore features`"):
            store.profile("S1")
        assert store.count_sellers(SNAPSHOT) == 1
        assert store.count_sellers(SNAPSHOT, complete=True) is None


def test_a_picture_that_cannot_be_made_leaves_what_was_stored(store: VectorStore) -> None:
    stored(store, SNAPSHOT, ["S1"])

    def failing() -> Iterable[tuple[str, StoredProfile]]:
        yield "S1", PICTURE
        raise StoreError("killed in the middle")

    with pytest.raises(StoreError, match="killed"):
        store.replace(NEXT, [("S1", VECTOR)], ProfileSet(definitions(), failing()))
    found = store.profile("S1")
    assert found is not None
    assert found[0].snapshot == SNAPSHOT


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return shared_world(tmp_path_factory)


def test_missing_profiles_of_stored_vectors_are_computed_once(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(world.home / "vectors.db", tmp_path / "vectors.db")
    operating, held = open_store(world.home / "operating"), VectorStore(tmp_path / "vectors.db")
    snapshot = snapshot_of(operating)
    plain = [(each.seller_id, each.values) for each in held.all_latest()][:40]
    held.replace(snapshot, plain)
    assert held.count_sellers(snapshot, complete=True) is None
    index = pd.MultiIndex.from_tuples([(seller, pd.Timestamp(snapshot.as_of)) for seller, _ in plain], names=INDEX)
    features = pd.DataFrame([values for _, values in plain], index, dtype="float64")
    monkeypatch.setattr(materialize, "compute_frame", lambda *_: features)
    assert materialize_vectors(operating, held) == (snapshot, len(plain))
    assert [(each.seller_id, each.values) for each in held.all_latest()] == plain
    assert held.profile(plain[0][0]) is not None
    monkeypatch.setattr(materialize, "compute_profiles", None)  # a second computation would fail
    assert materialize_vectors(operating, held) == (snapshot, len(plain))
