"""Signing keys: what was signed verifies, by old keys too; every altered byte, foreign key and other use is refused."""

from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from joserfc.util import urlsafe_b64decode

from api.auth.signing_keys import KeyRing, verify_jws
from api.errors import KeyRingError, SignatureError

NOW = datetime(2026, 1, 31, tzinfo=UTC)
KIND = "test+jws"


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> KeyRing:
    return KeyRing.open(tmp_path_factory.mktemp("keys") / "ring")


def test_another_library_finds_the_signature_right(ring: KeyRing) -> None:
    head, payload, signature = ring.sign(b'{"a":1}', KIND).split(".")
    key = ring.jwks["keys"][0]
    assert json.loads(urlsafe_b64decode(head.encode())) == {"alg": "Ed25519", "kid": key["kid"], "typ": KIND}
    public = Ed25519PublicKey.from_public_bytes(urlsafe_b64decode(key["x"].encode()))
    public.verify(urlsafe_b64decode(signature.encode()), f"{head}.{payload}".encode())
    assert urlsafe_b64decode(payload.encode()) == b'{"a":1}'
    assert "d" not in key


@given(payload=st.binary(max_size=60), place=st.integers(0), letter=st.sampled_from("Aa0_-.b"))
def test_whatever_is_altered_is_found(ring: KeyRing, payload: bytes, place: int, letter: str) -> None:
    signed = ring.sign(payload, KIND)
    assert ring.verify(signed, KIND) == payload
    at = place % len(signed)
    altered = signed[:at] + letter + signed[at + 1 :]
    if altered == signed:
        return
    try:
        found = ring.verify(altered, KIND)
    except SignatureError:
        return
    # the last letters of base64 hold bits that stand for nothing
    assert found == payload
    assert altered[:at] == signed[:at]


@pytest.mark.parametrize("nothing", ["", "a.b", "a.b.c", "é.é.é", "...", "e30.e30.e30"])
def test_what_is_no_signature_is_refused(ring: KeyRing, nothing: str) -> None:
    with pytest.raises(SignatureError):
        ring.verify(nothing, KIND)


def test_another_use_of_the_same_key_is_refused(ring: KeyRing) -> None:
    with pytest.raises(SignatureError, match="another kind of document"):
        ring.verify(ring.sign(b"x", "other+jws"), KIND)


def test_after_a_rotation_the_new_key_signs_and_the_old_one_still_verifies(tmp_path: Path) -> None:
    before = KeyRing.open(tmp_path)
    old = before.sign(b"old", KIND)
    after = KeyRing.rotate(tmp_path, NOW)
    assert after.verify(old, KIND) == b"old"
    assert [key["kid"] for key in after.jwks["keys"]][1:] == [key["kid"] for key in before.jwks["keys"]]
    with pytest.raises(SignatureError, match="of an unknown key"):
        before.verify(after.sign(b"new", KIND), KIND)
    assert KeyRing.open(tmp_path).jwks == after.jwks
    with pytest.raises(SignatureError):
        verify_jws(old, KIND, {"keys": after.jwks["keys"][:1]})


def test_those_who_begin_at_once_have_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        rings = list(pool.map(lambda _: KeyRing.open(tmp_path / "ring"), range(8)))
    assert len({ring.jwks["keys"][-1]["kid"] for ring in rings}) == 1
    assert len(list((tmp_path / "ring").iterdir())) == 1


def test_a_key_is_its_owners_alone(tmp_path: Path) -> None:
    KeyRing.open(tmp_path / "ring")
    file = next((tmp_path / "ring").iterdir())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "ring").stat().st_mode) == 0o700
    file.chmod(0o640)
    with pytest.raises(KeyRingError, match="accessible to other users"):
        KeyRing.open(tmp_path / "ring")
    file.chmod(0o600)
    file.write_text("{}")
    with pytest.raises(KeyRingError, match="is not a signing key"):
        KeyRing.open(tmp_path / "ring")


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(KeyRingError, match="cannot be used"):
        KeyRing.open(tmp_path / "file")
