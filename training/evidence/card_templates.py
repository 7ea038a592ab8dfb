"""The card's templates, and how figures and text are written into them."""

from __future__ import annotations

import base64
import re
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, Final

from training.evidence.card_approval import alarm_label
from training.evidence.card_blocks import number

if TYPE_CHECKING:
    from jinja2 import Environment
    from matplotlib.figure import Figure

_DOTS: Final = 144
"""Per inch: sharp on screens of double density."""


@cache
def environment() -> Environment:
    """Return the templates; what is written into HTML is escaped."""
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.PackageLoader("training.evidence", "templates"),
        autoescape=jinja2.select_autoescape(("html",)),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {"data_uri": data_uri, "line": line, "cell": cell, "number": number, "alarm_label": alarm_label}
    return made


def data_uri(figure: Figure) -> str:
    """Return a figure as the address of an image that holds itself."""
    image = BytesIO()
    figure.savefig(image, format="png", dpi=_DOTS)
    return "data:image/png;base64," + base64.b64encode(image.getvalue()).decode()


def line(text: str) -> str:
    """Return text as one line of Markdown that holds no HTML: a marketplace's name may hold anything."""
    return re.sub(r"\s+", " ", text).replace("&", "&amp;").replace("<", "&lt;")


def cell(text: str) -> str:
    """Return text that cannot break out of a cell of a Markdown table."""
    return line(text).replace("\\", "\\\\").replace("|", "\\|")
