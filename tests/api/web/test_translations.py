"""Nothing that a page says is left in English where it is read in Chinese."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from api.web.labels import TABLES
from api.web.translations import Language, translator_for
from features.catalogue import CATALOGUE
from features.profile.compute import TABLES as TILES
from tests.api.web.messages import CODE, TEMPLATES, every_sentence, plain_text_of, translated

SENTENCES = every_sentence()
PLACEHOLDER = re.compile(r"%\(\w+\)s")
OTHERS = [language for language in Language if language is not Language.ENGLISH]
NAMES = {"English", "中文"}
"""Languages, each in its own words."""


def test_sentences_are_found_in_templates_in_code_and_in_the_catalogue() -> None:
    places = set(SENTENCES.values())
    assert {"overview_of_score.html", "consents.html", "labels.py", "error_pages.py", "catalogue"} <= places
    assert len(SENTENCES) > 300


@pytest.mark.parametrize("language", OTHERS)
def test_every_sentence_is_translated_and_nothing_else_is(language: Language) -> None:
    known = {message.id: message for message in translated(language) if message.id}
    assert {str(each) for each in SENTENCES.keys() - known.keys()} == set()
    assert {str(each) for each in known.keys() - SENTENCES.keys()} == set()
    for sentence, message in known.items():
        assert not message.fuzzy, sentence
        for said in message.string if isinstance(message.string, tuple) else (message.string,):
            assert said.strip(), sentence
            asked = PLACEHOLDER.findall(sentence if isinstance(sentence, str) else sentence[-1])
            assert sorted(PLACEHOLDER.findall(said)) == sorted(asked), sentence


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_template_says_anything_itself(path: Path) -> None:
    words = set(re.findall(r"[^\W\d_]{2,}", re.sub(r'[\w/-]*/[\w/-]+|\S+="[^"]*"', " ", plain_text_of(path))))
    assert words - NAMES == set()


@pytest.mark.parametrize("path", CODE, ids=lambda path: path.name)
def test_what_is_said_is_written_where_it_is_found(path: Path) -> None:
    # a name in place of the sentence would hide it from the search
    source = path.read_text(encoding="utf-8")
    assert not re.search(r'\.translate\(f"', source)


def test_every_figure_and_table_has_its_name() -> None:
    assert set(TILES) <= set(TABLES)
    chinese = translator_for(Language.CHINESE)
    for label in [feature.label for feature in CATALOGUE] + list(TABLES.values()):
        assert re.search(r"[\u4e00-\u9fff]", chinese.translate(label)), label


def test_what_is_not_known_stays_as_it_is() -> None:
    assert translator_for(Language.CHINESE).translate("A label of some later model") == "A label of some later model"
