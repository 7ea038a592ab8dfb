"""A score in words: band, change and validity, or why there is no number. Pure.

What helps and what hurts: the points of the score, by group and by figure, so that they add up to it. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from api.scores.self_view import SelfView
from api.web.charts import Segment, bar, scale_picture
from api.web.labels import TABLES
from api.web.outcome_texts import OutcomeText, for_seller
from api.web.translations import N_, Translator
from scoring import Bundle
from scoring.assessment import SCALE_LIMIT as LIMIT
from scoring.bands import Bands
from scoring.reason_catalogue import Reason
from scoring.scale import Scale


@dataclass(frozen=True)
class BandRow:
    """One band as the table beside the picture has it."""

    name: str
    points: str
    here: bool


@dataclass(frozen=True)
class ScoreOverview:
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
class MissingScore:
    """A view without a score: the outcome in words, and up to when there are data."""

    text: OutcomeText
    as_of: str


def score_overview(view: SelfView, bundle: Bundle, words: Translator) -> ScoreOverview | MissingScore:
    """Return what there is to say of a score in a language."""
    told = view.assessment
    if told["score"] is None:
        labels = {entry.name: entry.label for entry in bundle.sheet.entries}
        return MissingScore(for_seller(told, labels, words), words.day(told["as_of"]))
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
    return ScoreOverview(
        score=told["score"],
        band=told["band"],
        best=told["band"] == bundle.policy.bands.names[0],
        picture=scale_picture(segments, told["score"], was, said),
        bands=tuple(_band_row(each, words) for each in reversed(segments)),
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


def _band_row(segment: Segment, words: Translator) -> BandRow:
    points = f"{words.number(round(segment.low))}–{words.number(round(segment.high))}"
    return BandRow(segment.name, points, segment.here)


def _gap(gap: Mapping[str, Any], words: Translator) -> str:
    """Return in a sentence that the score does without a table."""
    table = words.say(TABLES.get(gap["table"], gap["table"]))
    if gap["data_through"] is None:
        return words.say(N_("%(table)s: not delivered. Your score does not use these data."), table=table)
    return words.say(
        N_("%(table)s: only delivered until %(day)s. Your score does not use these data."),
        table=table,
        day=words.day(gap["data_through"]),
    )


@dataclass(frozen=True)
class FigureRow:
    """One figure: the seller's, a typical one, and its points."""

    feature: str
    label: str
    value: str
    typical: str
    points: int


@dataclass(frozen=True)
class GroupRow:
    """A group of figures that say the same: its points together; `said` is the principal reason in it, if any."""

    name: str
    title: str
    points: int
    bar: Markup
    said: str | None
    figures: tuple[FigureRow, ...]


@dataclass(frozen=True)
class PrincipalReason:
    """One principal reason in the seller's words, and the points that the typical value would add."""

    code: str
    statement: str
    gain: int


@dataclass(frozen=True)
class Reasons:
    """All groups: base, limit and the points of all three lists are the score.

    `limit` is what an end of the scale adds or takes; it is no strength and no weakness.
    """

    base: int
    limit: int
    score: int
    principal: tuple[PrincipalReason, ...]
    helps: tuple[GroupRow, ...]
    hurts: tuple[GroupRow, ...]
    neutral: tuple[GroupRow, ...]

    @property
    def added(self) -> int:
        """Points that are added together."""
        return sum(each.points for each in self.helps)

    @property
    def taken(self) -> int:
        """Points that are taken together, negative."""
        return sum(each.points for each in self.hurts)


def reasons_of(assessment: Mapping[str, Any], bundle: Bundle, words: Translator) -> Reasons | None:
    """Return the points of an assessment by group, most first; None where it has no number."""
    told = assessment["explanation"]
    if told is None:
        return None
    sums = {each["group"]: each["points"] for each in told["groups"] if each["group"] != LIMIT}
    most = max(map(abs, sums.values()), default=1)
    reasons = [Reason(**each) for each in told["reasons"]]
    said = {each.group: bundle.reasons.statement(each, "seller", words.language) for each in reasons}
    rows = [
        GroupRow(
            name,
            bundle.reasons.label_of(name, words.language),
            points,
            bar(points, most),
            said.get(name),
            _figures([each for each in told["contributions"] if each["reason_group"] == name], words),
        )
        for name, points in sums.items()
    ]
    return Reasons(
        told["base_points"],
        sum(each["points"] for each in told["groups"] if each["group"] == LIMIT),
        assessment["score"],
        tuple(PrincipalReason(each.code, said[each.group], each.gain) for each in reasons),
        _sorted(each for each in rows if each.points > 0),
        _sorted(each for each in rows if each.points < 0),
        _sorted(each for each in rows if each.points == 0),
    )


def _sorted(rows: Iterable[GroupRow]) -> tuple[GroupRow, ...]:
    return tuple(sorted(rows, key=lambda each: -abs(each.points)))


def _figures(those: Sequence[Mapping[str, Any]], words: Translator) -> tuple[FigureRow, ...]:
    rows = (
        FigureRow(
            each["feature"],
            words.say(each["label"]),
            words.figure(each["value"], each["unit"]),
            words.figure(each["typical"], each["unit"]),
            each["points"],
        )
        for each in those
    )
    return tuple(sorted(rows, key=lambda each: -abs(each.points)))
