"""Every sentence that the pages can say, found where it is written: in templates, in code, and in the catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import jinja2
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_file
from babel.messages.pofile import read_po
from jinja2.ext import babel_extract

import api
from features.catalogue import CATALOGUE

API = Path(next(iter(api.__path__)))
PAGES = API / "web"
TEMPLATES = sorted((PAGES / "templates").glob("*.html"))
CODE = sorted(PAGES.glob("*.py"))
_KEYWORDS = {"N_": None, "_": None, "translate": None, "count": (1, 2), "ngettext": (1, 2)}

Sentence = str | tuple[str, str]


def said_by_templates() -> Iterator[tuple[str, Sentence]]:
    for path in TEMPLATES:
        with path.open("rb") as file:
            for _, _, message, _ in babel_extract(file, ["_", "ngettext"], [], {"silent": "false"}):
                yield from _told(path.name, _pair(message))


def said_by_code() -> Iterator[tuple[str, Sentence]]:
    for path in CODE:
        for _, message, _, _ in extract_from_file("python", path, keywords=_KEYWORDS):
            yield from _told(path.name, _pair(message))


def named_by_data() -> Iterator[tuple[str, Sentence]]:
    for feature in CATALOGUE:
        yield "catalogue", feature.label


def _told(where: str, sentence: Sentence | None) -> Iterator[tuple[str, Sentence]]:
    if sentence is not None and sentence != "None":
        yield where, sentence


def every_sentence() -> dict[Sentence, str]:
    found: dict[Sentence, str] = {}
    for where, sentence in (*said_by_templates(), *said_by_code(), *named_by_data()):
        found.setdefault(sentence, where)
    return found


def translated(language: str) -> Catalog:
    with (PAGES / "locale" / f"{language}.po").open("rb") as file:
        return read_po(file, locale=language)


class _Text(HTMLParser):
    """Collects what a template says outside of all its markup and code."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_data(self, data: str) -> None:
        self.found.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del tag
        self.found += [value or "" for name, value in attrs if name in {"alt", "aria-label", "placeholder", "title"}]


def plain_text_of(path: Path) -> str:
    """Return the words that a template holds itself: what no translation reaches."""
    environment = jinja2.Environment(autoescape=True)
    source = "".join(
        value if kind == "data" else "" for _, kind, value in environment.lex(path.read_text(encoding="utf-8"))
    )
    parser = _Text()
    parser.feed(source)
    return " ".join(parser.found)


def _pair(message: object) -> Sentence | None:
    """Return a sentence, or the two of a number of things; None where it is named by data."""
    if not isinstance(message, tuple):
        return None if message is None else str(message)
    # what follows a sentence in a call fills it in
    one, other = message[0], message[1] if len(message) > 1 else None
    if one is None:
        return None
    return str(one) if other is None else (str(one), str(other))
