"""The reason catalogue: statements by audience and language, and rejection of incomplete catalogues."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from scoring import BundleError, assess, pack
from scoring.formatting import Language
from scoring.reason_catalogue import Wording
from tests.scoring import build
from tests.statements import reason_catalogue


def test_statements_exist_for_each_audience_and_language() -> None:
    bundle = build.bundle()
    assessments = assess(bundle, build.vectors(build.rows(build.Recipe(), 60, seed=9)))
    reasons = [reason for item in assessments if item.explanation for reason in item.explanation.reasons]
    reason = next(reason for reason in reasons if reason.side == "high")
    assert reason.statement == bundle.reasons.statement(reason, "bank")
    assert bundle.reasons.statement(reason, "letter").endswith("(letter)")
    assert bundle.reasons.statement(reason, "seller", Language.CHINESE).startswith(f"{reason.label}：")


@pytest.mark.parametrize("part", ["entry", "group", "table", "value"])
def test_an_incomplete_catalogue_is_rejected(part: str) -> None:
    parts = build.parts()
    entries = tuple(replace(entry, tables=("traffic",)) for entry in parts.sheet.entries)
    sheet, catalogue = replace(parts.sheet, entries=entries), reason_catalogue(entries)
    first = catalogue.entries[0]
    without_value = replace(first, side=replace(first.side, letter=first.missing.letter))
    wrong = {
        "entry": replace(catalogue, entries=catalogue.entries[1:]),
        "group": replace(catalogue, groups=catalogue.groups[1:]),
        "table": replace(catalogue, tables={}),
        "value": replace(catalogue, entries=(without_value, *catalogue.entries[1:])),
    }[part]
    with pytest.raises(BundleError, match=r"reason catalogue needs each|must be a text with"):
        pack(replace(parts, sheet=sheet, reasons=wrong))


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", None, 7, "{typical}", "{value} {typical} {foo}", "{value} {typical} {}", "{value} {typical} {0}"),
        *("{value} {typical} {", "{value} {typical} }", "{value.__class__} {typical}", "{value[0]} {typical}"),
        *("{value:d} {typical}", "{value!r} {typical}", "{value} {typical:>999999}"),
    ],
)
def test_a_text_with_wrong_placeholders_is_rejected(text: Any) -> None:
    parts = build.parts()
    catalogue = parts.reasons
    first, wording = catalogue.entries[0], Wording(text, text)
    side = replace(first, side=replace(first.side, bank=wording))
    missing = replace(first, missing=replace(first.missing, seller=wording))
    for wrong in (
        replace(catalogue, entries=(side, *catalogue.entries[1:])),
        replace(catalogue, entries=(missing, *catalogue.entries[1:])),
        replace(catalogue, not_delivered=replace(catalogue.not_delivered, letter=wording)),
        replace(catalogue, too_old=replace(catalogue.too_old, bank=wording)),
    ):
        with pytest.raises(BundleError, match="nothing else in braces"):
            pack(replace(parts, reasons=wrong))
