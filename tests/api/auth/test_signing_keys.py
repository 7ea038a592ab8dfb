"""Signing keys: signatures, private files, rotation, the lifetime of former keys, and the `keys` commands."""

from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from joserfc.util import urlsafe_b64decode
from typer.testing import CliRunner

from api.auth.signing_keys import TOKEN_LIFETIME, KeyRing, Use, open_ring, verify_jws
from api.cli.main import app
from api.errors import KeyRingError, SignatureError
from api.settings import Settings

NOW = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
DELAY = timedelta(minutes=10)
KIND = "test+jws"


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> KeyRing:
    return KeyRing.open(tmp_path_factory.mktemp("keys") / "ring")


def test_another_library_verifies_a_signature(ring: KeyRing) -> None:
    head, payload, signature = ring.sign(b'{"a":1}', KIND).split(".")
    key = ring.jwks["keys"][0]
    assert json.loads(urlsafe_b64decode(head.encode())) == {"alg": "Ed25519", "kid": key["kid"], "typ": KIND}
    public = Ed25519PublicKey.from_public_bytes(urlsafe_b64decode(key["x"].encode()))
    public.verify(urlsafe_b64decode(signature.encode()), f"{head}.{payload}".encode())
    assert urlsafe_b64decode(payload.encode()) == b'{"a":1}'
    assert "d" not in key


@given(payload=st.binary(max_size=60), place=st.integers(0), letter=st.sampled_from("Aa0_-.b"))
def test_an_altered_signature_is_rejected(ring: KeyRing, payload: bytes, place: int, letter: str) -> None:
    signed = ring.sign(payload, KIND)
    index = place % len(signed)
    altered = signed[:index] + letter + signed[index + 1 :]
    try:
        verified = ring.verify(altered, KIND)
    except SignatureError:
        assert altered != signed
        return
    # the last letters of base64 have bits without meaning
    assert verified == payload


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c", "é.é.é", "...", "e30.e30.e30"])
def test_other_text_is_not_a_signature(ring: KeyRing, text: str) -> None:
    with pytest.raises(SignatureError):
        ring.verify(text, KIND)


def test_a_signature_for_another_use_is_rejected(ring: KeyRing) -> None:
    with pytest.raises(SignatureError, match="another kind of document"):
        ring.verify(ring.sign(b"x", "other+jws"), KIND)


def test_a_new_key_is_published_before_it_signs_and_former_keys_verify(tmp_path: Path) -> None:
    before = KeyRing.open(tmp_path, NOW)
    old, first = before.sign(b"old", KIND), before.keys[0].thumbprint()
    between = KeyRing.rotate(tmp_path, NOW, DELAY)
    new = between.upcoming[0].thumbprint()
    assert between.keys[-1].thumbprint() == first
    assert [key["kid"] for key in between.jwks["keys"]] == [first, new]
    after = KeyRing.read(tmp_path, NOW + DELAY)
    assert (after.keys[-1].thumbprint(), after.upcoming) == (new, ())
    assert [key["kid"] for key in after.jwks["keys"]] == [new, first]
    assert after.verify(old, KIND) == b"old"
    # a service that has not reloaded its keys since the rotation
    assert between.verify(after.sign(b"new", KIND), KIND) == b"new"
    with pytest.raises(SignatureError, match="not among the trusted keys"):
        before.verify(after.sign(b"new", KIND), KIND)
    with pytest.raises(SignatureError):
        verify_jws(old, KIND, {"keys": after.jwks["keys"][:1]})


def test_another_key_under_the_same_id_is_refused(tmp_path: Path) -> None:
    ring, other = (KeyRing.open(tmp_path / name) for name in ("ours", "other"))
    forged = {"keys": [{**other.jwks["keys"][0], "kid": ring.jwks["keys"][0]["kid"]}]}
    signed = ring.sign(b"{}", KIND)
    with pytest.raises(SignatureError, match="does not match its key"):
        verify_jws(signed, KIND, forged)


def test_a_former_key_verifies_for_the_overlap(tmp_path: Path) -> None:
    old = KeyRing.open(tmp_path, NOW).sign(b"old", KIND)
    KeyRing.rotate(tmp_path, NOW, DELAY)
    last = NOW + DELAY + TOKEN_LIFETIME
    assert KeyRing.read(tmp_path, last, TOKEN_LIFETIME).verify(old, KIND) == b"old"
    with pytest.raises(SignatureError):
        KeyRing.read(tmp_path, last + timedelta(seconds=1), TOKEN_LIFETIME).verify(old, KIND)
    assert KeyRing.read(tmp_path, last + timedelta(days=3650)).verify(old, KIND) == b"old"


