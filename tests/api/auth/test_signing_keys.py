"""The commands of the key rings, and how long a key lives."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.auth.signing_keys import TOKEN_LIFETIME, KeyRing, Use, open_ring
from api.cli.main import app
from api.errors import KeyRingError, SignatureError
from api.settings import Settings

NOW = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
KIND = "test+jws"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run a command over a state folder of its own; what it raises is raised."""
    monkeypatch.setenv("SELLERSCORE_HOME", str(tmp_path))
    return lambda *arguments: CliRunner().invoke(app, ["keys", *arguments], catch_exceptions=False)


def test_a_key_is_published_before_it_signs(tmp_path: Path) -> None:
    before = KeyRing.open(tmp_path, NOW)
    between = KeyRing.rotate(tmp_path, NOW, timedelta(minutes=10))
    assert between.keys[-1].thumbprint() == before.keys[-1].thumbprint()
    new = between.upcoming[0].thumbprint()
    assert [each["kid"] for each in between.jwks["keys"]] == [before.keys[0].thumbprint(), new]
    after = KeyRing.read(tmp_path, NOW + timedelta(minutes=10))
    assert (after.keys[-1].thumbprint(), after.upcoming) == (new, ())
    assert between.verify(before.sign(b"old", KIND), KIND) == b"old"
    # who has not looked again since knows the key all the same
    assert between.verify(after.sign(b"new", KIND), KIND) == b"new"


def test_a_key_verifies_for_the_overlap_after_its_successor_began(tmp_path: Path) -> None:
    old = KeyRing.open(tmp_path, NOW).sign(b"old", KIND)
    KeyRing.rotate(tmp_path, NOW, timedelta(minutes=10))
    begins = NOW + timedelta(minutes=10)
    assert KeyRing.read(tmp_path, begins + TOKEN_LIFETIME, TOKEN_LIFETIME).verify(old, KIND) == b"old"
    with pytest.raises(SignatureError):
        KeyRing.read(tmp_path, begins + TOKEN_LIFETIME + timedelta(seconds=1), TOKEN_LIFETIME).verify(old, KIND)
    assert KeyRing.read(tmp_path, begins + timedelta(days=3650)).verify(old, KIND) == b"old"


def test_a_clock_that_was_set_back_still_has_a_key_that_signs(tmp_path: Path) -> None:
    KeyRing.rotate(tmp_path, NOW)
    (tmp_path / "0.jwk").unlink()
    ring = KeyRing.read(tmp_path, NOW - timedelta(days=1))
    assert (len(ring.keys), ring.upcoming) == (1, ())


def test_reading_makes_no_key(tmp_path: Path) -> None:
    with pytest.raises(KeyRingError, match=r"no signing key in .*backup"):
        KeyRing.read(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("use", Use)
def test_rotation_is_listed_with_what_each_key_does(run, tmp_path: Path, use: Use) -> None:
    assert json.loads(run("list", "--output", "json").stdout) == []
    settings = Settings(home=tmp_path)
    first = open_ring(settings, use).keys[-1].thumbprint()
    assert run("list").stdout.split() == [str(use), first, "signs", str(use)]
    made = json.loads(run("rotate", str(use), "--output", "json").stdout)
    begins = datetime.fromisoformat(made["begins"])
    assert timedelta(minutes=9) < begins - datetime.now(UTC) <= timedelta(minutes=10)
    assert [(each["kid"], each["standing"]) for each in json.loads(run("list", "--output", "json").stdout)] == [
        (first, f"signs {use}"),
        (made["kid"], f"signs from {begins:%Y-%m-%d %H:%M} UTC"),
    ]
    at_once = json.loads(run("rotate", str(use), "--delay-minutes", "0", "--output", "json").stdout)
    listed = json.loads(run("list", "--output", "json").stdout)
    standing = {each["kid"]: each["standing"] for each in listed}
    assert (standing[first], standing[at_once["kid"]]) == ("verifies", f"signs {use}")
    assert all("d" not in each for each in listed)


def test_the_advice_is_that_of_the_keys(run, tmp_path: Path) -> None:
    for use in Use:
        open_ring(Settings(home=tmp_path), use)
    receipts, tokens = (run("rotate", str(use)).stdout for use in (Use.RECEIPTS, Use.TOKENS))
    assert "Keep the former keys" in receipts
    assert "Keep" not in tokens
    assert f"valid for {'ten' if timedelta(minutes=10) == TOKEN_LIFETIME else TOKEN_LIFETIME} minutes" in tokens


def test_a_key_of_tokens_is_no_longer_used_once_no_token_of_it_lives(tmp_path: Path, run) -> None:
    settings = Settings(home=tmp_path)
    first = open_ring(settings, Use.TOKENS).keys[-1].thumbprint()
    KeyRing.rotate(settings.token_keys_path, datetime.now(UTC) - TOKEN_LIFETIME - timedelta(seconds=5))
    standing = {each["kid"]: each["standing"] for each in json.loads(run("list", "--output", "json").stdout)}
    assert standing[first] == "no longer used"


def test_what_is_no_ring_or_no_delay_is_refused(run) -> None:
    assert run("rotate", "ledger").exit_code == 2
    assert run("rotate", "receipts", "--delay-minutes", "-1").exit_code == 2


def test_a_key_that_others_may_read_is_one_sentence(run, tmp_path: Path) -> None:
    open_ring(Settings(home=tmp_path), Use.RECEIPTS)
    (tmp_path / "keys" / "receipts" / "0.jwk").chmod(0o644)
    with pytest.raises(KeyRingError, match="accessible to other users"):
        run("list")
