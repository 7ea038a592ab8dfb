"""The composition root: settings in, an application out. Nothing is opened by importing it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Final

from fastapi import FastAPI

from api.auth.endpoints import keys_router as receipts_router
from api.auth.endpoints import sessions_router as seller_sessions_router
from api.auth.endpoints import token_router as tokens_router
from api.auth.token_request import install_token_errors
from api.consents.endpoints import requests_router as consent_requests_router
from api.consents.endpoints import router as consents_router
from api.kit import openapi
from api.kit.middleware import BodyLimit, RequestContext, RequestMetrics, StrictJson
from api.kit.openapi import describe_problems
from api.kit.problems import install_handlers
from api.models.endpoints import router as model_router
from api.operations.checkpoint_sender import send_checkpoints
from api.operations.health import router as health_router
from api.operations.metrics import router as metrics_router
from api.operations.model_reloader import run_reloader
from api.products.endpoints import router as products_router
from api.reviews.endpoints import router as reviews_router
from api.scores.endpoints import replay_router
from api.scores.endpoints import router as scores_router
from api.sellers.endpoints import router as sellers_router
from api.services import open_services
from api.settings import Settings
from api.web import consent_pages, documents, error_pages, login, report, review_pages, score_pages, seller_data
from api.web.routing import PageRouter

_ROUTERS: Final = (
    scores_router,
    report.router,
    replay_router,
    model_router,
    products_router,
    sellers_router,
    documents.router,
    consents_router,
    consent_requests_router,
    seller_sessions_router,
    reviews_router,
    receipts_router,
    tokens_router,
    health_router,
    metrics_router,
)
"""In the order in which the OpenAPI document tells of them."""

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
call. `RateLimit` headers say how many calls are left.

A bank scores a seller under the seller's consent, which the platform records; `POST /v1/consent-requests` asks for it.

The platform logs its seller in to the seller's pages: `POST /v1/seller-sessions` gives a link that works once. What
sellers dispute there, operators decide at `/v1/reviews`.

Every number explains itself: `base_points` and the points of all contributions sum to the score, exactly.
Every score has a place in its bank's ledger and a receipt, which the keys at `/.well-known/jwks.json` verify.
Errors are problem details (RFC 9457) with a stable `type`.
Every answer carries `X-Request-Id`; send your own to keep it.
"""


def create_app(settings: Settings) -> FastAPI:
    """Build the application; what it works with is opened when it starts and closed when it ends.

    Example: `uvicorn.run(create_app(load_settings()))`.
    """
    counted = RequestMetrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with open_services(settings, counted) as services:
            app.state.services = services
            with run_reloader(app.state) as app.state.watch, send_checkpoints(app.state):
                yield

    app = FastAPI(
        title="SellerScore",
        version=version("sellerscore"),
        description=_DESCRIPTION,
        contact=openapi.CONTACT,
        servers=openapi.servers(settings.issuer),
        openapi_tags=openapi.tags(),
        lifespan=lifespan,
        redirect_slashes=False,
        # their pages load scripts from another host; /openapi.json says the same
        docs_url=None,
        redoc_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    # one flat list of routes: a router inside a router would search for the route a second time
    app.include_router(
        PageRouter(include_in_schema=False, routes=[route for router in _PAGES for route in router.routes])
    )
    for router in _ROUTERS:
        app.include_router(router)
    app.add_middleware(StrictJson)
    app.add_middleware(BodyLimit, told=error_pages.error_response)
    app.add_middleware(RequestContext, counted=counted)
    install_handlers(app, error_pages.error_response)
    install_token_errors(app)
    describe_problems(app)
    openapi.describe_examples(app)
    return app
