"""The master key, which wraps the keys of sellers: its file, and its rotation while services run.

A rotation creates a new key in `ledger-master.next`, wraps every seller's key again, makes the new key the current one,
and wraps again what a service wrapped meanwhile with the former one, which is `ledger-master.previous` until then. A
service that cannot unwrap a key reads the files again. A rotation that was interrupted continues where it stopped.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from sqlalchemy import Engine, bindparam, select, update

from api.errors import LedgerKeyError
from api.kit.database import transaction
from api.kit.files import AccessibleToOthersError, create_private, read_private, sync_folder
from api.ledger.encryption import (
    KEY_BYTES,
    DecryptionError,
    WrappedSellerKey,
    new_key,
    seller_keys,
    unwrap,
    wrap,
)

MASTER: Final = "ledger-master"
"""Name of the file of the current master key, in the folder of keys."""

_NEXT: Final = f"{MASTER}.next"
_PREVIOUS: Final = f"{MASTER}.previous"

LONGEST_TRANSACTION: Final = 20.0
"""Seconds after which no transaction of a service can still commit a key that the former master key wraps."""

_BATCH: Final = 500
_WRAP_AGAIN = (
    update(seller_keys)
    .where(seller_keys.c.seller_id == bindparam("of"), seller_keys.c.wrapped == bindparam("former"))
    .values(wrapped=bindparam("again"))
)


class MasterKeys:
    """The current master key, and during a rotation also the next or previous one.

    Example: `MasterKeys.open(settings.keys_path).unwrap(key)` is the key of a seller.

    Args:
        keys: The current key first.
        folder: Where to read them again; None for keys that never change.
    """

    def __init__(self, keys: tuple[bytes, ...], folder: Path | None = None) -> None:
        self._keys = keys
        self._folder = folder

    @classmethod
    def open(cls, folder: Path) -> MasterKeys:
        """Read the keys of a folder; create the master key if there is none.

        Raises:
            LedgerKeyError: A file cannot be created or read, is accessible to others, or is not a key.
        """
        return cls(_read_all(folder), folder)

    @property
    def current(self) -> bytes:
        """The key that wraps; it is read again, because a rotation may have replaced it."""
        self._read_again()
        return self._keys[0]

    def unwrap(self, key: WrappedSellerKey) -> bytes:
        """Return the key of a seller.

        Raises:
            DecryptionError: It was changed, or wrapped by another master key.
        """
        try:
            return _unwrap_by_any(self._keys, key)
        except DecryptionError:
            return _unwrap_by_any(self._read_again(), key)

    def _read_again(self) -> tuple[bytes, ...]:
        if self._folder is not None:
            self._keys = _read_all(self._folder)
        return self._keys


def rotate_master_key(
    folder: Path, engine: Engine, advance: Callable[[int], None] = lambda _: None, pause: float = LONGEST_TRANSACTION
) -> int:
    """Replace the master key, and return the number of sellers' keys that were wrapped again.

    Args:
        folder: Folder of the keys.
        engine: Engine of the database.
        advance: Called with the number of keys wrapped so far.
        pause: Seconds to wait before the last pass.

    Raises:
        LedgerKeyError: A file cannot be written or read, or a seller's key is wrapped by neither key.
        DatabaseUnavailable: The database does not respond. Run the rotation again, it continues.
    """
    current, following, previous = (folder / name for name in (MASTER, _NEXT, _PREVIOUS))
    done = 0
    try:
        if not previous.exists():
            create_private(following, f"{new_key().hex()}\n".encode("ascii"))
            done = _wrap_all(engine, _read(following), _read(current), advance)
            os.link(current, previous)
        if following.exists():
            following.rename(current)
            sync_folder(folder)
            time.sleep(pause)
        done += _wrap_all(engine, _read(current), _read(previous), lambda more: advance(done + more))
        previous.unlink()
        sync_folder(folder)
    except OSError as error:
        raise LedgerKeyError(f"The keys in {folder} cannot be replaced ({error.strerror}).") from error
    return done


def _wrap_all(engine: Engine, new: bytes, former: bytes, advance: Callable[[int], None]) -> int:
    """Wrap with the new key whatever the former key wraps; return the number of keys."""
    done, after = 0, ""
    query = select(seller_keys.c.seller_id, seller_keys.c.subject, seller_keys.c.wrapped)
    while True:
        with transaction(engine, writes=True) as connection:
            page = query.where(seller_keys.c.seller_id > after).order_by(seller_keys.c.seller_id).limit(_BATCH)
            keys = [WrappedSellerKey(*row) for row in connection.execute(page)]
            changes = [change for key in keys if (change := _wrap_again(key, new, former)) is not None]
            if changes:
                connection.execute(_WRAP_AGAIN, changes)
        if not keys:
            return done
        done, after = done + len(changes), keys[-1].seller_id
        advance(done)


def _wrap_again(key: WrappedSellerKey, new: bytes, former: bytes) -> dict[str, object] | None:
    try:
        plain = unwrap(former, key)
    except DecryptionError:
        try:
            unwrap(new, key)
        except DecryptionError as error:
            raise LedgerKeyError(
                f"Neither the former nor the new master key decrypts the key of the seller with the pseudonym "
                f"{key.subject}. Run `sellerscore ledger verify`, restore this key from a backup, and run the rotation "
                "again. Nothing is lost."
            ) from error
        return None
    return {"of": key.seller_id, "former": key.wrapped, "again": wrap(new, key.seller_id, key.subject, plain)}


def _unwrap_by_any(masters: tuple[bytes, ...], key: WrappedSellerKey) -> bytes:
    for master in masters:
        with suppress(DecryptionError):
            return unwrap(master, key)
    raise DecryptionError


def _read_all(folder: Path) -> tuple[bytes, ...]:
    path = folder / MASTER
    others = [folder / name for name in (_NEXT, _PREVIOUS)]
    if not path.exists() and not any(other.exists() for other in others):
        _create(path)
    existing = [each for each in (path, *others) if each.exists()]
    return tuple(_read(each) for each in existing)


def _create(path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        create_private(path, f"{new_key().hex()}\n".encode("ascii"))
    except OSError as error:
        raise _unusable(path, error) from error


def _read(path: Path) -> bytes:
    try:
        key = bytes.fromhex(read_private(path).strip())
    except AccessibleToOthersError as error:
        raise LedgerKeyError(f"The ledger key {path} {error}") from error
    except OSError as error:
        raise _unusable(path, error) from error
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise LedgerKeyError(f"The file {path} is not a ledger key. Restore it from a backup.")
    return key


def _unusable(path: Path, error: OSError) -> LedgerKeyError:
    return LedgerKeyError(
        f"The ledger key {path} cannot be used ({error.strerror}). Give this user read and write access."
    )
