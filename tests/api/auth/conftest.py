"""A running service with clients of each kind, made once a module, since starting takes longer than asking."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from api.app import create_app
from api.auth import clients
from api.auth.scopes import ClientKind
from api.services import Services
from api.settings import Settings
from tests.api.conftest import fill, migrated_database

if TYPE_CHECKING:
    from httpx import Response
    from starlette.testclient import TestClient

FORM = {"grant_type": "client_credentials"}


@dataclass(frozen=True)
class Known:
    """A client with its secret."""

    id: str
    secret: str
    kind: ClientKind


@dataclass(frozen=True)
class Running:
    """The service, and ways to ask it."""

    client: TestClient

    @property
    def services(self) -> Services:
        found: Services = self.client.app.state.services
        return found

    def new(self, kind: ClientKind = ClientKind.BANK, name: str = "A client") -> Known:
        made = clients.create_client(self.services.engine, kind, name, now=datetime.now(UTC))
        assert made.secret is not None
        return Known(made.client.id, made.secret, kind)

    def revoke(self, known: Known) -> None:
        clients.revoke_client(self.services.engine, known.kind, known.id, datetime.now(UTC))

    def asked(self, known: Known, **form: str) -> Response:
        return self.client.post("/oauth/token", data={**FORM, **form}, auth=(known.id, known.secret))

    def token(self, known: Known, **form: str) -> str:
        answer = self.asked(known, **form)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])


@pytest.fixture(scope="module")
def start(registry: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Running]]:
    """Start services with some settings; all end with the module."""
    from contextlib import ExitStack

    from starlette.testclient import TestClient

    with ExitStack() as stack:

        def started(**given: object) -> Running:
            home = tmp_path_factory.mktemp("home")
            home.chmod(0o700)
            fill(home)
            settings = Settings(home=home, MLFLOW_TRACKING_URI=registry, **given)
            client = TestClient(create_app(settings), raise_server_exceptions=False)
            return Running(stack.enter_context(client))

        yield started


@pytest.fixture(scope="module")
def running(
    request: pytest.FixtureRequest,
    dialect: str,
    start: Callable[..., Running],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Running]:
    """A service that no number of failures makes refuse."""
    with migrated_database(request, dialect, tmp_path_factory.mktemp("database")) as address:
        yield start(failed_logins=1_000_000, database_url=address)
