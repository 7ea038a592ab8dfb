"""Run the application on uvicorn: take the address first, then open everything, then say where it listens."""

from __future__ import annotations

import asyncio
import json
import logging
import shlex
import signal
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import uvicorn
from fastapi import FastAPI

from api.app import create_app
from api.auth.sessions import UserKind, login_url
from api.auth.tokens import TOKEN_PATH
from api.errors import AddressTakenError
from api.kit.fields import Purpose
from api.operations.demo import RECORDED_BY, demo_bank, demo_consent, demo_products
from api.scores.inputs import example_vector
from api.services import Services
from api.settings import Settings
from features.errors import StoreError
from scoring import ScoringError

_GRACE_SECONDS = 10
_PURPOSE = str(Purpose.CREDIT_APPLICATION)


def run(settings: Settings, say: Callable[[str], None]) -> None:
    """Serve until interrupted; `say` gets the lines that tell where, and a curl that works as printed.

    Raises:
        AddressTakenError: the address is not free.
        StartError: a part cannot be opened.
        ScoringError: the champion's bundle does not verify.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    # uvicorn stops serving and then raises what it was sent once more, which would end the process before it closes
    signal.signal(signal.SIGTERM, _leave)
    with _listen(settings.host, settings.port) as listener:
        # with port 0 the address is known only now, and tokens name it
        settings = settings.model_copy(update={"public_url": settings.public_url or _address(listener)})
        config = _config(create_app(settings))
        # uvicorn's own choice, which only its own start would take
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(_serve(config, listener, say))


def _leave(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def curl_of(credentials: str, address: str, seller_id: str) -> str:
    """Return the shell command that gets a token, with the credentials in a netrc file, and scores a seller with it.

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


def _config(app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        lifespan="off",
        access_log=False,
        log_config=None,
        log_level=logging.WARNING,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )


async def _serve(config: uvicorn.Config, listener: socket.socket, say: Callable[[str], None]) -> None:
    app: Any = config.app
    # the lifespan runs here and not in uvicorn, which would answer its failure with a traceback
    async with app.router.lifespan_context(app):
        address = _address(listener)
        say(f"SellerScore listens on {address} (OpenAPI: {address}/openapi.json). Stop it with Ctrl+C.")
        say(_how_to_call(app.state.services, address))
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, app.state.reloader.wake)
        await uvicorn.Server(config).serve(sockets=[listener])


def _how_to_call(services: Services, address: str) -> str:
    try:
        example = example_vector(services.vectors, services.champion.bundle, datetime.now(UTC).date())
    except (StoreError, ScoringError) as error:
        return f"It cannot score yet: {error}"
    if example is None:
        return "It cannot score yet: the latest snapshot holds no seller; run `sellerscore ingest` with some."
    settings = services.settings
    found = demo_bank(settings.demo_bank_path, services.engine, datetime.now(UTC)) if settings.demo_bank else None
    if found is None:
        return 'Call it as one of your banks; `sellerscore bank create "Example name"` makes one.'
    demo_products(found, services.engine, services.champion.bundle.policy.bands)
    if not demo_consent(found, services.engine, services.ledger, example.seller_id, _PURPOSE):
        return "The demo bank may score no seller: the consent was revoked; `POST /v1/consents` grants another."
    curl = curl_of(str(found), address, example.seller_id)
    page = login_url(services.engine, UserKind.SELLER, example.seller_id, address, by=RECORDED_BY)
    return f"Score a seller, as the demo bank:\n  {curl}\nLook at that seller's pages (the link works once):\n  {page}"


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # named as TCP, since asyncio asks for that before it sends small packets at once: without it the body of an answer
    # waits for the far side's delayed acknowledgement of its head, some 40 ms
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # a service that was just stopped leaves its address in TIME_WAIT
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
    except OSError as error:
        listener.close()
        reason = error.strerror or str(error)
        raise AddressTakenError(f"Cannot listen on {host}:{port} ({reason}); stop what does, or use --port.") from error
    return listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{shown}:{port}"
