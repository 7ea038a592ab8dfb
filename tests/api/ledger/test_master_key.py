"""Rotation of the master key: every key is wrapped again, at any interruption and while a service runs."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from api.errors import LedgerKeyError
from api.kit.idempotency import open_idempotency_keys
from api.ledger import master_key
from api.ledger.encryption import DecryptionError
from api.ledger.master_key import MASTER, MasterKeys, rotate_master_key
from api.ledger.store import Ledger
from tests.api.ledger.conftest import CHAINS, OpenLedger


def test_concurrent_starts_share_one_private_master_key(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: MasterKeys.open(folder).current, range(16)))
    assert keys == {MasterKeys.open(folder).current}
    assert [file.name for file in folder.iterdir()] == [MASTER]
    assert (folder.stat().st_mode & 0o777, (folder / MASTER).stat().st_mode & 0o777) == (0o700, 0o600)


@pytest.mark.parametrize("content", ["", "00", "x" * 64, "00" * 31, "00" * 33])
def test_a_file_that_is_no_key_is_rejected_and_stays(tmp_path: Path, content: str) -> None:
    path = tmp_path / MASTER
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(LedgerKeyError, match="is not a ledger key"):
        MasterKeys.open(tmp_path)
    assert path.read_text() == content


def test_a_key_that_others_can_read_and_a_path_that_is_no_file_are_rejected(tmp_path: Path) -> None:
    real = tmp_path / "real"
    MasterKeys.open(real)
    linked, nested = tmp_path / "linked", tmp_path / "nested"
    linked.mkdir()
    (linked / MASTER).symlink_to(real / MASTER)
    (nested / MASTER).mkdir(parents=True)
    for folder in (linked, nested, real / MASTER):
        with pytest.raises(LedgerKeyError, match="cannot be used"):
            MasterKeys.open(folder)
    (real / MASTER).chmod(0o604)
    with pytest.raises(LedgerKeyError, match=r"accessible to other users \(mode 0604\)"):
        MasterKeys.open(real)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def opened(empty: OpenLedger, folder: Path) -> OpenLedger:
    """A ledger under a master key in a folder, as a running service has it: with rows of five sellers."""
    running = OpenLedger(empty.engine, Ledger(MasterKeys.open(folder)))
    for number in range(5):
        running.append(CHAINS[0], f"S-{number}")
    return running


def files(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if not path.name.startswith(".")]


def rotate(opened: OpenLedger, folder: Path) -> int:
    return rotate_master_key(folder, opened.engine, pause=0.0)


@pytest.mark.databases
def test_all_keys_are_wrapped_again_and_the_former_master_key_opens_none(opened: OpenLedger, folder: Path) -> None:
    former = MasterKeys(((bytes.fromhex((folder / MASTER).read_text())),))
    assert rotate(opened, folder) == 5
    assert files(folder) == [MASTER]
    assert OpenLedger(opened.engine, Ledger(MasterKeys.open(folder))).verify().faults == ()
    report = OpenLedger(opened.engine, Ledger(former)).verify()
    assert {fault.what for fault in report.faults} == {"the key of the seller was changed"}
    assert len(report.faults) == 5
    assert opened.verify().faults == (), "a running service reads the new key by itself"
    opened.append(CHAINS[0], "S-new")
    assert OpenLedger(opened.engine, Ledger(MasterKeys.open(folder))).verify().faults == ()


@pytest.mark.databases
@pytest.mark.parametrize("call", range(8))
def test_an_interrupted_rotation_continues(
    opened: OpenLedger, folder: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    """It is killed before each change of a file and each page of keys, while a service adds a seller."""
    monkeypatch.setattr(master_key, "_BATCH", 3)
    calls = 0

    def killed(work: Callable[..., object]) -> Callable[..., object]:
        def run(*given: object, **named: object) -> object:
            nonlocal calls
            calls += 1
            if calls == call + 1:
                opened.append(CHAINS[0], "S-late")
                raise KeyboardInterrupt
            return work(*given, **named)

        return run

    with monkeypatch.context() as patch:
        patch.setattr(master_key, "create_private", killed(master_key.create_private))
        patch.setattr(master_key, "transaction", killed(master_key.transaction))
        patch.setattr(master_key.os, "link", killed(master_key.os.link))
        patch.setattr(Path, "rename", killed(Path.rename))
        patch.setattr(Path, "unlink", killed(Path.unlink))
        try:
            rotate(opened, folder)
        except KeyboardInterrupt:
            patch.undo()
            assert opened.verify().faults == (), "the service works in between"
            rotate(opened, folder)
    assert files(folder) == [MASTER]
    assert OpenLedger(opened.engine, Ledger(MasterKeys.open(folder))).verify().faults == ()


@pytest.mark.databases
def test_a_key_that_neither_master_key_opens_stops_the_rotation_and_is_named(opened: OpenLedger, folder: Path) -> None:
    with opened.engine.begin() as connection:
        connection.execute(text("UPDATE seller_keys SET subject = 'other' WHERE seller_id = 'S-3'"))
    for _ in range(2):
        with pytest.raises(
            LedgerKeyError,
            match="Neither the former nor the new master key decrypts the key of the seller with the pseudonym other",
        ):
            rotate(opened, folder)
    with opened.engine.begin() as connection:
        connection.execute(text("DELETE FROM seller_keys WHERE seller_id = 'S-3'"))
    rotate(opened, folder)
    assert files(folder) == [MASTER]


def test_the_names_of_idempotency_keys_outlive_the_master_key(opened: OpenLedger, folder: Path) -> None:
    def name() -> str:
        keys = open_idempotency_keys(folder, MasterKeys.open(folder).current, kept_for=None)  # type: ignore[arg-type]
        return keys.key_for("bank-1", "order 17", ("createScore", b"{}")).name

    before = name()
    rotate(opened, folder)
    assert name() == before


def test_a_wrong_master_key_opens_nothing(opened: OpenLedger) -> None:
    with opened.engine.connect() as connection:
        other = Ledger(MasterKeys((bytes(32),)))
        with pytest.raises(DecryptionError):
            other.sellers(connection, ["S-1"])
