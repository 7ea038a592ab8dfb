"""Encryption at rest: a cipher text opens only unchanged and in its place, and the master key is a private file."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.ledger.encryption import DecryptionError, decrypt, encrypt, new_key

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
