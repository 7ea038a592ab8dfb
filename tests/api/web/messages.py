"""Every sentence of the pages: in templates, in code and in the feature catalogue; and the translated ones."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import jinja2
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_file
from babel.messages.pofile import read_po
from jinja2.ext import babel_extract

import api
from features.catalogue import CATALOGUE

PAGES = Path(next(iter(api.__path__))) / "web"
TEMPLATES = sorted((PAGES / "templates").glob("*.html"))
CODE = sorted(PAGES.glob("*.py"))
_KEYWORDS = {"N_": None, "_": None, "translate": None, "count": (1, 2), "ngettext": (1, 2)}

Sentence = str | tuple[str, str]


def every_sentence() -> dict[Sentence, str]:
    """Return each sentence with the name of the file that has it; one and many of a number are a pair."""
    sentences: dict[Sentence, str] = {}
    for path in TEMPLATES:
        with path.open("rb") as file:
            for _, _, message, _ in babel_extract(file, ["_", "ngettext"], [], {"silent": "false"}):
                _add(sentences, message, path.name)
    for path in CODE:
        for _, message, _, _ in extract_from_file("python", path, keywords=_KEYWORDS):
            _add(sentences, message, path.name)
    for feature in CATALOGUE:
        sentences.setdefault(feature.label, "catalogue")
    return sentences


def _add(sentences: dict[Sentence, str], message: object, file: str) -> None:
    # in a call with values, the sentence comes first; a sentence that is a variable has no text
    one, many, *_ = (*message, None) if isinstance(message, tuple) else (message, None)
    if one is not None:
        sentences.setdefault(str(one) if many is None else (str(one), str(many)), file)


def read_catalogue(language: str) -> Catalog:
    with (PAGES / "locale" / f"{language}.po").open("rb") as file:
        return read_po(file, locale=language)


class _TextReader(HTMLParser):
    """Collects the text of a page and the attributes that people read."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del tag
        self.texts += [value or "" for name, value in attrs if name in {"alt", "aria-label", "placeholder", "title"}]


def untranslated_text(path: Path) -> str:
    """Return the text of a template that no translation reaches."""
    tokens = jinja2.Environment(autoescape=True).lex(path.read_text(encoding="utf-8"))
    reader = _TextReader()
    reader.feed("".join(value if kind == "data" else "" for _, kind, value in tokens))
    return " ".join(reader.texts)
