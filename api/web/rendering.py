"""Rendering of pages: templates, response headers, static files, session cookies, and the session of a request."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Final

from fastapi import Request, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from sqlalchemy import Connection

from api import errors
from api.auth.rate_limits import Proof, address_of
from api.auth.scopes import ClientKind
from api.auth.sessions import ActiveSession, UserKind
from api.services import Services
from api.web import charts, labels
from api.web.translations import Translator, negotiate_language, translator_for
from scoring.formatting import Language, format_value

STATIC: Final = "/seller/static"
COOKIE: Final = "__Host-sellerscore"
"""The prefix restricts the cookie to this host; browsers also accept it at 127.0.0.1."""

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    # with `no-referrer`, browsers would send `Origin: null` with our own forms
    "Referrer-Policy": "same-origin",
    "Vary": "Cookie, Accept-Language",
    "X-Content-Type-Options": "nosniff",
}
_MEDIA: Final = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


@dataclass(frozen=True)
class Asset:
    """A static file whose address has its digest, so that browsers can cache it permanently."""

    content: bytes
    media_type: str
    address: str


@dataclass(frozen=True)
class Viewer:
    """The viewer of a page: language and session, if any."""

    translator: Translator
    signed_in: ActiveSession | None = None

    @property
    def kind(self) -> UserKind | None:
        """The kind of the logged-in user; None without a session."""
        return None if self.signed_in is None else self.signed_in.session.kind

    @property
    def form_token(self) -> str:
        """The token of forms; empty without a session."""
        return "" if self.signed_in is None else self.signed_in.form_token


def viewer_of(request: Request, signed_in: ActiveSession | None = None, link_language: str | None = None) -> Viewer:
    """Return the viewer, in the language of the session, else of the login link, else of the browser."""
    chosen = (signed_in.session.language if signed_in else None) or link_language
    languages = [language for language in Language if language == chosen]
    language = languages[0] if languages else negotiate_language(request.headers.get("accept-language", ""))
    return Viewer(translator_for(language), signed_in)


def render_template(template: str, viewer: Viewer, **values: object) -> str:
    """Return a rendered template; a missing variable raises an error."""
    return environment(viewer.translator.language).get_template(template).render(viewer=viewer, **values)


def page(template: str, viewer: Viewer, status: int = 200, /, **values: object) -> Response:
    """Return a page with headers that forbid caching and loading from other hosts.

    Example: `page("overview.html", viewer, score=score)`.
    """
    headers = {**_HEADERS, "Content-Language": viewer.translator.tag}
    return Response(render_template(template, viewer, **values), status, headers, "text/html; charset=utf-8")


def redirect(address: str) -> Response:
    """Return a redirect after a form, so that reloading the page does not send the form again."""
    return Response(status_code=303, headers={**_HEADERS, "Location": address})


def set_session_cookie(response: Response, secret: str) -> Response:
    """Set the session cookie: for this host only and not readable by scripts."""
    response.set_cookie(COOKIE, secret, secure=True, httponly=True, samesite="lax", path="/")
    return response


def clear_session_cookie(response: Response) -> Response:
    """Delete the session cookie."""
    response.delete_cookie(COOKIE, secure=True, httponly=True, samesite="lax", path="/")
    return response


@cache
def assets() -> dict[str, Asset]:
    """Return the static files by name."""
    folder = files("api.web") / "static"
    by_name = {}
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        media_type = _MEDIA.get(file.name.rpartition(".")[2])
        if media_type is not None:
            content = file.read_bytes()
            digest = hashlib.sha256(content).hexdigest()[:16]
            by_name[file.name] = Asset(content, media_type, f"{STATIC}/{digest}/{file.name}")
    return by_name


@cache
def environment(language: Language) -> Environment:
    """Return the environment of the templates of pages in a language, and of documents in English."""
    translator = translator_for(language)
    environment = Environment(
        loader=PackageLoader("api.web", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters["format_value"] = format_value
    environment.filters["largest_first"] = lambda items: sorted(items, key=lambda item: -abs(item.points))
    # the template escapes a translated sentence together with its values
    environment.globals.update(_=translator.translate, ngettext=translator.count, translator=translator)
    environment.globals.update(asset=lambda name: assets()[name].address, charts=charts, labels=labels)
    return environment


def _require_operator(services: Services, client_id: str) -> None:
    client = services.auth.find_clients([client_id]).get(client_id)
    if client is None or client.kind is not ClientKind.OPERATOR or client.revoked_at is not None:
        raise errors.NotSignedIn


def load_session(request: Request, connection: Connection) -> ActiveSession:
    """Return the session of a request and set `request.state.viewer`.

    Args:
        request: the request with the cookie.
        connection: a reading transaction.

    Raises:
        NotSignedIn: there is no valid session.
        TooManyRequests: the address without a session, or the user, has exceeded its limit.
    """
    services: Services = request.app.state.services
    limits, now = services.auth.limits, datetime.now(UTC)
    try:
        signed_in = services.auth.sessions.find_session(connection, request.cookies.get(COOKIE, ""), now)
        if signed_in.session.kind is UserKind.OPERATOR:
            _require_operator(services, signed_in.session.subject)
    except errors.NotSignedIn:
        limits.count_failure(Proof.SESSION, address_of(request))
        raise
    # set before the limit is checked, so that an error page has the language of the session
    request.state.viewer = viewer_of(request, signed_in)
    standing = limits.calls.consume((signed_in.session.kind, signed_in.session.subject))
    if not standing.allowed:
        raise errors.TooManyRequests(headers=standing.headers)
    services.auth.sessions.touch(signed_in, now)
    return signed_in
