"""The parts of a bundle: feature sheet, reason catalogue and track record, and rejection of invalid ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring import Bundle, BundleError, assess, pack
from scoring.formatting import Language
from scoring.reason_catalogue import Wording
from scoring.sheet import MAX_REACHES, FeatureEntry, HistoryThreshold, Reach, Sizes
from scoring.track_record import BandRecord, TrackRecord, percentiles
from tests.scoring import build, monotone
from tests.statements import reason_catalogue

SHEET = monotone.bundle().sheet


@pytest.mark.parametrize(
    ("sign", "value", "expected"),
    [(1, 0.08, 0.05), (1, 0.04, 0.02), (1, 0.01, 0.01), (-1, 0.0, 0.02), (-1, 0.03, 0.03)],
)
def test_a_reach_ends_at_the_best_value_or_after_the_largest_move(sign: int, value: float, expected: float) -> None:
    assert Reach(best=0.02, move=0.03).of(value, sign) == pytest.approx(expected)


@pytest.mark.parametrize(("sales", "size"), [(-5.0, 0), (20.0, 0), (20.1, 1), (90.0, 1), (1e9, 2)])
def test_a_value_at_a_limit_belongs_to_the_smaller_size(sales: float, size: int) -> None:
    assert Sizes("sales", (20.0, 90.0)).of(sales) == size


@pytest.mark.parametrize(
    "unfit", [{"actionable": False}, {"structural": True}, {"scored": False}], ids=["fixed", "structural", "unscored"]
)
def test_a_feature_that_must_not_be_advised_cannot_have_a_reach(unfit: dict[str, bool | int]) -> None:
    fields = {"actionable": True, "structural": False, "sign": 1, **unfit}
    with pytest.raises(BundleError, match="changing it would be advised"):
        FeatureEntry("a", "A", "ratio", reason_group="g", typical=None, reach=(Reach(0.0, 1.0),), **fields)  # type: ignore[arg-type]


def _entries(count: int, groups: int) -> tuple[FeatureEntry, ...]:
    return tuple(
        FeatureEntry(f"f{n}", "F", "ratio", 1, True, False, f"g{n % groups}", None, reach=(Reach(0.0, 1.0),))
        for n in range(count)
    )


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda: Reach(float("nan"), 1.0), "finite best value and a finite move above 0"),
        (lambda: Reach(0.0, 0.0), "finite best value and a finite move above 0"),
        (lambda: Sizes("sales", (2.0, 2.0)), "must be finite and increase"),
        (lambda: Sizes("sales", (float("inf"),)), "must be finite and increase"),
        (lambda: Sizes("sales", (1.0,), 0), "whole number, at least 1"),
        (lambda: Sizes("sales", (1.0,), float("inf")), "whole number, at least 1"),  # type: ignore[arg-type]
        (lambda: replace(SHEET, sizes=Sizes("unknown", (1.0,))), "unknown, which the feature sheet lacks"),
        (lambda: replace(SHEET, sizes=Sizes("sales", (1.0, 2.0))), "a reach for 2 sizes; the feature sheet has"),
        (lambda: replace(SHEET, sizes=None), "a reach for 2 sizes; the feature sheet has 0"),
        (lambda: replace(SHEET, history=(HistoryThreshold("stars", 1.0),)), "a seller cannot change history"),
        (
            lambda: replace(SHEET, history=(), entries=_entries(2, 1), sizes=Sizes("f0", ())),
            "each of another reason group; found 2 of 1 groups",
        ),
        (
            lambda: replace(SHEET, history=(), entries=_entries(11, 11), sizes=Sizes("f0", ())),
            f"At most {MAX_REACHES} features may have a reach",
        ),
    ],
)
def test_an_invalid_reach_or_size_is_rejected(wrong: object, sentence: str) -> None:
    assert callable(wrong)
    with pytest.raises(BundleError, match=sentence):
        wrong()


@pytest.mark.parametrize("days", ["7", None, True, 7.0, -1, 32, 10**6])
def test_an_invalid_age_limit_is_rejected(days: Any) -> None:
    with pytest.raises(BundleError, match="max_age_days is"):
        replace(build.parts().sheet, max_age_days=days)


def test_a_scored_feature_needs_a_sign() -> None:
    with pytest.raises(BundleError, match="scored without a sign"):
        FeatureEntry("a", "A", "ratio", 0, actionable=False, structural=False, reason_group="a", typical=0.5)


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


PARTS = build.parts(build.Recipe(trees=3))
BANDS = tuple(BandRecord(name, 10, bad) for bad, name in enumerate("ABCDE"))
SCORES = st.lists(st.integers(300, 900), min_size=1, max_size=300)


def record(scores: list[int]) -> TrackRecord:
    return TrackRecord("50 loans", percentiles(scores), BANDS)


@given(scores=SCORES, score=st.integers(290, 910))
def test_percent_below_equals_counting(scores: list[int], score: int) -> None:
    lower = sum(other < score for other in scores)
    assert record(scores).percent_below(score) == lower * 100 // len(scores)


def test_it_is_part_of_the_bundle_and_absent_in_older_bundles() -> None:
    track_record = record([500, 600, 640])
    bundle = Bundle.from_files(pack(replace(PARTS, reference=replace(PARTS.reference, track_record=track_record))))
    assert bundle.reference.track_record == track_record
    assert track_record.count == 50
    assert Bundle.from_files(pack(PARTS)).reference.track_record is None


def test_it_must_have_the_bands_of_the_bundle() -> None:
    for bands in (BANDS[:-1], BANDS[::-1]):
        track_record = replace(record([500]), bands=bands)
        with pytest.raises(BundleError, match="A, B, C, D, E"):
            pack(replace(PARTS, reference=replace(PARTS.reference, track_record=track_record)))


@pytest.mark.parametrize(
    ("scores", "bands"),
    [
        ((500,) * 100, BANDS),
        (tuple(range(600, 499, -1)), BANDS),
        ((500,) * 101, (BandRecord("A", 3, 4),)),
        ((500,) * 101, (BandRecord("A", 3, -1),)),
        ((500,) * 101, (BandRecord("A", 0, 0),)),
    ],
)
def test_a_contradictory_track_record_is_rejected(scores: tuple[int, ...], bands: tuple[BandRecord, ...]) -> None:
    with pytest.raises(BundleError, match="track record"):
        TrackRecord("loans", scores, bands)
