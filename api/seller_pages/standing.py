"""A score in words: band, change and validity, or why there is no number. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from api.self_view.service import SelfView
from api.seller_pages.pictures import Segment, scale_picture
from api.seller_pages.wording import TABLES
from api.seller_pages.words import N_, Words
from scoring import Bundle, Outcome
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
    as_of: str
    expires: str


@dataclass(frozen=True)
class Lack:
    """One thing that was missing for a number: what, what was found, what is needed."""

    what: str
    found: str
    needed: str


@dataclass(frozen=True)
class Lacking:
    """A score without a number: why, and what to do next."""

    title: str
    advice: str
    lacks: tuple[Lack, ...]
    as_of: str


def standing_of(view: SelfView, bundle: Bundle, words: Words) -> Standing | Lacking:
    """Return what there is to say of a score in a language."""
    told = view.assessment
    if told["score"] is None:
        return _lacking(told, bundle, words)
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


def _lacking(told: Mapping[str, Any], bundle: Bundle, words: Words) -> Lacking:
    title, advice = _WHY[Outcome(told["outcome"])]
    lacks = tuple(_lack(told["outcome"], each, bundle, words) for each in told["shortfalls"])
    return Lacking(words.say(title), words.say(advice), lacks, words.day(told["as_of"]))


def _lack(outcome: str, lack: Mapping[str, Any], bundle: Bundle, words: Words) -> Lack:
    if outcome == Outcome.INSUFFICIENT_HISTORY:
        entry = next(each for each in bundle.sheet.entries if each.name == lack["what"])
        figures = [words.figure(lack[name], entry.unit) for name in ("found", "needed")]
        return Lack(words.say(entry.label), *figures)
    table = words.say(TABLES.get(lack["what"], lack["what"]))
    if outcome == Outcome.STALE_DATA:
        needed = words.count("at most %(n)s day old", "at most %(n)s days old", bundle.sheet.max_age_days)
        return Lack(table, words.say(N_("until %(day)s"), day=words.day(lack["found"])), needed)
    return Lack(table, words.say(N_("nothing")), words.say(N_("delivered")))


_WHY = {
    Outcome.INSUFFICIENT_HISTORY: (
        N_("There is no score yet: your record is too short"),
        N_("Keep selling. Once there is enough to judge by, your score appears here by itself; you need not apply."),
    ),
    Outcome.INSUFFICIENT_DATA: (
        N_("There is no score: some of your data are missing"),
        N_("Ask your marketplace to deliver what is missing. Your score appears here once it has arrived."),
    ),
    Outcome.STALE_DATA: (
        N_("There is no score right now: your data are not up to date"),
        N_("Your marketplace delivers new data regularly. If this stays for more than a few days, ask it why."),
    ),
}
