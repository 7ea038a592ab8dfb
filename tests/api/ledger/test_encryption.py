"""Encryption at rest: a cipher text opens only unchanged and in its place, and the master key is a private file."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import LedgerKeyError
from api.ledger.encryption import DecryptionError, decrypt, encrypt, master_key, new_key

KEY = new_key()


@given(st.binary(max_size=200), st.binary(max_size=40), st.integers(0), st.integers(0, 7))
def test_a_cipher_text_opens_only_unchanged_with_its_key_and_in_its_place(
    content: bytes, place: bytes, at: int, bit: int
) -> None:
    sealed = encrypt(KEY, content, place)
    assert decrypt(KEY, sealed, place) == content
    at %= len(sealed)
    flipped = sealed[:at] + bytes([sealed[at] ^ (1 << bit)]) + sealed[at + 1 :]
    for key, other, bound in (
        (new_key(), sealed, place),
        (KEY, sealed, place + b"x"),
        (KEY, flipped, place),
        (KEY, sealed[:at], place),
    ):
        with pytest.raises(DecryptionError):
            decrypt(key, other, bound)


def test_equal_contents_have_different_cipher_texts() -> None:
    assert len({encrypt(KEY, b"same", b"place") for _ in range(50)}) == 50


def test_concurrent_starts_share_one_private_master_key(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "ledger-master"
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: master_key(path), range(16)))
    assert keys == {master_key(path)}
    assert [file.name for file in path.parent.iterdir()] == ["ledger-master"]
    assert (path.parent.stat().st_mode & 0o777, path.stat().st_mode & 0o777) == (0o700, 0o600)


@pytest.mark.parametrize("content", ["", "00", "x" * 64, "00" * 31, "00" * 33])
def test_a_file_that_is_no_key_is_rejected_and_stays(tmp_path: Path, content: str) -> None:
    path = tmp_path / "ledger-master"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(LedgerKeyError, match="is not a ledger key"):
        master_key(path)
    assert path.read_text() == content


def test_a_key_that_others_can_read_and_a_path_that_is_no_file_are_rejected(tmp_path: Path) -> None:
    real = tmp_path / "real"
    master_key(real)
    (tmp_path / "link").symlink_to(real)
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "link", tmp_path / "folder", real / "ledger-master"):
        with pytest.raises(LedgerKeyError, match="cannot be used"):
            master_key(path)
    real.chmod(0o604)
    with pytest.raises(LedgerKeyError, match=r"accessible to other users \(mode 0604\)"):
        master_key(real)
