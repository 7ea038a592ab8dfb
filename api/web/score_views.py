"""Views of a score for the seller: band, change and validity, or the missing score; and its points by group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC

from markupsafe import Markup

from api.scores.self_view import SelfView
from api.web.charts import Segment, band_scale, points_bar
from api.web.labels import TABLES
from api.web.outcome_texts import OutcomeText, for_seller
from api.web.translations import N_, Translator
from scoring import Assessment, Bundle
from scoring.assessment import SCALE_LIMIT, Contribution
from scoring.bands import Bands
from scoring.freshness import TableGap
from scoring.scale import Scale


@dataclass(frozen=True)
class BandRow:
    """One band in the table of bands."""

    name: str
    points: str
    here: bool


@dataclass(frozen=True)
class ScoreOverview:
    """A score; `moved` is the difference from the previous score, None if there is none."""

    score: int
    band: str
    best: bool
    chart: Markup
    bands: tuple[BandRow, ...]
    moved: int | None
    before: int | None
    model_updated: bool
    corrected: bool
    gaps: tuple[str, ...]
    as_of: str
    expires: str


@dataclass(frozen=True)
class MissingScore:
    """The text of a missing score, and the last day of the data."""

    text: OutcomeText
    as_of: str


def score_overview(view: SelfView, bundle: Bundle, translator: Translator) -> ScoreOverview | MissingScore:
    """Return the overview of a score in a language."""
    assessment, previous = view.assessment, view.previous
    if assessment.score is None or assessment.band is None:
        labels = {entry.name: entry.label for entry in bundle.sheet.entries}
        return MissingScore(for_seller(assessment, labels, translator), translator.day(assessment.as_of))
    before = None if previous is None else previous.fields["assessment"]["score"]
    bands, scale = bundle.policy.bands, bundle.policy.scale
    segments = band_segments(bands, scale, assessment.band)
    label = translator.translate(
        N_("Your score %(score)s is in band %(band)s, on a scale from %(min)s to %(max)s."),
        score=assessment.score,
        band=assessment.band,
        min=scale.min,
        max=scale.max,
    )
    return ScoreOverview(
        score=assessment.score,
        band=assessment.band,
        best=assessment.band == bands.names[0],
        chart=band_scale(segments, assessment.score, before, label),
        bands=tuple(_band_row(segment, translator) for segment in reversed(segments)),
        moved=None if before is None else assessment.score - before,
        before=before,
        model_updated=previous is not None and previous.bundle != view.score.bundle,
        corrected="replaces" in view.score.fields,
        gaps=tuple(_gap(gap, translator) for gap in assessment.table_gaps),
        as_of=translator.day(assessment.as_of),
        expires=translator.day(view.score.expires_at.astimezone(UTC).date()),
    )


def band_segments(bands: Bands, scale: Scale, here: str) -> list[Segment]:
    """Return the range of each band on the scale, from the lowest points up, without bands beyond its ends."""
    edges = [float(scale.max)]
    edges += [min(max(scale.points_at(band.up_to), scale.min), scale.max) for band in bands.items if band.up_to < 1.0]
    edges.append(float(scale.min))
    segments = [
        Segment(band.name, low, high, band.name == here)
        for band, high, low in zip(bands.items, edges, edges[1:], strict=False)
    ]
    return [segment for segment in reversed(segments) if segment.high > segment.low or segment.here]


def _band_row(segment: Segment, translator: Translator) -> BandRow:
    points = f"{translator.number(round(segment.low))}–{translator.number(round(segment.high))}"
    return BandRow(segment.name, points, segment.here)


def _gap(gap: TableGap, translator: Translator) -> str:
    table = translator.translate(TABLES.get(gap.table, gap.table))
    if gap.data_through is None:
        return translator.translate(N_("%(table)s: not delivered. Your score does not use these data."), table=table)
    return translator.translate(
        N_("%(table)s: only delivered until %(day)s. Your score does not use these data."),
        table=table,
        day=translator.day(gap.data_through),
    )


@dataclass(frozen=True)
class FigureRow:
    """One figure: the seller's value, the typical value, and the points."""

    feature: str
    label: str
    value: str
    typical: str
    points: int


@dataclass(frozen=True)
class GroupRow:
    """A reason group and its points; `reason` is its principal reason, if any."""

    name: str
    title: str
    points: int
    bar: Markup
    reason: str | None
    figures: tuple[FigureRow, ...]


@dataclass(frozen=True)
class PrincipalReason:
    """One principal reason in the seller's translator, and the points that the typical value would add."""

    code: str
    statement: str
    gain: int


@dataclass(frozen=True)
class Reasons:
    """All groups: base, limit and the points of the three lists sum to the score.

    `limit` are the points that an end of the scale adds or deducts. It is neither a strength nor a weakness.
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
        """The sum of the added points."""
        return sum(group.points for group in self.helps)

    @property
    def deducted(self) -> int:
        """The sum of the deducted points, negative."""
        return sum(group.points for group in self.hurts)


def reasons_view(assessment: Assessment, bundle: Bundle, translator: Translator) -> Reasons | None:
    """Return the points of an assessment by group, most points first; None without a score."""
    explanation = assessment.explanation
    if explanation is None or assessment.score is None:
        return None
    groups = [group for group in explanation.groups if group.group != SCALE_LIMIT]
    largest = max((abs(group.points) for group in groups), default=1)
    texts = {
        reason.group: bundle.reasons.statement(reason, "seller", translator.language) for reason in explanation.reasons
    }
    rows = [
        GroupRow(
            name=group.group,
            title=bundle.reasons.label_of(group.group, translator.language),
            points=group.points,
            bar=points_bar(group.points, largest),
            reason=texts.get(group.group),
            figures=_figures(
                [item for item in explanation.contributions if item.reason_group == group.group], translator
            ),
        )
        for group in groups
    ]
    return Reasons(
        base=explanation.base_points,
        limit=sum(group.points for group in explanation.groups if group.group == SCALE_LIMIT),
        score=assessment.score,
        principal=tuple(PrincipalReason(item.code, texts[item.group], item.gain) for item in explanation.reasons),
        helps=_sorted(row for row in rows if row.points > 0),
        hurts=_sorted(row for row in rows if row.points < 0),
        neutral=_sorted(row for row in rows if row.points == 0),
    )


def _sorted(rows: Iterable[GroupRow]) -> tuple[GroupRow, ...]:
    return tuple(sorted(rows, key=lambda row: -abs(row.points)))


def _figures(contributions: Sequence[Contribution], translator: Translator) -> tuple[FigureRow, ...]:
    rows = (
        FigureRow(
            item.feature,
            translator.translate(item.label),
            translator.format_value(item.value, item.unit),
            translator.format_value(item.typical, item.unit),
            item.points,
        )
        for item in contributions
    )
    return tuple(sorted(rows, key=lambda row: -abs(row.points)))
