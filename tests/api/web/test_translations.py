"""Every sentence of the pages is translated into Chinese and findable by the extraction."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from api.web.labels import TABLES
from api.web.translations import Language, translator_for
from features.catalogue import CATALOGUE
from features.profile.compute import TABLES as TILES
from tests.api.web.messages import CODE, TEMPLATES, every_sentence, read_catalogue, untranslated_text

PLACEHOLDER = re.compile(r"%\(\w+\)s")
LANGUAGE_NAMES = {"English", "中文"}


def test_every_sentence_is_translated_and_nothing_else_is() -> None:
    sentences = every_sentence()
    files = {"overview_of_score.html", "consents.html", "labels.py", "error_pages.py", "catalogue"}
    assert files <= set(sentences.values())
    assert len(sentences) > 300
    messages = {message.id: message for message in read_catalogue(Language.CHINESE) if message.id}
    assert sentences.keys() ^ messages.keys() == set()
    for sentence, message in messages.items():
        assert not message.fuzzy, sentence
        for text in message.string if isinstance(message.string, tuple) else (message.string,):
            assert text.strip(), sentence
            placeholders = PLACEHOLDER.findall(sentence if isinstance(sentence, str) else sentence[-1])
            assert sorted(PLACEHOLDER.findall(text)) == sorted(placeholders), sentence


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_template_has_text_outside_of_translations(path: Path) -> None:
    text = re.sub(r'[\w/-]*/[\w/-]+|\S+="[^"]*"', " ", untranslated_text(path))
    assert set(re.findall(r"[^\W\d_]{2,}", text)) <= LANGUAGE_NAMES


def test_no_code_translates_a_text_that_the_extraction_cannot_find() -> None:
    assert not [path for path in CODE if re.search(r'\.translate\(f"', path.read_text(encoding="utf-8"))]


def test_every_figure_and_table_has_a_chinese_name_and_an_unknown_one_stays() -> None:
    assert set(TILES) <= set(TABLES)
    translate = translator_for(Language.CHINESE).translate
    for label in [feature.label for feature in CATALOGUE] + list(TABLES.values()):
        assert re.search(r"[\u4e00-\u9fff]", translate(label)), label
    assert translate("A label of some later model") == "A label of some later model"
