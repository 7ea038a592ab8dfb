"""Encryption at rest: what was sealed opens in its place alone, and the master key is one secret file."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import LedgerKeyError
from api.ledger.encryption import DecryptionError, decrypt, encrypt, master_key, new_key

KEY = new_key()


@given(st.binary(max_size=200), st.binary(max_size=40))
def test_what_was_sealed_opens_in_its_place_alone(content: bytes, place: bytes) -> None:
    sealed = encrypt(KEY, content, place)
    assert decrypt(KEY, sealed, place) == content
    for key, other in ((new_key(), place), (KEY, place + b"x")):
        with pytest.raises(DecryptionError):
            decrypt(key, sealed, other)


@given(st.binary(max_size=60), st.integers(0), st.integers(0, 7))
def test_any_altered_bit_and_any_cut_is_found(content: bytes, at: int, bit: int) -> None:
    sealed = encrypt(KEY, content, b"place")
    at %= len(sealed)
    for altered in (sealed[:at] + bytes([sealed[at] ^ (1 << bit)]) + sealed[at + 1 :], sealed[:at]):
        with pytest.raises(DecryptionError):
            decrypt(KEY, altered, b"place")


def test_equal_contents_are_sealed_differently() -> None:
    assert len({encrypt(KEY, b"same", b"place") for _ in range(50)}) == 50


def test_those_who_begin_at_once_have_one_master_key(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "ledger-master"
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: master_key(path), range(16)))
    assert found == {master_key(path)}
    assert [file.name for file in path.parent.iterdir()] == ["ledger-master"]
    assert (path.parent.stat().st_mode & 0o777, path.stat().st_mode & 0o777) == (0o700, 0o600)


@pytest.mark.parametrize("content", ["", "00", "x" * 64, "00" * 31, "00" * 33])
def test_a_file_that_holds_no_key_is_refused_and_left(tmp_path: Path, content: str) -> None:
    path = tmp_path / "ledger-master"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(LedgerKeyError, match="is not a ledger key"):
        master_key(path)
    assert path.read_text() == content


def test_a_key_that_is_not_its_owners_alone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger-master"
    master_key(path)
    path.chmod(0o604)
    with pytest.raises(LedgerKeyError, match=r"accessible to other users \(mode 0604\)"):
        master_key(path)


def test_a_link_or_a_folder_in_its_place_is_refused(tmp_path: Path) -> None:
    master_key(tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "link", tmp_path / "folder", tmp_path / "real" / "ledger-master"):
        with pytest.raises(LedgerKeyError, match="cannot be used"):
            master_key(path)
