"""The track record: percentages compared with counting, and rejection of contradictory records."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring import Bundle, BundleError, pack
from scoring.track_record import BandRecord, TrackRecord, percentiles
from tests.scoring import build

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
