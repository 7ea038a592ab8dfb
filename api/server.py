"""Runs the application on uvicorn, and prints its address and an example call."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shlex
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from api.app import create_app
from api.auth.sessions import UserKind
from api.auth.tokens import TOKEN_PATH
from api.clients.service import ClientRegister
from api.errors import AddressTakenError, ApiError, StartError
from api.kit.clock_watch import watch
from api.kit.connections import LimitedServer, connection_class
from api.kit.fields import Purpose
from api.kit.middleware import COUNTS_FOLDER
from api.kit.workers import Workers
from api.operations.demo import RECORDED_BY, demo_bank, demo_consent, demo_products
from api.scores.inputs import example_vector
from api.services import Services
from api.settings import Settings
from features.errors import FeaturesError, StoreError
from scoring import ScoringError

logger = logging.getLogger(__name__)

_GRACE_SECONDS = 10
"""Time for requests to end when the service stops."""

_CLOSE_SECONDS = 10
"""Time for background tasks and databases to close after that."""

_PURPOSE = str(Purpose.CREDIT_APPLICATION)


def run(settings: Settings, echo: Callable[[str], None]) -> None:
    """Serve until interrupted, in this process or in several worker processes.

    `echo` prints the address and a curl command that works as printed.

    Raises:
        AddressTakenError: The address is not available.
        StartError: A service cannot be opened.
        ScoringError: The bundle of the champion does not verify.
    """
    _prepare_process(settings)
    with _listen(settings.host, settings.port) as listener:
        # with port 0 the address is known only now, and tokens contain it
        settings = settings.model_copy(update={"public_url": settings.public_url or _address(listener)})
        if settings.workers == 1:
            _run_server(settings, listener, echo)
            return
        if settings.database_url.startswith("sqlite"):
            logger.warning(
                "SQLite has one writer: %d workers are no faster than one. Use PostgreSQL.", settings.workers
            )
        with _shared_counts():
            Workers(settings.workers, _work, (settings, listener)).run(echo, _GRACE_SECONDS + _CLOSE_SECONDS)


@contextmanager
def _shared_counts() -> Iterator[None]:
    """Let processes that start in the block count requests in files, so that each can return the sum of all."""
    with tempfile.TemporaryDirectory(prefix="sellerscore-metrics-") as folder:
        os.environ[COUNTS_FOLDER] = folder
        try:
            yield
        finally:
            del os.environ[COUNTS_FOLDER]


def _prepare_process(settings: Settings) -> None:
    process = "" if settings.workers == 1 else "[%(process)d] "
    logging.basicConfig(level=logging.INFO, format=f"%(asctime)s {process}%(levelname)s %(name)s %(message)s")
    # uvicorn raises the signal again after it has stopped, which would end the process before it closes
    signal.signal(signal.SIGTERM, _exit)


def _work(settings: Settings, listener: socket.socket, report: Connection | None) -> None:
    """Serve in a worker process. The first one has a `report` and prepares the example call."""
    _prepare_process(settings)
    try:
        _run_server(settings, listener, None if report is None else report.send)
    except (ApiError, FeaturesError, ScoringError, OSError) as error:
        if report is None:
            logger.error("a worker process cannot start: %s", error)
            sys.exit(1)
        report.send(StartError(str(error)))


def _run_server(settings: Settings, listener: socket.socket, echo: Callable[[str], None] | None) -> None:
    config = server_config(create_app(settings), settings)
    # the loop of uvicorn's own start, which is not used here
    with watch.running(), asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_serve(config, listener, echo))


def server_config(app: ASGIApp, settings: Settings) -> uvicorn.Config:
    """Return the configuration of the server: limits of connections, trusted proxies, and no log of its own."""
    return uvicorn.Config(
        app,
        http=connection_class(settings.max_connections),
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        log_level=logging.WARNING,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        # otherwise uvicorn would believe each program on this host
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
    )


def _exit(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def curl_of(credentials: str, address: str, seller_id: str) -> str:
    """Return a shell command that gets a token with the credentials in a netrc file, and scores a seller.

    Example: `curl -sS http://127.0.0.1:8000/v1/scores -H "Authorization: Bearer $(curl -sS --netrc-file ...)" ...`.
    """
    token = (
        f"curl -sS --netrc-file {shlex.quote(credentials)} {address}{TOKEN_PATH} -d grant_type=client_credentials "
        """| sed -E 's/.*"access_token":"([^"]+)".*/\\1/'"""
    )
    body = shlex.quote(json.dumps({"seller_id": seller_id, "purpose": _PURPOSE}, ensure_ascii=False))
    return (
        f'curl -sS {address}/v1/scores -H "Authorization: Bearer $({token})" '
        f"-H 'Content-Type: application/json' -d {body}"
    )


async def _serve(config: uvicorn.Config, listener: socket.socket, echo: Callable[[str], None] | None) -> None:
    app: Any = config.app
    # the lifespan runs here, because uvicorn would print a traceback if it fails
    async with app.router.lifespan_context(app):
        if echo is not None:
            address = _address(listener)
            listens = f"SellerScore listens on {address} (API reference: {address}/docs). Stop it with Ctrl+C."
            echo(f"{listens}\n{_example_call(app.state.services, address)}")
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, app.state.reloader.wake)
        # blocked in a worker process until now
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        logger.info("ready to serve")
        await LimitedServer(config).serve(sockets=[listener])


def _example_call(services: Services, address: str) -> str:
    try:
        example = example_vector(services.vectors, services.champion.bundle, datetime.now(UTC).date())
    except (StoreError, ScoringError) as error:
        return f"The service cannot score yet: {error}"
    if example is None:
        return "The service cannot score yet: the latest snapshot has no sellers. Run `sellerscore ingest`."
    settings = services.settings
    credentials = None
    if settings.demo_bank:
        secrets, now = services.auth.secrets, datetime.now(UTC)
        register = ClientRegister(services.engine, services.receipts)
        credentials = demo_bank(settings.demo_bank_path, register, secrets, now)
    if credentials is None:
        return 'Call it as one of your banks. Create one with `sellerscore bank create "Example name"`.'
    demo_products(credentials, services.engine, services.receipts, services.champion.bundle.policy.bands)
    if not demo_consent(credentials, services.engine, services.ledger, example.seller_id, _PURPOSE):
        return (
            "The demo bank cannot score a seller: the consent was revoked. Record a new one with `POST /v1/consents`."
        )
    curl = curl_of(str(credentials), address, example.seller_id)
    page = services.auth.sessions.login_url(UserKind.SELLER, example.seller_id, address, by=RECORDED_BY)
    return (
        f"Score a seller, as the demo bank:\n  {curl}\nOpen the pages of that seller (the link works once):\n  {page}"
    )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # with the protocol TCP, which asyncio needs to disable Nagle's algorithm: otherwise the body of a response waits
    # about 40 ms for the delayed acknowledgement of its headers
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # the address of a stopped service stays in TIME_WAIT
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
    except OSError as error:
        listener.close()
        reason = error.strerror or str(error)
        raise AddressTakenError(
            f"Cannot listen on {host}:{port} ({reason}). Stop the other program, or use --port."
        ) from error
    return listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{shown}:{port}"
