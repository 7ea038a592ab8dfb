"""The token: made once, its owner's alone, and compared without telling how close a guess was."""

import hmac
import logging
import stat
from pathlib import Path

import pytest

from api.errors import TokenFileError
from api.token_file import digest_of, matches, token_digest


def test_the_first_run_makes_a_token_that_only_its_owner_reads(tmp_path: Path) -> None:
    path = tmp_path / "home" / "token"
    digest = token_digest(path)
    token = path.read_text().strip()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert len(token) >= 43
    assert digest == digest_of(token)
    assert token_digest(path) == digest


def test_two_folders_have_two_tokens(tmp_path: Path) -> None:
    assert token_digest(tmp_path / "a" / "token") != token_digest(tmp_path / "b" / "token")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_a_token_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "token"
    token_digest(path)
    path.chmod(mode)
    with pytest.raises(TokenFileError, match="chmod 600"):
        token_digest(path)


@pytest.mark.parametrize("content", [b"", b"\n", b"short\n", b"\xff\xfe"])
def test_a_file_without_a_whole_token_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "token"
    path.touch(0o600)
    path.write_bytes(content)
    with pytest.raises(TokenFileError, match="no whole token"):
        token_digest(path)


def test_a_link_or_a_folder_is_refused(tmp_path: Path) -> None:
    token_digest(tmp_path / "token")
    (tmp_path / "link").symlink_to(tmp_path / "token")
    (tmp_path / "folder").mkdir(0o700)
    for name in ("link", "folder"):
        with pytest.raises(TokenFileError):
            token_digest(tmp_path / name)


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "home").touch()
    for path in (tmp_path / "home" / "token", tmp_path / "home" / "deeper" / "token"):
        with pytest.raises(TokenFileError, match=r"cannot be made .*SELLERSCORE_HOME"):
            token_digest(path)


def test_the_comparison_takes_a_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def spy(left: bytes, right: bytes) -> bool:
        compared.append((left, right))
        return left == right

    monkeypatch.setattr(hmac, "compare_digest", spy)
    assert matches("right", digest_of("right"))
    assert not matches("a much longer guess", digest_of("right"))
    assert len(compared) == 2
    assert {len(side) for pair in compared for side in pair} == {32}


def test_the_token_is_never_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    token_digest(tmp_path / "token")
    assert (tmp_path / "token").read_text().strip() not in caplog.text
