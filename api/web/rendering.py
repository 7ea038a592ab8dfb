"""Templates to answers: the frame of every page, and headers that let it load nothing but what is ours.

The session of a request, within the limits of its address and of who is logged in.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from fastapi import Request, Response
from sqlalchemy import Connection

from api import errors
from api.auth import sessions
from api.auth.sessions import ActiveSession, UserKind
from api.services import Services
from api.web.translations import Translator, negotiate_language, translator_for
from scoring.formatting import Language

if TYPE_CHECKING:
    from jinja2 import Environment


STATIC: Final = "/seller/static"


COOKIE: Final = "__Host-sellerscore"
"""The prefix ties the cookie to this host alone; browsers take it at 127.0.0.1 too."""


_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Vary": "Cookie, Accept-Language",
    "X-Content-Type-Options": "nosniff",
}


_MEDIA: Final = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


@dataclass(frozen=True)
class Asset:
    """A file that pages load, named by its digest, so that a browser may keep it for ever."""

    content: bytes
    media_type: str
    address: str


@dataclass(frozen=True)
class Viewer:
    """Who looks: the language, and the session where there is one."""

    words: Translator
    signed_in: ActiveSession | None = None

    @property
    def kind(self) -> UserKind | None:
        """As what they are logged in."""
        return None if self.signed_in is None else self.signed_in.session.kind

    @property
    def form_token(self) -> str:
        """What forms carry; empty without a session."""
        return "" if self.signed_in is None else self.signed_in.form_token


def viewer_of(request: Request, signed_in: ActiveSession | None = None, begun_in: str | None = None) -> Viewer:
    """Return who looks: the language is the session's, else that of a link, else the one the browser asks for."""
    chosen = (signed_in.session.language if signed_in else None) or begun_in
    known = [each for each in Language if each == chosen]
    language = known[0] if known else negotiate_language(request.headers.get("accept-language", ""))
    return Viewer(translator_for(language), signed_in)


def render_template(template: str, viewer: Viewer, **values: object) -> str:
    """Return a page as text; what the template names and is not given raises."""
    return _environment(viewer.words.language).get_template(template).render(viewer=viewer, **values)


def page(template: str, viewer: Viewer, status: int = 200, /, **values: object) -> Response:
    """Return a page as an answer that no cache keeps and that loads nothing from elsewhere.

    Example: `page("overview.html", viewer, score=score)`.
    """
    headers = {**_HEADERS, "Content-Language": viewer.words.tag}
    return Response(render_template(template, viewer, **values), status, headers, "text/html; charset=utf-8")


def redirect(address: str) -> Response:
    """Send a browser on, after a form: loading the page again does not send the form again."""
    return Response(status_code=303, headers={**_HEADERS, "Location": address})


def set_session_cookie(answer: Response, secret: str) -> Response:
    """Give a browser the secret of its session: until it ends, for this host alone, to no script."""
    answer.set_cookie(COOKIE, secret, secure=True, httponly=True, samesite="lax", path="/")
    return answer


def clear_session_cookie(answer: Response) -> Response:
    """Take the secret of the session back."""
    answer.delete_cookie(COOKIE, secure=True, httponly=True, samesite="lax", path="/")
    return answer


@cache
def assets() -> dict[str, Asset]:
    """Return the files that pages load, by name."""
    folder = files("api.web") / "static"
    found = {}
    for each in sorted(folder.iterdir(), key=lambda file: file.name):
        media_type = _MEDIA.get(each.name.rpartition(".")[2])
        if media_type is not None:
            content = each.read_bytes()
            digest = hashlib.sha256(content).hexdigest()[:16]
            found[each.name] = Asset(content, media_type, f"{STATIC}/{digest}/{each.name}")
    return found


@cache
def _environment(language: Language) -> Environment:
    import jinja2

    words = translator_for(language)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("api.web", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    # sentences are escaped where they stand, with all that is filled in
    environment.globals.update(_=words.say, ngettext=words.count, words=words, asset=_address)
    return environment


def _address(name: str) -> str:
    return assets()[name].address


def load_session(request: Request, connection: Connection) -> ActiveSession:
    """Return the session of a request; who looks is `request.state.viewer` from here on, in the session's language.

    Args:
        request: with the cookie.
        connection: of a transaction that reads.

    Raises:
        NotSignedIn: there is none that holds.
        TooManyRequests: of this address, without a session; or of who is logged in.
    """
    services: Services = request.app.state.services
    limits, now = services.auth.limits, datetime.now(UTC)
    try:
        signed_in = sessions.find_session(connection, request.cookies.get(COOKIE, ""), now)
    except errors.NotSignedIn:
        failed = limits.failures_of_address.consume(request.client.host if request.client else "")
        if not failed.allowed:
            raise errors.TooManyRequests(headers=failed.headers) from None
        raise
    # known before anything is refused, so that a refusal is in the session's language and has a way back
    request.state.viewer = viewer_of(request, signed_in)
    standing = limits.calls.consume((signed_in.session.kind, signed_in.session.subject))
    if not standing.allowed:
        raise errors.TooManyRequests(headers=standing.headers)
    sessions.touch(services.engine, signed_in, now)
    return signed_in
