"""What `sellerscore score` shows of a seller: the score, what changed since the snapshot before, what would help.

One assessment in the terminal: from base to score, what changed, what would help. It says that it is internal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, Final

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from api.errors import SellerUnknown
from api.models.registry import load_champion
from api.scores.inputs import example_vector, to_vector
from api.settings import Settings
from api.web.outcome_texts import for_bank
from api.web.translations import translator_for
from api.web.waterfall import WaterfallStep, extent, waterfall_steps
from features.store import VectorStore
from scoring import Advice, AdviceVerdict, Assessment, Changes, advise, assess, changes
from scoring.advice import OpenReasonCause
from scoring.assessment import SCALE_LIMIT, Explanation
from scoring.changes import FeatureChange
from scoring.formatting import Language, format_value


@dataclass(frozen=True)
class ScorePreview:
    """A seller's assessment; `changed` is none where there is no earlier score to compare with."""

    seller_id: str
    assessment: Assessment
    changed: Changes | None
    advice: Advice

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a program."""
        return {
            "seller_id": self.seller_id,
            "assessment": self.assessment.to_dict(),
            "changes": asdict(self.changed) if self.changed else None,
            "advice": asdict(self.advice),
        }


def preview_score(
    settings: Settings, seller_id: str | None, requested_on: date, band: str | None = None
) -> ScorePreview:
    """Score a seller of the latest snapshot with the champion, and the snapshot before beside; nothing is stored.

    Args:
        settings: where vectors and models are.
        seller_id: whom to look at; the first who has a score if none.
        requested_on: the day of the score (UTC), against which the age of the data is measured.
        band: what advice aims at; the next better band if none.

    Raises:
        SellerUnknown: the latest snapshot does not hold the seller.
        StoreError: no snapshot is stored.
        StartError: there is no champion.
        ScoringError: the vectors do not meet the bundle, or it has no such band.
    """
    vectors = VectorStore(settings.vectors_path)
    # looked up before the model, so that what is refused has fetched and written nothing
    stored = next(vectors.all_latest(), None) if seller_id is None else vectors.latest(seller_id)
    if stored is None:
        raise SellerUnknown(_no_vector(seller_id))
    bundle = load_champion(settings).bundle
    if seller_id is None:
        stored = example_vector(vectors, bundle, requested_on) or stored
    vector, earlier = to_vector(stored, requested_on), vectors.earlier(stored)
    now = assess(bundle, [vector])[0]
    # the earlier score as it was when its data were new
    before = assess(bundle, [to_vector(earlier)])[0] if earlier else None
    return ScorePreview(
        seller_id or stored.seller_id, now, changes(before, now) if before else None, advise(bundle, vector, band)
    )


def _no_vector(seller_id: str | None) -> str:
    if seller_id is None:
        return "The latest feature snapshot holds no seller; run `sellerscore ingest` with some."
    return f'No operating data of the seller "{seller_id}" is in the latest feature snapshot; check the seller_id.'


NOTICE: Final = "Internal and unsigned: printed only, not stored, no evidence for a bank."


_CHANGES_SHOWN: Final = 5


def render_preview(looked: ScorePreview) -> RenderableType:
    """Return all that is known of a seller's score: why it is what it is, what changed, and what would help.

    Example: `Console().print(shown(look(settings, "S-1")))`.
    """
    parts = [waterfall(looked.seller_id, looked.assessment)]
    if looked.changed is not None:
        parts += [Text(), trend(looked.changed)]
    if looked.assessment.score is not None:
        parts += [Text(), advice(looked.advice)]
    return Group(*parts, Text(), Text(NOTICE, style="yellow"))


def waterfall(seller_id: str, assessment: Assessment) -> RenderableType:
    """Return an assessment as Rich prints it: its steps as bars, or what lacked for a number.

    Example: `Console().print(waterfall("S-1", assessment))`.
    """
    dates = f"data through {assessment.data_through or 'unknown'}, requested on {assessment.requested_on}"
    parts: list[RenderableType] = [Text.assemble((f"Seller {seller_id}", "bold"), f"  {dates}"), Text()]
    if assessment.explanation is None:
        parts += _without_number(assessment)
    else:
        parts += _with_number(assessment, assessment.explanation)
    return Group(*parts)


def _with_number(assessment: Assessment, explanation: Explanation) -> Iterator[RenderableType]:
    steps = waterfall_steps(explanation)
    low, high = extent(explanation.base_points, steps)
    table = Table(box=None, padding=(0, 1, 0, 0), expand=True, pad_edge=False)
    table.add_column("")
    table.add_column("points", justify="right", no_wrap=True)
    table.add_column("", ratio=1, min_width=16)
    table.add_row("Base", str(explanation.base_points), "")
    for step in steps:
        table.add_row(step.label, f"{step.points:+d}", _Bar(step, low, high))
    table.add_row(Text("Score", "bold"), Text(str(assessment.score), "bold"), "")
    yield Text.assemble(
        (f"Score {assessment.score}", "bold"),
        f"   band {assessment.band}   probability of default {assessment.probability_of_default:.2%}",
    )
    yield Text(f"({assessment.default_definition}; compared with: {explanation.reference_population})", "dim")
    yield Text()
    yield table
    if explanation.reasons:
        yield Text("\nPrincipal reasons, and what the score gains with that figure at its typical value", "bold")
    for reason in explanation.reasons:
        yield _indented(f"{reason.gain:+4d}  {reason.statement}")
    for gap in assessment.table_gaps:
        known = f"ends on {gap.data_through}, too long ago" if gap.data_through else "was not delivered"
        yield Text(f"The table {gap.table} {known}; figures that rest on it count as missing.", "yellow")


def _without_number(assessment: Assessment) -> Iterator[RenderableType]:
    told = for_bank(assessment, {}, translator_for(Language.ENGLISH))
    yield Text.assemble((told.title, "bold"), f" ({assessment.outcome})")
    yield from map(_indented, told.facts)
    yield Text(told.to_do)


def trend(changed: Changes) -> RenderableType:
    """Return what became of a score since an earlier one by the same model, the largest changes first.

    Example: `Console().print(trend(changes(before, now)))`.
    """
    head = f"{changed.before} then, {changed.now} now ({changed.now - changed.before:+d})"
    lines = [f"{each.points:+4d}  {each.label}{_then_and_now(each)}" for each in changed.features[:_CHANGES_SHOWN]]
    others = changed.features[_CHANGES_SHOWN:]
    if others:
        lines.append(f"{sum(each.points for each in others):+4d}  {len(others)} others")
    if changed.by_model:
        lines.append(f"{changed.by_model:+4d}  another model judges the same figures")
    return Group(Text.assemble((f"By today's model, since {changed.since}: ", "bold"), head), *map(_indented, lines))


def _then_and_now(change: FeatureChange) -> str:
    if change.feature == SCALE_LIMIT:
        return ""
    return f": {format_value(change.before, change.unit)} then, {format_value(change.now, change.unit)} now"


def advice(given: Advice) -> RenderableType:
    """Return what would move the seller to the band asked for, or why nothing is advised.

    Example: `Console().print(advice(advise(bundle, vector)))`.
    """
    match given.verdict:
        case AdviceVerdict.FOUND:
            return Group(*_options(given))
        case AdviceVerdict.REACHED:
            said = f"Band {given.now} is reached, and no better one than {given.band} was asked for."
            if given.now == given.band:
                said = f"Band {given.now} is reached."
        case AdviceVerdict.OUT_OF_REACH | AdviceVerdict.NO_STEP:
            return Group(*_steps(given))
        case AdviceVerdict.NO_SCORE:
            said = "Without a score there is no advice."
    return Text(said)


def _options(given: Advice) -> Iterator[RenderableType]:
    yield Text(f"To reach band {given.band}, if all else stays as it is", "bold")
    for number, option in enumerate(given.options, 1):
        yield _indented(f"{number}. score {option.score} ({option.points:+d}), band {option.band}")
        for each in option.changes:
            line = f"{each.label}: from {format_value(each.value, each.unit)} to {format_value(each.to, each.unit)}"
            yield Padding(Text(line), (0, 0, 0, 5))
    yield _indented(f"Each change is no larger than one in ten sellers of this size made in {given.days} days.")


def _steps(given: Advice) -> Iterator[RenderableType]:
    if given.steps:
        head = f"Steps that raise the score; together they lead to {given.farthest}, not to band {given.band}"
        yield Text(head, "bold")
    else:
        yield Text(f"No change that sellers of this size made in {given.days or 90} days raises the score.", "bold")
    for step in given.steps:
        change = step.change
        now, target = format_value(change.value, change.unit), format_value(change.to, change.unit)
        line = f"{change.label}: from {now} to {target}"
        yield _indented(f"{step.points:+4d}  {line}")
    if given.open_reasons:
        yield Text("What takes longer, and what the score gains at the typical value", "bold")
    for each in given.open_reasons:
        yield _indented(f"{each.reason.gain:+4d}  {each.reason.label}: {_LATER[each.why]}")


_LATER: Final = {
    OpenReasonCause.CHANGES_SLOWLY: "it follows from months of trading",
    OpenReasonCause.RARELY_IMPROVED: "sellers of this size rarely get there within months",
    OpenReasonCause.BELOW_SCALE: "the score is at the lowest point of the scale, and this alone does not raise it",
    OpenReasonCause.NEEDS_TABLE: "the platform must deliver the table",
    OpenReasonCause.NOT_COMPUTED: "it can be computed once there are enough data",
}


def _indented(line: str) -> RenderableType:
    return Padding(Text(line), (0, 0, 0, 2))


@dataclass(frozen=True)
class _Bar:
    """A step drawn between the lowest and highest points of the waterfall, as wide as its column."""

    step: WaterfallStep
    low: int
    high: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        scale = (width - 1) / max(self.high - self.low, 1)
        ends = sorted((self.step.start, self.step.start + self.step.points))
        left, right = (round((end - self.low) * scale) for end in ends)
        gain = self.step.points > 0
        # without colour or outside UTF-8 the two directions still differ
        mark = ("+" if gain else "-") if options.ascii_only else ("█" if gain else "▒")
        length = max(right - left, 1) if self.step.points else 0
        yield Segment(" " * left)
        yield Segment(mark * length, Style() if self.step.is_limit else Style(color="green" if gain else "red"))

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(16, options.max_width)
