"""A running service with clients of each kind, started once per module, because a start takes longer than the calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from api.app import create_app
from api.auth.scopes import ClientKind
from api.services import Services
from api.settings import Settings
from tests.api.conftest import fill, migrated_database
from tests.api.started import register_of

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
    """The service, and the calls that tests of authentication repeat."""

    client: TestClient

    @property
    def services(self) -> Services:
        services: Services = self.client.app.state.services
        return services

    def new(self, kind: ClientKind = ClientKind.BANK, name: str = "A client") -> Known:
        created = register_of(self.services).create(
            kind, name, credential=self.services.auth.secrets.new(), now=datetime.now(UTC)
        )
        assert created.secret is not None
        return Known(created.client.id, created.secret, kind)

    def revoke(self, known: Known) -> None:
        register_of(self.services).revoke(known.kind, known.id, datetime.now(UTC))

    def request_token(self, known: Known, **form: str) -> Response:
        return self.client.post("/oauth/token", data={**FORM, **form}, auth=(known.id, known.secret))

    def token(self, known: Known, **form: str) -> str:
        response = self.request_token(known, **form)
        assert response.status_code == 200, response.text
        return str(response.json()["access_token"])


@pytest.fixture(scope="module")
def start(registry: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Running]]:
    """Start services with some settings; all end with the module."""
    from starlette.testclient import TestClient

    with ExitStack() as stack:

        def started(**options: object) -> Running:
            home = tmp_path_factory.mktemp("home")
            home.chmod(0o700)
            fill(home)
            settings = Settings(home=home, MLFLOW_TRACKING_URI=registry, **options)
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
    """A service that never rejects a client for failed authentications."""
    with migrated_database(request, dialect, tmp_path_factory.mktemp("database")) as address:
        yield start(failed_logins=1_000_000, database_url=address)
