"""A bank to try the service with: made where there is no client yet, its credentials in a file of its owner's alone.

The file is in the form of netrc, so that curl reads it and no secret stands on a command line. The consent of the
seller who is shown is recorded as the demo's own, and says so on the ledger: no platform brought it.
"""

from __future__ import annotations

import os
import re
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import Engine

from api.auth import clients
from api.auth.clients import CreatedClient
from api.auth.scopes import ClientKind
from api.consents import repository as consents
from api.consents.repository import ConsentState
from api.consents.service import ConsentTerms, grant_consent
from api.errors import AccessError
from api.kit.database import transaction
from api.ledger.store import Ledger
from api.products import repository as products
from api.products.service import replace_products
from scoring import Product
from scoring.bands import Bands

RECORDED_BY: Final = "demo"
"""Who recorded the demo's consent, where a client of the platform would stand."""

_NAME: Final = "Demo bank"
_HOLDS: Final = timedelta(days=90)
_FORM: Final = re.compile(r"default login (\S+) password (\S+)\n")


def demo_bank(path: Path, engine: Engine, now: datetime) -> Path | None:
    """Return the file of the demo bank's credentials, making bank and file where there never was a client.

    None where there is no bank to try with: others were made and no demo bank, or it was revoked.

    Raises:
        AccessError: the file is open to others, holds no credentials or cannot be written.
        DatabaseUnavailable: nothing was made.
    """
    client_id = _read_client(path)
    with transaction(engine) as connection:
        client = clients.find_client(connection, client_id) if client_id else None
        fresh = not clients.any_client(connection)
    if client is not None:
        return None if client.revoked_at else path
    if not fresh:
        return None
    made = clients.create_client(engine, ClientKind.BANK, _NAME, now=now)
    try:
        _write(path, made)
    except OSError as error:
        clients.revoke_client(engine, ClientKind.BANK, made.client.id, now)
        raise AccessError(f"The demo bank's credentials cannot be written to {path} ({error.strerror}).") from error
    return path


def demo_consent(path: Path, engine: Engine, ledger: Ledger, seller_id: str, purpose: str) -> bool:
    """Let the demo bank score a seller where nobody decided on that yet, and tell whether it may.

    One that was revoked is not granted again.

    Raises:
        AccessError: the file of the demo bank cannot be used.
        DatabaseUnavailable: nothing was recorded.
    """
    bank_id, now = _read_client(path), datetime.now(UTC)
    if bank_id is None:
        return False
    with transaction(engine) as connection:
        found = consents.latest_consents(connection, seller_id, bank_id, purpose)
    if found is None or found.state(now) is ConsentState.ENDED:
        with transaction(engine, writes=True) as connection:
            found = grant_consent(connection, ledger, ConsentTerms(seller_id, bank_id, purpose, _HOLDS), RECORDED_BY)
    return found.state(now) is ConsentState.IN_FORCE


def demo_products(path: Path, engine: Engine, bands: Bands) -> None:
    """Give the demo bank two products where it never had one: a line for most, a loan for the best.

    Raises:
        AccessError: the file of the demo bank cannot be used.
        DatabaseUnavailable: nothing was made.
    """
    bank_id = _read_client(path)
    if bank_id is None:
        return
    with transaction(engine, writes=True) as connection:
        if products.last_change(connection, bank_id) is None:
            replace_products(connection, bank_id, _products(bands))


def _products(bands: Bands) -> dict[str, Product]:
    # the worst band of several is offered nothing, the loan is for the better half
    admitted = bands.names[:-1] or bands.names
    best = admitted[: (len(admitted) + 1) // 2]
    line = {band: round(0.08 + 0.03 * place, 2) for place, band in enumerate(admitted)}
    loan = {band: round(0.06 + 0.02 * place, 2) for place, band in enumerate(best)}
    return {
        "growth-loan": Product("Growth loan", "USD", best[-1], 18, frozenset(), 6.0, 20_000, 500_000, loan, 720),
        "working-capital": Product(
            "Working capital line", "USD", admitted[-1], 6, frozenset(), 1.5, 1_000, 100_000, line, 180
        ),
    }


def _read_client(path: Path) -> str | None:
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), encoding="ascii", errors="replace") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            found = _FORM.fullmatch(file.read())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise AccessError(f"The file {path} cannot be read ({error.strerror}); remove it and retry.") from error
    if mode & 0o077:
        raise AccessError(f"The credentials {path} are open to others (mode {mode:04o}); allow their owner alone.")
    if found is None:
        raise AccessError(f"The file {path} holds no credentials; remove it and retry.")
    return found[1]


def _write(path: Path, made: CreatedClient) -> None:
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.unlink(missing_ok=True)
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(f"default login {made.client.id} password {made.secret}\n")
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)