def test_a_clock_that_was_set_back_still_has_a_signing_key(tmp_path: Path) -> None:
    KeyRing.rotate(tmp_path, NOW)
    (tmp_path / "0.jwk").unlink()
    ring = KeyRing.read(tmp_path, NOW - timedelta(days=1))
    assert (len(ring.keys), ring.upcoming) == (1, ())


def test_services_that_start_at_once_share_the_first_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        rings = list(pool.map(lambda _: KeyRing.open(tmp_path / "ring"), range(8)))
    assert len({ring.jwks["keys"][-1]["kid"] for ring in rings}) == 1
    assert len(list((tmp_path / "ring").iterdir())) == 1


def test_keys_are_private_files_and_reading_creates_none(tmp_path: Path) -> None:
    with pytest.raises(KeyRingError, match=r"no signing key in .*backup"):
        KeyRing.read(tmp_path)
    folder = tmp_path / "ring"
    KeyRing.open(folder)
    (file,) = folder.iterdir()
    assert [stat.S_IMODE(path.stat().st_mode) for path in (folder, file)] == [0o700, 0o600]
    file.chmod(0o640)
    with pytest.raises(KeyRingError, match="accessible to other users"):
        KeyRing.open(folder)
    file.chmod(0o600)
    file.write_text("{}")
    with pytest.raises(KeyRingError, match="is not a signing key"):
        KeyRing.open(folder)
    with pytest.raises(KeyRingError, match="cannot be used"):
        KeyRing.open(file)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run a `keys` command in its own state folder."""
    monkeypatch.setenv("SELLERSCORE_HOME", str(tmp_path))
    return lambda *arguments: CliRunner().invoke(app, ["keys", *arguments], catch_exceptions=False)


def listed(run) -> dict[str, str]:
    """Return the role of each key in the list, by ID."""
    keys = json.loads(run("list", "--output", "json").stdout)
    assert all("d" not in key for key in keys)
    return {key["kid"]: key["standing"] for key in keys}


@pytest.mark.parametrize("use", Use)
def test_a_rotation_is_listed_with_the_role_of_each_key(run, tmp_path: Path, use: Use) -> None:
    assert listed(run) == {}
    first = open_ring(Settings(home=tmp_path), use).keys[-1].thumbprint()
    assert run("list").stdout.split() == [str(use), first, "signs", str(use)]
    created = json.loads(run("rotate", str(use), "--output", "json").stdout)
    begins = datetime.fromisoformat(created["begins"])
    assert timedelta(minutes=9) < begins - datetime.now(UTC) <= timedelta(minutes=10)
    assert listed(run) == {first: f"signs {use}", created["kid"]: f"signs from {begins:%Y-%m-%d %H:%M} UTC"}
    immediate = json.loads(run("rotate", str(use), "--delay-minutes", "0", "--output", "json").stdout)
    assert listed(run).items() >= {(first, "verifies"), (immediate["kid"], f"signs {use}")}


def test_former_keys_of_receipts_are_kept_and_those_of_tokens_expire(run, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    first = open_ring(settings, Use.TOKENS).keys[-1].thumbprint()
    KeyRing.rotate(settings.token_keys_path, datetime.now(UTC) - TOKEN_LIFETIME - timedelta(seconds=5))
    assert listed(run)[first] == "no longer used"
    receipts, tokens = (run("rotate", str(use)).stdout for use in (Use.RECEIPTS, Use.TOKENS))
    assert "Keep the files of the former keys" in receipts
    assert "Keep" not in tokens
    assert "valid for ten minutes" in tokens


def test_invalid_arguments_and_readable_keys_are_rejected(run, tmp_path: Path) -> None:
    assert run("rotate", "ledger").exit_code == 2
    assert run("rotate", "receipts", "--delay-minutes", "-1").exit_code == 2
    open_ring(Settings(home=tmp_path), Use.RECEIPTS)
    (tmp_path / "keys" / "receipts" / "0.jwk").chmod(0o644)
    with pytest.raises(KeyRingError, match="accessible to other users"):
        run("list")
