"""Vectors by seller: what was stored last is what is read, whole, whatever happens to the writer."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from features.errors import StoreError
from features.profile.series import digest
from features.store import vectors as store_module
from features.store.profiles import ProfileSet
from features.store.seller_context import SellerContext, SellerContextSet
from features.store.vectors import Snapshot, StoredVector, VectorStore

SNAPSHOT = Snapshot(date(2024, 3, 1), "data-1", "sha256:aa", {"orders": date(2024, 3, 1), "refunds": date(2024, 2, 29)})
NEXT = replace(SNAPSHOT, as_of=date(2024, 3, 2), data_version="data-2")

Rows = list[tuple[str, tuple[float | None, ...]]]
ROWS: Rows = [("S2", (0.1, None, -0.0)), ("S1", (1e-300, 12345678.123456789, None))]


@pytest.fixture
def store(tmp_path: Path) -> VectorStore:
    return VectorStore(tmp_path / "var" / "vectors.db")


def test_a_round_trip_gives_back_every_bit_and_what_is_missing(store: VectorStore) -> None:
    assert store.replace(SNAPSHOT, ROWS) == 2
    for seller, values in ROWS:
        assert store.latest(seller) == StoredVector(seller, SNAPSHOT, values)
    found = store.latest("S2")
    assert found is not None
    assert str(found.values[2]) == "-0.0"


def test_all_sellers_come_in_order_of_their_ids(store: VectorStore) -> None:
    store.replace(SNAPSHOT, ROWS)
    assert list(store.all_latest()) == [StoredVector(seller, SNAPSHOT, values) for seller, values in sorted(ROWS)]


def test_an_id_that_is_no_unicode_is_of_no_seller(store: VectorStore) -> None:
    store.replace(SNAPSHOT, [*ROWS, ("卖家", (1.0,))])
    assert store.latest("卖家") == StoredVector("卖家", SNAPSHOT, (1.0,))
    for unknown in ("\udcff", "\udce5", "S1\udcff", "S1\0"):
        assert store.latest(unknown) is None


def test_the_vector_before_is_that_of_the_midnight_before_by_the_same_catalogue(store: VectorStore) -> None:
    days = [replace(SNAPSHOT, as_of=date(2024, 3, day), data_version=f"data-{day}") for day in (1, 5, 3)]
    for number, snapshot in enumerate(days):
        store.replace(snapshot, [("S1", (float(number),))])
    store.replace(replace(days[1], data_version="data-late"), [("S1", (7.0,))])
    store.replace(replace(SNAPSHOT, as_of=date(2024, 3, 6), catalogue="sha256:bb"), [("S1", (8.0,))])
    now = StoredVector("S1", replace(SNAPSHOT, as_of=date(2024, 3, 9)), (9.0,))
    # of two versions of one midnight the one stored last; not one of another catalogue
    assert store.earlier(now) == StoredVector("S1", replace(days[1], data_version="data-late"), (7.0,))
    assert store.earlier(StoredVector("S1", days[1], (1.0,))) == StoredVector("S1", days[2], (2.0,))
    assert store.earlier(StoredVector("S1", days[0], (0.0,))) is None
    assert store.earlier(replace(now, seller_id="S2")) is None


def test_a_seller_removed_is_in_no_snapshot_and_in_no_byte_of_the_files(store: VectorStore, tmp_path: Path) -> None:
    for snapshot in (SNAPSHOT, NEXT):
        store.replace(snapshot, [("S-to-forget", (0.5,)), ("S-to-keep", (0.25,))])
    assert store.remove("S-to-forget") == 2
    assert store.remove("S-to-forget") == 0
    assert store.latest("S-to-forget") is None
    kept = store.latest("S-to-keep")
    assert kept is not None
    assert store.earlier(kept) is not None
    files = list((tmp_path / "var").iterdir())
    assert files
    assert not [file.name for file in files if b"S-to-forget" in file.read_bytes()]


def test_removing_where_nothing_is_stored_removes_nothing(store: VectorStore, tmp_path: Path) -> None:
    assert store.remove("S1") == 0
    assert not (tmp_path / "var").exists()


def test_the_latest_snapshot_wins_and_hides_sellers_that_it_lacks(store: VectorStore) -> None:
    store.replace(SNAPSHOT, ROWS)
    store.replace(NEXT, [("S2", (2.0,))])
    assert store.latest("S2") == StoredVector("S2", NEXT, (2.0,))
    assert store.latest("S1") is None
    assert [vector.seller_id for vector in store.all_latest()] == ["S2"]


def test_a_snapshot_stored_again_is_replaced_and_becomes_the_latest(store: VectorStore) -> None:
    store.replace(SNAPSHOT, ROWS)
    store.replace(NEXT, [("S2", (2.0,))])
    assert store.replace(SNAPSHOT, [("S3", (3.0,))]) == 1
    assert list(store.all_latest()) == [StoredVector("S3", SNAPSHOT, (3.0,))]


def test_an_empty_snapshot_is_an_answer(store: VectorStore) -> None:
    assert store.replace(SNAPSHOT, []) == 0
    assert store.latest("S1") is None
    assert list(store.all_latest()) == []


def test_before_any_delivery_it_says_what_to_do(store: VectorStore) -> None:
    with pytest.raises(StoreError, match="run `sellerscore features`"):
        store.latest("S1")
    with pytest.raises(StoreError, match="run `sellerscore features`"):
        next(store.all_latest())


def test_a_relative_path_stays_where_it_was_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = VectorStore(Path("vectors.db"))
    monkeypatch.chdir("/")
    store.replace(SNAPSHOT, ROWS)
    assert (tmp_path / "vectors.db").exists()
    assert store.latest("S1") is not None


@pytest.mark.parametrize("name", ["a b.db", "q?mode=rw.db", "100%.db", "#1.db", "中.db"])
def test_a_path_may_hold_what_an_address_may_not(tmp_path: Path, name: str) -> None:
    store = VectorStore(tmp_path / name)
    store.replace(SNAPSHOT, ROWS)
    assert store.latest("S1") is not None


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_is_refused_and_harms_nothing(store: VectorStore, value: float) -> None:
    store.replace(SNAPSHOT, ROWS)
    with pytest.raises(StoreError, match="seller S2 holds NaN or an infinite"):
        store.replace(NEXT, [("S1", (1.0,)), ("S2", (value,))])
    assert [vector.snapshot for vector in store.all_latest()] == [SNAPSHOT, SNAPSHOT]


@pytest.mark.parametrize(
    ("content", "remedy"),
    [
        (b"", r"no such table: snapshots\); run `sellerscore features`"),
        (b"no database at all" * 100, "remove the file and run `sellerscore features`"),
    ],
)
def test_a_file_without_vectors_says_what_to_do(tmp_path: Path, content: bytes, remedy: str) -> None:
    path = tmp_path / "vectors.db"
    path.write_bytes(content)
    store = VectorStore(path)
    with pytest.raises(StoreError, match=remedy):
        store.latest("S1")
    with pytest.raises(StoreError, match=remedy):
        next(store.all_latest())


def test_damage_is_told_to_the_writer_and_to_a_reader_midway(store: VectorStore, tmp_path: Path) -> None:
    store.replace(SNAPSHOT, [(f"S{number:05}", (float(number),) * 20) for number in range(2000)])
    path = tmp_path / "var" / "vectors.db"
    content = bytearray(path.read_bytes())
    content[8192:] = b"\xff" * (len(content) - 8192)
    path.write_bytes(content)
    with pytest.raises(StoreError, match="remove the file"):
        list(store.all_latest())
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreError, match=r"cannot be written .*remove the file"):
        store.replace(NEXT, ROWS)


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "var").touch()
    with pytest.raises(StoreError, match="cannot be written"):
        VectorStore(tmp_path / "var" / "vectors.db").replace(SNAPSHOT, ROWS)


def test_a_folder_in_place_of_the_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "vectors.db").mkdir()
    with pytest.raises(StoreError, match="cannot be read"):
        VectorStore(tmp_path / "vectors.db").latest("S1")


class PowerCutError(Exception):
    """What ends a writer midway in these tests."""


def cut_after(rows: Rows) -> Iterator[tuple[str, tuple[float | None, ...]]]:
    yield from rows
    raise PowerCutError


@pytest.mark.parametrize("snapshot", [SNAPSHOT, NEXT], ids=["the same again", "the next"])
def test_a_writer_that_dies_leaves_the_former_snapshot(store: VectorStore, snapshot: Snapshot) -> None:
    store.replace(SNAPSHOT, ROWS)
    with pytest.raises(PowerCutError):
        store.replace(snapshot, cut_after([("S1", (9.0,)), ("S9", (9.0,))]))
    assert [(vector.seller_id, vector.values) for vector in store.all_latest()] == sorted(ROWS)
    assert store.replace(snapshot, [("S1", (9.0,))]) == 1


def test_a_first_writer_that_dies_leaves_nothing(store: VectorStore) -> None:
    with pytest.raises(PowerCutError):
        store.replace(SNAPSHOT, cut_after(ROWS))
    with pytest.raises(StoreError):
        store.latest("S1")


def test_one_seller_twice_is_refused_whole(store: VectorStore) -> None:
    store.replace(SNAPSHOT, ROWS)
    with pytest.raises(StoreError, match="two vectors"):
        store.replace(NEXT, [("S1", (1.0,)), ("S1", (2.0,))])
    assert [vector.snapshot for vector in store.all_latest()] == [SNAPSHOT, SNAPSHOT]


@pytest.mark.parametrize("snapshot", [SNAPSHOT, NEXT], ids=["the same again", "the next"])
def test_a_reader_midway_sees_its_snapshot_to_the_end(store: VectorStore, snapshot: Snapshot) -> None:
    rows: Rows = [(f"S{number:04}", (float(number),)) for number in range(2000)]
    store.replace(SNAPSHOT, rows)
    reading = store.all_latest()
    first = next(reading)
    store.replace(snapshot, [("S0000", (-1.0,))])
    assert [(vector.seller_id, vector.values) for vector in (first, *reading)] == rows
    assert [vector.values for vector in store.all_latest()] == [(-1.0,)]


def test_a_reader_during_a_write_sees_the_snapshot_before(store: VectorStore) -> None:
    store.replace(SNAPSHOT, ROWS)
    seen: list[StoredVector | None] = []

    def rows() -> Iterator[tuple[str, tuple[float | None, ...]]]:
        yield "S1", (9.0,)
        seen.append(store.latest("S1"))
        yield "S2", (9.0,)

    store.replace(NEXT, rows())
    assert seen == [StoredVector("S1", SNAPSHOT, dict(ROWS)["S1"])]
    assert [vector.snapshot for vector in store.all_latest()] == [NEXT, NEXT]


def test_a_snapshot_replaced_between_two_looks_of_one_read_does_not_mix_in(
    store: VectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.replace(SNAPSHOT, ROWS)
    look = store_module._latest_snapshot

    def look_then_lose_it(connection: sqlite3.Connection) -> tuple[int, Snapshot]:
        found = look(connection)
        store.replace(SNAPSHOT, [("S9", (9.0,))])
        return found

    monkeypatch.setattr(store_module, "_latest_snapshot", look_then_lose_it)
    assert store.latest("S1") == StoredVector("S1", SNAPSHOT, dict(ROWS)["S1"])
    assert store.latest("S1") is None


CHINA = SellerContextSet({"USD": 1.0, "CNY": 0.145}, [("S1", "CN", "CNY"), ("S2", None, None)])


def test_circumstances_come_with_the_latest_vector_and_leave_with_the_snapshot(store: VectorStore) -> None:
    store.replace(SNAPSHOT, ROWS, circumstances=CHINA)
    found = [store.latest(seller) for seller in ("S1", "S2")]
    assert [each and each.circumstances for each in found] == [
        SellerContext("CN", "CNY", {"USD": 1.0, "CNY": 0.145}),
        SellerContext(None, None, {"USD": 1.0, "CNY": 0.145}),
    ]
    assert store.usd_per_unit() == {"USD": 1.0, "CNY": 0.145}
    store.replace(NEXT, ROWS)
    later = store.latest("S1")
    assert later is not None
    assert later.circumstances == SellerContext()
    assert store.usd_per_unit() == {}


def test_a_sellers_circumstances_are_removed_with_the_vectors_and_overwritten(
    store: VectorStore, tmp_path: Path
) -> None:
    store.replace(
        SNAPSHOT, [*ROWS, ("S-to-forget", (0.5,))], circumstances=SellerContextSet({}, [("S-to-forget", "CN", "CNY")])
    )
    assert store.remove("S-to-forget") == 1
    assert not [file.name for file in (tmp_path / "var").iterdir() if b"S-to-forget" in file.read_bytes()]


def test_a_file_from_before_circumstances_is_read_and_counts_as_not_there(store: VectorStore, tmp_path: Path) -> None:
    store.replace(SNAPSHOT, ROWS, ProfileSet(digest(), []), CHINA)
    assert store.sellers_in(SNAPSHOT, pictured=True) == 2
    with closing(sqlite3.connect(tmp_path / "var" / "vectors.db")) as connection, connection:
        connection.executescript("DROP TABLE rates; DROP TABLE circumstances")
    found = store.latest("S1")
    assert found is not None
    assert found.circumstances == SellerContext()
    assert store.usd_per_unit() == {}
    assert store.sellers_in(SNAPSHOT) == 2
    assert store.sellers_in(SNAPSHOT, pictured=True) is None
    assert store.remove("S1") == 1


def test_reads_go_on_where_they_left_off_and_never_in_a_file_that_is_gone(tmp_path: Path) -> None:
    path, other = tmp_path / "vectors.db", tmp_path / "other.db"
    store = VectorStore(path)
    store.replace(SNAPSHOT, [("S-1", (1.0,)), ("S-2", (2.0,))])
    every = store.all_latest()
    assert next(every).values == (1.0,)
    # a reader within a reader has a connection of its own, and one that is left alone harms nobody
    assert store.latest("S-2") is not None
    every.close()
    VectorStore(other).replace(SNAPSHOT, [("S-1", (7.0,))])
    for side in ("-wal", "-shm"):
        path.with_name(path.name + side).unlink(missing_ok=True)
    other.replace(path)
    found = store.latest("S-1")
    assert found is not None
    assert found.values == (7.0,)
    assert store.latest("S-2") is None


def test_many_threads_read_at_once_and_see_whole_snapshots(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    store = VectorStore(tmp_path / "vectors.db")
    store.replace(SNAPSHOT, [("S-1", (0.0,) * 5)])

    def read(_: int) -> bool:
        found = store.latest("S-1")
        return found is not None and len(set(found.values)) == 1

    with ThreadPoolExecutor(8) as pool:
        seen = [pool.submit(read, number) for number in range(200)]
        for number in range(1, 20):
            store.replace(SNAPSHOT, [("S-1", (float(number),) * 5)])
        assert all(each.result() for each in seen)
    found = store.latest("S-1")
    assert found is not None
    assert found.values == (19.0,) * 5
