"""Which public keys a command trusts: those of a file, or the service's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from api.errors import InputError
from api.keyring import KeyRing
from api.settings import Settings


def trusted(settings: Settings, file: Path | None = None) -> dict[str, Any]:
    """Return a JWK set: of the file, such as `/.well-known/jwks.json` served, or of the state folder.

    Raises:
        InputError: the file holds no JWK set, or the state folder no keys.
        KeyRingError: the state folder's keys cannot be used.
    """
    if file is not None:
        return _set_in(file)
    # none are made here: keys made now verify nothing that was signed before
    if not any(settings.receipt_keys_path.glob("*.jwk")):
        raise InputError(
            f"There are no keys in {settings.receipt_keys_path}; give the service's public ones with --jwks, or set "
            "SELLERSCORE_HOME."
        )
    return KeyRing.open(settings.receipt_keys_path).jwks


def _set_in(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_bytes())
        sound = all(isinstance(key[name], str) for key in found["keys"] for name in ("kid", "kty", "crv", "x"))
    except OSError as error:
        raise InputError(f"The keys in {file} cannot be read ({error.strerror}); name another file.") from error
    except (ValueError, TypeError, KeyError, RecursionError):
        sound = False
    if not sound:
        raise InputError(f"The file {file} holds no JWK set; save what /.well-known/jwks.json answers.")
    return {"keys": found["keys"]}
