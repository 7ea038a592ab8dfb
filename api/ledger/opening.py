"""How the database and the ledger in it are opened together, by the service and by every command."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.engine import make_url

from api.database import open_database
from api.errors import DatabaseSetupError
from api.ledger.service import Ledger
from api.settings import Settings


def require_there(database_url: str) -> None:
    """Refuse a file that is not there: a ledger that was just made would be said to be whole.

    Raises:
        DatabaseSetupError: there is no such file.
    """
    url = make_url(database_url)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        raise DatabaseSetupError(
            "There is no database where the settings say; set SELLERSCORE_HOME or SELLERSCORE_DATABASE_URL to those of "
            "the service."
        )


def open_ledger(settings: Settings) -> tuple[Engine, Ledger]:
    """Open the database at the newest schema, and the ledger under its key.

    Raises:
        DatabaseSetupError: the database cannot be opened or migrated, or is not durable.
        LedgerKeyError: the ledger's key is missing, another, or no secret.
        DatabaseUnavailable: the database does not answer.
    """
    engine = open_database(settings.database_url)
    try:
        return engine, Ledger.open(settings.keys_path, engine)
    except BaseException:
        engine.dispose()
        raise
