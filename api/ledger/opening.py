"""How the database and the ledger in it are opened together, by the service and by every command."""

from __future__ import annotations

from sqlalchemy import Engine

from api.database import open_database
from api.ledger.sealing import master_key
from api.ledger.service import MASTER, Ledger
from api.settings import Settings


def open_ledger(settings: Settings) -> tuple[Engine, Ledger]:
    """Open the database at the newest schema, and the ledger under its key.

    Raises:
        DatabaseSetupError: the database cannot be opened or migrated, or is not durable.
        LedgerKeyError: the ledger's key is missing, another, or no secret.
        DatabaseUnavailable: the database does not answer.
    """
    engine = open_database(settings.database_url, lambda: master_key(settings.keys_path / MASTER))
    try:
        return engine, Ledger.open(settings.keys_path, engine)
    except BaseException:
        engine.dispose()
        raise
