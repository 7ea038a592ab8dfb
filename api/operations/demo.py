"""The demo bank: created if there is no client yet, with credentials in a private file, products and a consent.

The file has the netrc format, so that curl reads it and no secret is on a command line. The consent is recorded on the
ledger as `demo`, because it does not come from a platform.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import Engine

from api.auth import clients
from api.auth.credentials import ClientSecrets, is_outdated, secret_name
from api.auth.scopes import ClientKind
from api.auth.signing_keys import KeyRing
from api.clients.service import ClientRegister, CreatedClient
from api.consents import repository as consents
from api.consents.repository import ConsentState
from api.consents.service import ConsentTerms, grant_consent
from api.errors import AccessError
from api.kit.database import transaction
from api.kit.files import AccessibleToOthersError, read_private, write_atomically
from api.ledger.store import Ledger
from api.products import repository as products
from api.products.service import replace_products
from scoring import Product
from scoring.bands import Bands

RECORDED_BY: Final = "demo"
"""The recorder of the demo consent, instead of a client of the platform."""

_NAME: Final = "Demo bank"
_DURATION: Final = timedelta(days=90)
_FORM: Final = re.compile(r"default login (\S+) password (\S+)\n")


def demo_bank(path: Path, register: ClientRegister, secrets: ClientSecrets, now: datetime) -> Path | None:
    """Return the credentials file of the demo bank. Create both if no client was ever created.

    A secret of a former version, which is no longer valid, is replaced.

    Return None if there is no usable demo bank: other clients were created first, or it was revoked.

    Raises:
        AccessError: The file is accessible to others, has no credentials, or cannot be written.
        DatabaseUnavailable: Nothing was created.
    """
    client_id, secret = _read_credentials(path) or ("", "")
    with transaction(register.engine) as connection:
        client = clients.find_client(connection, client_id)
        stored = clients.find_secret_hash(connection, client_id, secret_name(secret) or "", now)
        is_new = not clients.any_client(connection)
    if client is not None:
        if client.revoked_at is None and is_outdated(stored):
            renewed = register.rotate(
                ClientKind.BANK, client_id, credential=secrets.new(), overlap=timedelta(), now=now
            )
            _write_credentials(path, register, renewed, now)
        return None if client.revoked_at else path
    if not is_new:
        return None
    # first without a client, so that none is created if the file cannot be written
    _write_file(path, "nobody", "none")
    created = register.create(ClientKind.BANK, _NAME, credential=secrets.new(), now=now)
    _write_credentials(path, register, created, now)
    return path


def _write_credentials(path: Path, register: ClientRegister, created: CreatedClient, now: datetime) -> None:
    try:
        _write_file(path, created.client.id, created.secret)
    except AccessError:
        register.revoke(ClientKind.BANK, created.client.id, now)
        raise


def _write_file(path: Path, client_id: str, secret: str | None) -> None:
    try:
        write_atomically(path, f"default login {client_id} password {secret}\n".encode("ascii"), private=True)
    except OSError as error:
        raise AccessError(
            f"The credentials of the demo bank cannot be written to {path} ({error.strerror}). Allow this user to "
            "write there, then start the service again."
        ) from error


def demo_consent(path: Path, engine: Engine, ledger: Ledger, seller_id: str, purpose: str) -> bool:
    """Record a consent for the demo bank unless one was revoked, and return whether one is active.

    Raises:
        AccessError: The credentials file cannot be used.
        DatabaseUnavailable: Nothing was recorded.
    """
    credentials, now = _read_credentials(path), datetime.now(UTC)
    if credentials is None:
        return False
    bank_id = credentials[0]
    with transaction(engine) as connection:
        consent = consents.latest_consents(connection, seller_id, bank_id, purpose)
    if consent is None or consent.state(now) is ConsentState.ENDED:
        with transaction(engine, writes=True) as connection:
            consent = grant_consent(
                connection, ledger, ConsentTerms(seller_id, bank_id, purpose, _DURATION), RECORDED_BY
            )
    return consent.state(now) is ConsentState.IN_FORCE


def demo_products(path: Path, engine: Engine, ring: KeyRing, bands: Bands) -> None:
    """Create two products for the demo bank if it never had any: a credit line for most sellers, a loan for the best.

    Raises:
        AccessError: The credentials file cannot be used.
        DatabaseUnavailable: Nothing was created.
    """
    credentials = _read_credentials(path)
    if credentials is None:
        return
    bank_id = credentials[0]
    with transaction(engine, writes=True) as connection:
        if products.last_change(connection, bank_id) is None:
            replace_products(connection, ring, bank_id, _products(bands))


def _products(bands: Bands) -> dict[str, Product]:
    # no product for the worst band; the loan is for the better half of the others
    admitted = bands.names[:-1] or bands.names
    best = admitted[: (len(admitted) + 1) // 2]
    line = {band: round(0.08 + 0.03 * index, 2) for index, band in enumerate(admitted)}
    loan = {band: round(0.06 + 0.02 * index, 2) for index, band in enumerate(best)}
    return {
        "growth-loan": Product("Growth loan", "USD", best[-1], 18, frozenset(), 6.0, 20_000, 500_000, loan, 720),
        "working-capital": Product(
            "Working capital line", "USD", admitted[-1], 6, frozenset(), 1.5, 1_000, 100_000, line, 180
        ),
    }


def _read_credentials(path: Path) -> tuple[str, str] | None:
    try:
        match = _FORM.fullmatch(read_private(path))
    except FileNotFoundError:
        return None
    except AccessibleToOthersError as error:
        raise AccessError(f"The credentials file {path} {error}") from error
    except OSError as error:
        raise AccessError(f"The file {path} cannot be read ({error.strerror}). Delete it and retry.") from error
    if match is None:
        raise AccessError(f"The file {path} does not contain credentials. Delete it and retry.")
    return match[1], match[2]
