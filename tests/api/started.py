"""The state after the first start of a service, prepared once for each set of consents and copied for each test.

A first start migrates the database, creates keys, fetches the champion and creates the demo bank. That takes half a
second and more; a copy takes milliseconds.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from itertools import product
from pathlib import Path

import psycopg
import pytest
from joserfc.jwk import OKPKey
from sqlalchemy.engine import make_url

from api.app import open_services
from api.auth.signing_keys import KeyRing
from api.clients.service import ClientRegister
from api.consents.service import ConsentTerms, grant_consent
from api.kit.database import transaction
from api.kit.fields import Clock, Purpose, utc_now
from api.kit.middleware import RequestMetrics
from api.operations.demo import demo_bank
from api.services import Services
from api.settings import Settings
from tests.api.postgres import FRESH, database_name, replace_database

_SECRETS = ("demo-bank.netrc", "keys")
_MODEL = ("champion.json", "bundles")
"""The files that a start writes to the state folder. The model belongs to one registry."""


def consent(
    services: Services, bank_id: str, *sellers: str, acted: datetime | None = None, clock: Clock = utc_now
) -> list[str]:
    """Grant a bank the consents of sellers for every purpose, and return their IDs."""
    with transaction(services.engine, writes=True) as connection:
        terms = [
            ConsentTerms(seller_id, bank_id, str(purpose), timedelta(days=90), acted)
            for seller_id, purpose in product(sellers, Purpose)
        ]
        return [grant_consent(connection, services.ledger, each, "tests", clock).id for each in terms]


RING = KeyRing((OKPKey.generate_key("Ed25519"),))
"""Receipt keys for entries whose signatures no test verifies."""


def register_of(services: Services) -> ClientRegister:
    return ClientRegister(services.engine, services.receipts)


def demo_credentials(settings: Settings) -> tuple[str, str]:
    """Return the ID and secret in the file of the demo bank."""
    fields = settings.demo_bank_path.read_text().split()
    return fields[2], fields[4]


class Started:
    """State folders after a first start with a demo bank, by kind of database and by sellers with consent."""

    def __init__(self, registry: str, factory: pytest.TempPathFactory) -> None:
        self._registry = registry
        self._factory = factory
        self._prepared: dict[tuple[str, date, tuple[str, ...]], Settings] = {}

    def copy_into(self, settings: Settings, consenting: tuple[str, ...]) -> None:
        """Copy the state of a started service to new settings. Settings that were used are left unchanged."""
        if settings.keys_path.exists() or settings.demo_bank_path.exists() or not _is_new(settings.database_url):
            return
        kind = make_url(settings.database_url).get_backend_name()
        # by day, because consents expire and some tests run on another day
        prepared = self._prepared.get((kind, _day(), consenting)) or self._prepare(settings, kind, consenting)
        for name in _SECRETS + (_MODEL if settings.mlflow_uri == self._registry else ()):
            source = prepared.home / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, settings.home / name)
        _copy_database(prepared.database_url, settings.database_url)

    def _prepare(self, settings: Settings, kind: str, consenting: tuple[str, ...]) -> Settings:
        home = self._factory.mktemp("started") / "home"
        home.mkdir(mode=0o700)
        url = f"sqlite:///{home}/sellerscore.db"
        if kind == "postgresql":
            url = _another_database(settings.database_url, f"started_{len(self._prepared)}")
        made = settings.model_copy(update={"home": home, "database_url": url, "mlflow_uri": self._registry})
        with open_services(made, RequestMetrics()) as services:
            demo_bank(made.demo_bank_path, register_of(services), services.auth.secrets, datetime.now(UTC))
            consent(services, demo_credentials(made)[0], *consenting)
        self._prepared[kind, _day(), consenting] = made
        return made


def _day() -> date:
    return datetime.now(UTC).date()


def _is_new(url: str) -> bool:
    """Return whether a database was created for one test and has no clients."""
    query = "SELECT count(*) FROM clients"
    if not url.startswith("sqlite"):
        if not database_name(url).startswith(FRESH):
            return False
        with psycopg.connect(url) as server:
            (migrated,) = server.execute("SELECT to_regclass('clients') IS NOT NULL").fetchone() or (False,)
            return not migrated or server.execute(query).fetchone() == (0,)
    file = Path(str(make_url(url).database))
    if not file.exists():
        return True
    with closing(sqlite3.connect(file)) as connection:
        (migrated,) = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'clients'").fetchone()
        return not migrated or connection.execute(query).fetchone() == (0,)


def _another_database(address: str, name: str) -> str:
    """Create an empty database on the same server, and return its address."""
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return address.replace(f"/{database_name(address)}?", f"/{name}?")


def _copy_database(prepared: str, url: str) -> None:
    if prepared.startswith("sqlite"):
        file = Path(str(make_url(url).database))
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(str(make_url(prepared).database), file)
    else:
        replace_database(url, database_name(prepared))
