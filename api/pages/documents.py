"""Printable documents: one HTML file that brings its style, so it reads the same when it was saved or printed."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from fastapi import Response

from scoring.formatting import format_value

if TYPE_CHECKING:
    from jinja2 import Environment

_STYLE: Final = "document.css"


def document(template: str, **values: object) -> Response:
    """Return a template of this folder filled in, with headers that let the page load nothing and be framed nowhere.

    Example: `document("report.html", score=score)` answers `text/html` that no cache keeps.

    Args:
        template: name of a file in `templates/` that extends `document.html`.
        values: what the template names; a name that is missing raises.
    """
    html = _environment().get_template(template).render(**values, style=_style())
    return Response(html, headers=dict(_headers()), media_type="text/html")


@cache
def _style() -> str:
    return (files("api.pages") / "templates" / _STYLE).read_text(encoding="utf-8")


@cache
def _headers() -> tuple[tuple[str, str], ...]:
    # between the tags of the template stand the style and nothing else
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode("ascii")
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return (
        ("Cache-Control", "no-store"),
        ("Content-Security-Policy", f"{policy}; frame-ancestors 'none'"),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
    )


@cache
def _environment() -> Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("api.pages", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["figure"] = format_value
    return environment
