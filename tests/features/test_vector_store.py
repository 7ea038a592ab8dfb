"""The vector store: readers see the latest complete snapshot, with its profiles and contexts, whatever writers do."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from features.catalogue import CATALOGUE
from features.errors import StoreError
from features.profile.series import SUMS
from features.profile.series import digest as definitions
from features.store import vectors as store_module
from features.store.profiles import Coverage, PeerGroup, PeerScope, ProfileSet, StoredProfile, decode, encode
from features.store.seller_context import SellerContext, SellerContextSet
from features.store.vectors import Snapshot, SnapshotRows, StoredVector, VectorStore

SNAPSHOT = Snapshot(date(2024, 3, 1), "data-1", "sha256:aa", {"orders": date(2024, 3, 1), "refunds": date(2024, 2, 29)})
NEXT = replace(SNAPSHOT, as_of=date(2024, 3, 2), data_version="data-2")

Rows = list[tuple[str, tuple[float | None, ...]]]
ROWS: Rows = [("S2", (0.1, None, -0.0)), ("S1", (1e-300, 12345678.123456789, None))]
PROFILE = StoredProfile(
    PeerGroup(PeerScope.CATEGORY, "家居", None, 41),
    (tuple(range(2**60, 2**60 + 12)), *(None for _ in SUMS[1:])),
    tuple((None, None, 3) if number % 2 else (40, 70, 41) for number in range(len(CATALOGUE))),
    {"orders": Coverage(date(2024, 2, 29), date(2024, 2, 29), (*(0 for _ in range(11)), 1))},
)
RATES = {"USD": 1.0, "CNY": 0.145}
CONTEXTS = (("S0", 0.1), ("S1", 0.2), ("S2", 0.3))
CHINA = SellerContextSet(RATES, [("S1", "CN", "CNY"), ("S2", None, None)])


def profiles(*sellers: str) -> ProfileSet:
    return ProfileSet(definitions(), [(seller, PROFILE) for seller in sellers])


@pytest.fixture
def store(tmp_path: Path) -> VectorStore:
    return VectorStore(tmp_path / "var" / "vectors.db")


def snapshots(store: VectorStore) -> list[Snapshot]:
    return [vector.snapshot for vector in store.all_latest()]


def test_a_round_trip_preserves_every_bit_and_missing_values(store: VectorStore) -> None:
    assert store.replace(SNAPSHOT, [*ROWS, ("卖家", (1.0,))]) == 3
    stored = [StoredVector(seller, SNAPSHOT, values) for seller, values in (*ROWS, ("卖家", (1.0,)))]
    assert [store.latest(vector.seller_id) for vector in stored] == stored
    assert [str(vector.values[2]) for vector in stored[:1]] == ["-0.0"]
    assert list(store.all_latest()) == sorted(stored, key=lambda vector: vector.seller_id)
    # an id that is not valid Unicode belongs to no seller
    assert [store.latest(unknown) for unknown in ("\udcff", "\udce5", "S1\udcff", "S1\0")] == [None] * 4


def test_profiles_and_contexts_belong_to_the_latest_snapshot(store: VectorStore) -> None:
    assert decode(encode(PROFILE)) == PROFILE
    store.replace(SNAPSHOT, ROWS, profiles("S1", "S2"), CHINA)
    found = store.profile("S2")
    assert found is not None
    assert (found[0].seller_id, found[0].snapshot, found[1]) == ("S2", SNAPSHOT, PROFILE)
    assert store.profile("S3") is store.profile("\udcff") is None
    first = store.latest("S1")
    assert first is not None
    assert first.context == SellerContext("CN", "CNY", RATES)
    second = store.latest("S2")
    assert second is not None
    assert second.context == SellerContext(None, None, RATES)
    assert store.usd_per_unit() == RATES
    store.replace(NEXT, ROWS[:1], profiles("S2"))
    assert store.profile("S1") is None
    later = store.latest("S2")
    assert later is not None
    assert later.context == SellerContext()
    assert store.usd_per_unit() == {}


def test_the_earlier_vector_is_that_of_the_previous_midnight_and_the_same_catalogue(store: VectorStore) -> None:
    days = [replace(SNAPSHOT, as_of=date(2024, 3, day), data_version=f"data-{day}") for day in (1, 5, 3)]
    for number, snapshot in enumerate(days):
        store.replace(snapshot, [("S1", (float(number),))])
    store.replace(replace(days[1], data_version="data-late"), [("S1", (7.0,))])
    store.replace(replace(SNAPSHOT, as_of=date(2024, 3, 6), catalogue="sha256:bb"), [("S1", (8.0,))])
    now = StoredVector("S1", replace(SNAPSHOT, as_of=date(2024, 3, 9)), (9.0,))
    # of two versions of one midnight, the one stored last; none of another catalogue
    assert store.earlier(now) == StoredVector("S1", replace(days[1], data_version="data-late"), (7.0,))
    assert store.earlier(StoredVector("S1", days[1], (1.0,))) == StoredVector("S1", days[2], (2.0,))
    assert store.earlier(StoredVector("S1", days[0], (0.0,))) is None
    assert store.earlier(replace(now, seller_id="S2")) is None


def test_a_removed_seller_is_in_no_snapshot_and_no_byte_of_the_files(store: VectorStore, tmp_path: Path) -> None:
    assert store.remove("S-to-forget") == 0
    assert not (tmp_path / "var").exists()
    names = ("S-to-forget", "S-to-keep")
    contexts = SellerContextSet({}, [(name, "CN", "CNY") for name in names])
    for snapshot in (SNAPSHOT, NEXT):
        store.replace(snapshot, [(name, (0.5,)) for name in names], profiles(*names), contexts)
    assert store.remove("S-to-forget") == 2
    assert store.remove("S-to-forget") == 0
    assert store.latest("S-to-forget") is store.profile("S-to-forget") is None
    kept = store.latest("S-to-keep")
    assert kept is not None
    assert store.earlier(kept) is not None
    assert store.profile("S-to-keep") is not None
    files = list((tmp_path / "var").iterdir())
    assert files
    assert not [file.name for file in files if b"S-to-forget" in file.read_bytes()]


def test_the_snapshot_stored_last_is_the_latest(store: VectorStore) -> None:
    store.replace(SNAPSHOT, ROWS)
    store.replace(NEXT, [("S2", (2.0,))])
    assert list(store.all_latest()) == [StoredVector("S2", NEXT, (2.0,))]
    assert store.latest("S1") is None, "the latest snapshot hides sellers that it does not contain"
    assert store.replace(SNAPSHOT, [("S3", (3.0,))]) == 1
    assert list(store.all_latest()) == [StoredVector("S3", SNAPSHOT, (3.0,))]
    assert store.replace(SNAPSHOT, []) == 0
    assert list(store.all_latest()) == []


def test_a_snapshot_is_complete_with_profiles_of_the_current_definitions_and_contexts(store: VectorStore) -> None:
    store.replace(SNAPSHOT, ROWS, profiles("S1", "S2"), CHINA)
    assert store.count_sellers(SNAPSHOT) == (2,)
    for incomplete in ((profiles("S1"),), (ProfileSet("sha256:other", [("S1", PROFILE)]), CHINA), ()):
        store.replace(SNAPSHOT, ROWS, *incomplete)
        assert store.count_sellers(SNAPSHOT) is None
        if len(incomplete) != 1:
            with pytest.raises(StoreError, match="Run `sellerscore features`"):
                store.profile("S1")


def test_a_relative_path_does_not_follow_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = VectorStore(Path("vectors.db"))
    monkeypatch.chdir("/")
    store.replace(SNAPSHOT, ROWS)
    assert (tmp_path / "vectors.db").exists()
    assert store.latest("S1") is not None


@pytest.mark.parametrize("name", ["a b.db", "q?mode=rw.db", "100%.db", "#1.db", "中.db"])
def test_special_characters_in_the_path_are_allowed(tmp_path: Path, name: str) -> None:
    store = VectorStore(tmp_path / name)
    store.replace(SNAPSHOT, ROWS)
    assert store.latest("S1") is not None


@pytest.mark.parametrize(
    ("second", "message"),
    [
        *((("S2", (value,)), "seller S2 contains NaN or an infinite") for value in (math.nan, math.inf, -math.inf)),
        (("S1", (2.0,)), "two vectors"),
    ],
)
def test_invalid_vectors_are_rejected_and_change_nothing(
    store: VectorStore, second: tuple[str, tuple[float, ...]], message: str
) -> None:
    store.replace(SNAPSHOT, ROWS)
    with pytest.raises(StoreError, match=message):
        store.replace(NEXT, [("S1", (1.0,)), second])
    assert snapshots(store) == [SNAPSHOT, SNAPSHOT]


@pytest.mark.parametrize(
    ("content", "remedy"),
    [
        (None, "Run `sellerscore features`"),
        (b"", r"no such table: snapshots\); run `sellerscore features`"),
        (b"no database at all" * 100, "delete the file and run `sellerscore features`"),
    ],
)
def test_a_file_without_vectors_raises_with_a_remedy(tmp_path: Path, content: bytes | None, remedy: str) -> None:
    if content is not None:
        (tmp_path / "vectors.db").write_bytes(content)
    store = VectorStore(tmp_path / "vectors.db")
    with pytest.raises(StoreError, match=remedy):
        store.latest("S1")
    with pytest.raises(StoreError, match=remedy):
        next(store.all_latest())


def test_damage_raises_for_the_writer_and_for_an_active_reader(store: VectorStore, tmp_path: Path) -> None:
    store.replace(SNAPSHOT, [(f"S{number:05}", (float(number),) * 20) for number in range(2000)])
    path = tmp_path / "var" / "vectors.db"
    content = bytearray(path.read_bytes())
    content[8192:] = b"\xff" * (len(content) - 8192)
    path.write_bytes(content)
    with pytest.raises(StoreError, match="delete the file"):
        list(store.all_latest())
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreError, match=r"cannot be written .*delete the file"):
        store.replace(NEXT, ROWS)


def test_a_file_or_folder_in_the_way_raises(tmp_path: Path) -> None:
    (tmp_path / "var").touch()
    with pytest.raises(StoreError, match="cannot be written"):
        VectorStore(tmp_path / "var" / "vectors.db").replace(SNAPSHOT, ROWS)
    (tmp_path / "vectors.db").mkdir()
    with pytest.raises(StoreError, match="cannot be read"):
        VectorStore(tmp_path / "vectors.db").latest("S1")


class PowerCutError(Exception):
    """Stops a writer midway."""


def cut_after(*rows: Any) -> Iterator[Any]:
    yield from rows
    raise PowerCutError


@pytest.mark.parametrize("snapshot", [SNAPSHOT, NEXT], ids=["the same", "the next"])
def test_a_stopped_writer_leaves_the_previous_snapshot(store: VectorStore, snapshot: Snapshot) -> None:
    with pytest.raises(PowerCutError):
        store.replace(SNAPSHOT, cut_after(*ROWS))
    with pytest.raises(StoreError):
        store.latest("S1")
    store.replace(SNAPSHOT, ROWS, profiles("S1", "S2"))
    with pytest.raises(PowerCutError):
        store.replace(snapshot, cut_after(("S1", (9.0,)), ("S9", (9.0,))))
    with pytest.raises(PowerCutError):
        store.replace(snapshot, [("S1", (9.0,))], ProfileSet(definitions(), cut_after(("S1", PROFILE))))
    assert [(vector.seller_id, vector.values) for vector in store.all_latest()] == sorted(ROWS)
    assert store.profile("S2") is not None
    assert store.replace(snapshot, [("S1", (9.0,))]) == 1


@pytest.mark.parametrize("snapshot", [SNAPSHOT, NEXT], ids=["the same", "the next"])
def test_an_active_reader_sees_its_snapshot_to_the_end(store: VectorStore, snapshot: Snapshot) -> None:
    rows: Rows = [(f"S{number:04}", (float(number),)) for number in range(2000)]
    store.replace(SNAPSHOT, rows)
    reading = store.all_latest()
    first = next(reading)
    store.replace(snapshot, [("S0000", (-1.0,))])
    assert [(vector.seller_id, vector.values) for vector in (first, *reading)] == rows
    assert [vector.values for vector in store.all_latest()] == [(-1.0,)]


def test_a_reader_during_a_write_sees_the_previous_snapshot(store: VectorStore) -> None:
    store.replace(SNAPSHOT, ROWS)
    observed: list[StoredVector | None] = []

    def rows() -> Iterator[tuple[str, tuple[float | None, ...]]]:
        yield "S1", (9.0,)
        observed.append(store.latest("S1"))
        yield "S2", (9.0,)

    store.replace(NEXT, rows())
    assert observed == [StoredVector("S1", SNAPSHOT, dict(ROWS)["S1"])]
    assert snapshots(store) == [NEXT, NEXT]


def test_a_snapshot_replaced_during_a_read_is_not_mixed_in(store: VectorStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.replace(SNAPSHOT, ROWS)
    read_latest = store_module._latest_snapshots

    def read_then_replace(connection: sqlite3.Connection) -> dict[int, Snapshot]:
        latest = read_latest(connection)
        store.replace(SNAPSHOT, [("S9", (9.0,))])
        return latest

    monkeypatch.setattr(store_module, "_latest_snapshots", read_then_replace)
    assert [vector.seller_id for vector in store.all_latest()] == ["S1", "S2"]
    assert [vector.seller_id for vector in store.all_latest()] == ["S9"]


def test_connections_are_reused_but_not_for_a_replaced_file(tmp_path: Path) -> None:
    path, other = tmp_path / "vectors.db", tmp_path / "other.db"
    store = VectorStore(path)
    store.replace(SNAPSHOT, [("S-1", (1.0,)), ("S-2", (2.0,))])
    every = store.all_latest()
    assert next(every).values == (1.0,)
    # concurrent readers have separate connections, and an unfinished reader is harmless
    assert store.latest("S-2") is not None
    every.close()
    VectorStore(other).replace(SNAPSHOT, [("S-1", (7.0,))])
    for side in ("-wal", "-shm"):
        path.with_name(path.name + side).unlink(missing_ok=True)
    other.replace(path)
    assert store.latest("S-1") == StoredVector("S-1", SNAPSHOT, (7.0,))
    assert store.latest("S-2") is None


def test_concurrent_readers_see_complete_snapshots(tmp_path: Path) -> None:
    store = VectorStore(tmp_path / "vectors.db")
    store.replace(SNAPSHOT, [("S-1", (0.0,) * 5)])

    def read(_: int) -> bool:
        found = store.latest("S-1")
        return found is not None and len(set(found.values)) == 1

    with ThreadPoolExecutor(8) as pool:
        reads = [pool.submit(read, number) for number in range(200)]
        for number in range(1, 20):
            store.replace(SNAPSHOT, [("S-1", (float(number),) * 5)])
        assert all(result.result() for result in reads)
    assert store.latest("S-1") == StoredVector("S-1", SNAPSHOT, (19.0,) * 5)


def test_a_file_of_another_version_is_computed_again(store: VectorStore, tmp_path: Path) -> None:
    store.replace(SNAPSHOT, ROWS)
    with sqlite3.connect(tmp_path / "var" / "vectors.db") as connection:
        connection.execute("PRAGMA user_version = 0")
    other = VectorStore(tmp_path / "var" / "vectors.db")
    assert other.count_sellers(SNAPSHOT) is None
    with pytest.raises(StoreError, match=r"another version of SellerScore. Run `sellerscore features`"):
        other.latest("S1")
    assert other.replace(NEXT, ROWS[:1]) == 1
    assert [vector.snapshot for vector in other.all_latest()] == [NEXT]


def test_sellers_whose_data_end_on_different_days_are_one_computation(store: VectorStore) -> None:
    late = replace(SNAPSHOT, covers_through={"orders": SNAPSHOT.as_of})
    early = replace(SNAPSHOT, as_of=date(2024, 1, 1), covers_through={"orders": date(2024, 1, 1)})
    rates = [SellerContextSet({"USD": 1.0, "CNY": rate}, [(seller, "CN", "CNY")]) for seller, rate in CONTEXTS]
    parts = [
        SnapshotRows(snapshot, [(f"S{number}", (float(number),))], profiles(f"S{number}"), rates[number])
        for number, snapshot in enumerate((early, SNAPSHOT, late))
    ]
    assert store.replace_all(parts) == (1, 1, 1)
    assert [(each.seller_id, each.snapshot) for each in store.all_latest()] == [
        ("S0", early),
        ("S1", SNAPSHOT),
        ("S2", late),
    ]
    newest = store.newest()
    assert newest is not None
    assert newest.seller_id == "S1"
    first = store.latest("S0")
    assert first is not None
    assert first.context == SellerContext("CN", "CNY", {"USD": 1.0, "CNY": 0.1})
    assert store.usd_per_unit() == {"USD": 1.0, "CNY": 0.2}
    found = store.profile("S2")
    assert found is not None
    assert found[0].snapshot == late
    # in any order, and only all of them
    assert store.count_sellers(late, SNAPSHOT, early) == (1, 1, 1)
    assert store.count_sellers(late, SNAPSHOT) is None
    # a seller without older data goes on to the next computation, and keeps an earlier vector
    store.replace(NEXT, [("S0", (7.0,))])
    assert [each.seller_id for each in store.all_latest()] == ["S0"]
    latest = store.latest("S0")
    assert latest is not None
    assert store.earlier(latest) == StoredVector("S0", early, (0.0,))
