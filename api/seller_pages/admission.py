"""The session of a request, within the limits of its address and of who is logged in."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import Request
from sqlalchemy import Connection

from api import errors
from api.seller_pages.rendering import COOKIE, viewer_of
from api.seller_sessions import service as sessions
from api.seller_sessions.service import SignedInAs
from api.services import Services


def admitted(request: Request, connection: Connection) -> SignedInAs:
    """Return the session of a request; who looks is `request.state.viewer` from here on, in the session's language.

    Args:
        request: with the cookie.
        connection: of a transaction that reads.

    Raises:
        NotSignedIn: there is none that holds.
        TooManyRequests: of this address, without a session; or of who is logged in.
    """
    services: Services = request.app.state.services
    limits, now = services.access.limits, datetime.now(UTC)
    try:
        signed_in = sessions.find(connection, request.cookies.get(COOKIE, ""), now)
    except errors.NotSignedIn:
        failed = limits.failures_of_address.spend(request.client.host if request.client else "")
        if not failed.allowed:
            raise errors.TooManyRequests(headers=failed.headers) from None
        raise
    # known before anything is refused, so that a refusal is in the session's language and has a way back
    request.state.viewer = viewer_of(request, signed_in)
    standing = limits.calls.spend((signed_in.session.kind, signed_in.session.subject))
    if not standing.allowed:
        raise errors.TooManyRequests(headers=standing.headers)
    sessions.seen(services.engine, signed_in, now)
    return signed_in
