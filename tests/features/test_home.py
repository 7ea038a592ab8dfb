"""The state folder: other users have no access to what the commands write."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from features.errors import StoreError
from features.home import keep_private


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for folder in ("operating/tiles", "simulated"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "rows.parquet").touch()
    (tmp_path / "sellerscore.db").touch()
    (tmp_path / "reports").symlink_to(tmp_path / "simulated")
    return tmp_path


def modes(home: Path) -> dict[str, str]:
    return {str(path.relative_to(home)): f"{stat.S_IMODE(path.stat().st_mode):04o}" for path in home.rglob("*")}


@pytest.mark.parametrize(
    ("mask", "file", "folder"), [("", "0600", "0700"), ("027", "0640", "0750"), ("022", "0644", "0755")]
)
def test_new_and_existing_state_is_restricted_and_deliveries_are_not(
    home: Path, monkeypatch: pytest.MonkeyPatch, mask: str, file: str, folder: str
) -> None:
    monkeypatch.setenv("SELLERSCORE_UMASK", mask)
    keep_private(home)
    (home / "new").mkdir()
    (home / "new" / "vectors.db").touch()
    found = modes(home)
    assert {found.pop(name) for name in ("simulated", "reports")} == {"0755"}
    assert found.pop("simulated/rows.parquet") == "0644"
    assert {found.pop(name) for name in ("operating", "operating/tiles", "new")} == {folder}
    assert set(found.values()) == {file}


@pytest.mark.parametrize("mask", ["77", "088", "0o77", "-77", "00777"])
def test_an_invalid_mask_is_named(home: Path, monkeypatch: pytest.MonkeyPatch, mask: str) -> None:
    monkeypatch.setenv("SELLERSCORE_UMASK", mask)
    with pytest.raises(StoreError, match=f"Invalid SELLERSCORE_UMASK '{mask}'. Use three octal digits"):
        keep_private(home)
