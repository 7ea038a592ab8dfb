"""A score in words: band, change and validity, or why there is no number. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from api.outcomes import OutcomeText, for_seller
from api.self_view.service import SelfView
from api.seller_pages.pictures import Segment, scale_picture
from api.seller_pages.wording import TABLES
from api.seller_pages.words import N_, Words
from scoring import Bundle
from scoring.bands import Bands
from scoring.scale import Scale


@dataclass(frozen=True)
class BandRow:
    """One band as the table beside the picture has it."""

    name: str
    points: str
    here: bool


@dataclass(frozen=True)
class Standing:
    """A score with a number; `moved` is the difference to the score before, None where there is none to compare."""

    score: int
    band: str
    best: bool
    picture: Markup
    bands: tuple[BandRow, ...]
    moved: int | None
    before: int | None
    remade: bool
    corrected: bool
    gaps: tuple[str, ...]
    as_of: str
    expires: str


@dataclass(frozen=True)
class Unscored:
    """A view without a score: the outcome in words, and up to when there are data."""

    text: OutcomeText
    as_of: str


def standing_of(view: SelfView, bundle: Bundle, words: Words) -> Standing | Unscored:
    """Return what there is to say of a score in a language."""
    told = view.assessment
    if told["score"] is None:
        labels = {entry.name: entry.label for entry in bundle.sheet.entries}
        return Unscored(for_seller(told, labels, words), words.day(told["as_of"]))
    before = view.assessment_before
    was = None if before is None else before["score"]
    segments = segments_of(bundle.policy.bands, bundle.policy.scale, told["band"])
    said = words.say(
        N_("Your score %(score)s is in band %(band)s, on a scale from %(min)s to %(max)s."),
        score=told["score"],
        band=told["band"],
        min=bundle.policy.scale.min,
        max=bundle.policy.scale.max,
    )
    return Standing(
        score=told["score"],
        band=told["band"],
        best=told["band"] == bundle.policy.bands.names[0],
        picture=scale_picture(segments, told["score"], was, said),
        bands=tuple(_row(each, words) for each in reversed(segments)),
        moved=None if was is None else told["score"] - was,
        before=was,
        remade=before is not None and before["versions"]["bundle"] != told["versions"]["bundle"],
        corrected="replaces" in view.body,
        gaps=tuple(_gap(each, words) for each in told["table_gaps"]),
        as_of=words.day(told["as_of"]),
        expires=words.day(datetime.fromisoformat(view.body["expires_at"]).astimezone(UTC).date()),
    )


def segments_of(bands: Bands, scale: Scale, here: str) -> list[Segment]:
    """Return where each band lies on the scale, from the lowest points up; those beyond its ends are left out."""
    edges = [float(scale.max)]
    edges += [min(max(scale.points_at(band.up_to), scale.min), scale.max) for band in bands.items if band.up_to < 1.0]
    edges.append(float(scale.min))
    found = [
        Segment(band.name, low, high, band.name == here)
        for band, high, low in zip(bands.items, edges, edges[1:], strict=False)
    ]
    return [each for each in reversed(found) if each.high > each.low or each.here]


def _row(segment: Segment, words: Words) -> BandRow:
    points = f"{words.number(round(segment.low))}–{words.number(round(segment.high))}"
    return BandRow(segment.name, points, segment.here)


def _gap(gap: Mapping[str, Any], words: Words) -> str:
    """Return in a sentence that the score does without a table."""
    table = words.say(TABLES.get(gap["table"], gap["table"]))
    if gap["data_through"] is None:
        return words.say(N_("%(table)s: not delivered, so your score does without these data."), table=table)
    return words.say(
        N_("%(table)s: only delivered until %(day)s, so your score does without these data."),
        table=table,
        day=words.day(gap["data_through"]),
    )
