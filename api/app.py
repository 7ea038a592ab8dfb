"""The composition root: builds the application from settings, and opens its services at start."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, closing, contextmanager, nullcontext
from datetime import timedelta
from importlib.metadata import version
from typing import Final

from fastapi import FastAPI

from api.auth.endpoints import keys_router, sessions_router, token_router
from api.auth.oidc import open_logins
from api.auth.shared_limits import SharedLimits
from api.auth.token_request import install_token_errors
from api.auth.tokens import open_auth
from api.clients.records import LedgerClients
from api.consents.endpoints import requests_router
from api.consents.endpoints import router as consents_router
from api.kit import openapi
from api.kit.background import DegradedConditions, RepeatingTask
from api.kit.batching import RequestBatcher
from api.kit.idempotency import open_idempotency_keys
from api.kit.middleware import BodyChecks, RequestContext, RequestMetrics
from api.kit.problems import install_handlers
from api.kit.write_check import WriteCheck
from api.ledger.checkpoints import CheckpointSender, SentCheckpoints
from api.ledger.local_checkpoints import LocalCheckpoints
from api.ledger.store import open_ledger
from api.models.endpoints import router as model_router
from api.models.registry import load_challenger, load_champion
from api.operations.health import router as health_router
from api.operations.metrics import router as metrics_router
from api.operations.model_reloader import run_reloader
from api.products.endpoints import router as products_router
from api.reviews.endpoints import router as reviews_router
from api.scores.endpoints import create_router, replay_router
from api.scores.endpoints import router as scores_router
from api.scores.shadow import ShadowScorer
from api.sellers.endpoints import router as sellers_router
from api.services import Services
from api.settings import Settings
from api.web import (
    consent_pages,
    documents,
    error_pages,
    login,
    reference,
    report,
    review_pages,
    score_pages,
    seller_data,
)
from api.web.routing import PageRouter
from features.store.vectors import VectorStore

_ROUTERS: Final = (
    create_router,
    scores_router,
    report.router,
    replay_router,
    model_router,
    products_router,
    sellers_router,
    documents.router,
    consents_router,
    requests_router,
    sessions_router,
    reviews_router,
    keys_router,
    token_router,
    health_router,
    metrics_router,
    reference.router,
)
"""In the order of the OpenAPI document."""

_PAGES: Final = (
    score_pages.router,
    consent_pages.router,
    review_pages.seller_router,
    login.session_router,
    seller_data.download_router,
    login.router,
    review_pages.operator_router,
)

_DESCRIPTION: Final = """\
A credit score for online sellers, from their orders, refunds and traffic.

Get a token at `POST /oauth/token` with the credentials that `sellerscore bank create` prints, and send it with every
call. The `RateLimit` headers state how many calls remain.

A bank needs the consent of a seller to score them. The platform records consents; `POST /v1/consent-requests` requests
one.

The platform logs sellers in to their pages: `POST /v1/seller-sessions` returns a link that works once. Sellers can
request reviews there, which operators decide at `/v1/reviews`.

Every score is explained: `base_points` and the points of all contributions sum exactly to the score.
Every score has a row in the ledger of its bank and a receipt, which the keys at `/.well-known/jwks.json` verify.
Errors are problem details (RFC 9457) with a stable `type`.
Every response has an `X-Request-Id`; it is yours if you send one.
"""


def create_app(settings: Settings) -> FastAPI:
    """Build the application. Its services open at startup and close at shutdown.

    Example: `uvicorn.run(create_app(load_settings()))`.
    """
    metrics = RequestMetrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with open_services(settings, metrics) as services:
            app.state.services = services
            shared_limits = SharedLimits(services.engine, services.auth.limits)
            with (
                closing(RepeatingTask("rate limits", shared_limits.exchange)),
                run_reloader(app.state) as app.state.reloader,
                _save_checkpoints(app),
                _send_checkpoints(app),
            ):
                yield

    app = FastAPI(
        title="SellerScore",
        version=version("sellerscore"),
        description=_DESCRIPTION,
        contact={"name": "The operator of this service, who issued your credentials"},
        servers=[{"url": settings.issuer, "description": "This service."}],
        openapi_tags=openapi.TAGS,
        lifespan=lifespan,
        redirect_slashes=False,
        # the framework's pages load scripts from another host; `web.reference` serves `/docs` and the document
        docs_url=None,
        openapi_url=None,
        redoc_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    # one flat list of routes: nested routers would search for the route twice
    app.include_router(
        PageRouter(include_in_schema=False, routes=[route for router in _PAGES for route in router.routes])
    )
    for router in _ROUTERS:
        app.include_router(router)
    app.add_middleware(BodyChecks, render_error=error_pages.error_response)
    app.add_middleware(RequestContext, metrics=metrics)
    install_handlers(app, error_pages.error_response)
    install_token_errors(app)
    openapi.extend_document(app)
    return app


@contextmanager
def open_services(settings: Settings, metrics: RequestMetrics) -> Iterator[Services]:
    """Open all services, and close them at the end of the block.

    Loading a model verifies its bundle and compiles its explanations, so the first request is as fast as any.

    Raises:
        StartError: A key, the model or the database cannot be used.
        ScoringError: The bundle of the champion does not verify.
    """
    champion, challenger = load_champion(settings), load_challenger(settings)
    engine, ledger = open_ledger(settings)
    shadow = None
    # a promoted challenger would score every request twice
    if challenger is not None and challenger.bundle.digest != champion.bundle.digest:
        shadow = ShadowScorer(challenger, engine)
    batcher, write_check = RequestBatcher(), WriteCheck(engine)
    try:
        yield Services(
            settings=settings,
            champion=champion,
            shadow=shadow,
            vectors=VectorStore(settings.vectors_path),
            engine=engine,
            auth=open_auth(settings, engine, batcher, LedgerClients),
            ledger=ledger,
            batcher=batcher,
            idempotency=open_idempotency_keys(
                settings.keys_path, ledger.master.current, timedelta(days=settings.idempotency_days)
            ),
            write_check=write_check,
            degraded=(degraded := DegradedConditions()),
            metrics=metrics,
            sent_checkpoints=SentCheckpoints(),
            oidc=open_logins(settings, degraded),
        )
    finally:
        batcher.close()
        write_check.close()
        if shadow is not None:
            shadow.close()
        engine.dispose()


@contextmanager
def _save_checkpoints(app: FastAPI) -> Iterator[None]:
    """Write checkpoints to the state folder in the background during the block, and a last one after it."""
    services: Services = app.state.services
    checkpoints = LocalCheckpoints(
        services.settings.checkpoints_path,
        services.engine,
        # the keys may be replaced while the service runs
        keys=lambda: app.state.services.receipts,
        degraded=services.degraded,
    )
    checkpoints.keep_conflict()
    with closing(RepeatingTask("local checkpoints", checkpoints.save)):
        yield
    checkpoints.save()


def _send_checkpoints(app: FastAPI) -> AbstractContextManager[object]:
    """Send checkpoints in the background during the block, if the settings have an address."""
    services: Services = app.state.services
    if services.settings.checkpoint_url is None:
        return nullcontext()
    sender = CheckpointSender(
        services.engine,
        services.settings.checkpoint_url,
        minutes=services.settings.checkpoint_minutes,
        # the keys may be replaced while the service runs
        keys=lambda: app.state.services.receipts,
        degraded=services.degraded,
        sent=services.sent_checkpoints,
    )
    return closing(RepeatingTask("checkpoints", sender.send))
