"""The preview of `sellerscore score`: score, reasons, changes since the previous snapshot, and advice; not stored."""

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
from features.store.vectors import VectorStore
from scoring import Advice, AdviceVerdict, Assessment, Changes, advise, assess, changes
from scoring.advice import OpenReasonCause
from scoring.assessment import SCALE_LIMIT, Explanation
from scoring.changes import FeatureChange
from scoring.formatting import Language, format_value


@dataclass(frozen=True)
class ScorePreview:
    """The assessment of a seller. `changed` is None without an earlier score."""

    seller_id: str
    assessment: Assessment
    changed: Changes | None
    advice: Advice

    def to_dict(self) -> dict[str, Any]:
        """Return the preview as plain values for JSON."""
        return {
            "seller_id": self.seller_id,
            "assessment": self.assessment.to_dict(),
            "changes": asdict(self.changed) if self.changed else None,
            "advice": asdict(self.advice),
        }


def preview_score(
    settings: Settings, seller_id: str | None, requested_on: date, band: str | None = None
) -> ScorePreview:
    """Score a seller with the champion, as of the latest and the previous snapshot. Nothing is stored.

    Args:
        settings: Settings of the service.
        seller_id: ID of the seller; by default the first one with a score.
        requested_on: Date of the score (UTC), which determines the age of the data.
        band: Target band of the advice; by default the next better one.

    Raises:
        SellerUnknown: The latest snapshot does not have the seller.
        StoreError: No snapshot is stored.
        StartError: There is no champion.
        ScoringError: The vectors do not fit the bundle, or it has no such band.
    """
    vectors = VectorStore(settings.vectors_path)
    # before the model is loaded, so that a failure downloads and writes nothing
    stored = next(vectors.all_latest(), None) if seller_id is None else vectors.latest(seller_id)
    if stored is None:
        raise SellerUnknown(
            "The latest feature snapshot has no sellers. Run `sellerscore ingest`."
            if seller_id is None
            else f'The latest feature snapshot has no data of the seller "{seller_id}". Check the seller_id.'
        )
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


NOTICE: Final = "For internal use: not signed, not stored, no evidence for a bank."

_CHANGES_SHOWN: Final = 5


def render_preview(preview: ScorePreview) -> RenderableType:
    """Return a preview as Rich prints it.

    Example: `Console().print(render_preview(preview_score(settings, "S-1", today)))`.
    """
    parts = [waterfall(preview.seller_id, preview.assessment)]
    if preview.changed is not None:
        parts += [Text(), trend(preview.changed)]
    if preview.assessment.score is not None:
        parts += [Text(), render_advice(preview.advice)]
    return Group(*parts, Text(), Text(NOTICE, style="yellow"))


def waterfall(seller_id: str, assessment: Assessment) -> RenderableType:
    """Return the waterfall of an assessment, or the reason why it has no score."""
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
        yield Text("\nPrincipal reasons, with the points gained at the typical value", "bold")
    for reason in explanation.reasons:
        yield _indented(f"{reason.gain:+4d}  {reason.statement}")
    for gap in assessment.table_gaps:
        state = f"ends on {gap.data_through}, which is too old" if gap.data_through else "was not delivered"
        yield Text(f"The table {gap.table} {state}; its features count as missing.", "yellow")


def _without_number(assessment: Assessment) -> Iterator[RenderableType]:
    texts = for_bank(assessment, {}, translator_for(Language.ENGLISH))
    yield Text.assemble((texts.title, "bold"), f" ({assessment.outcome})")
    yield from map(_indented, texts.facts)
    yield Text(texts.to_do)


def trend(changed: Changes) -> RenderableType:
    """Return the changes since an earlier score by the same model, largest first."""
    head = f"{changed.before} then, {changed.now} now ({changed.now - changed.before:+d})"
    lines = [f"{each.points:+4d}  {each.label}{_then_and_now(each)}" for each in changed.features[:_CHANGES_SHOWN]]
    others = changed.features[_CHANGES_SHOWN:]
    if others:
        lines.append(f"{sum(each.points for each in others):+4d}  {len(others)} other features")
    if changed.by_model:
        lines.append(f"{changed.by_model:+4d}  change of the scoring model")
    return Group(Text.assemble((f"By today's model, since {changed.since}: ", "bold"), head), *map(_indented, lines))


def _then_and_now(change: FeatureChange) -> str:
    if change.feature == SCALE_LIMIT:
        return ""
    return f": {format_value(change.before, change.unit)} then, {format_value(change.now, change.unit)} now"


def render_advice(advice: Advice) -> RenderableType:
    """Return the advice for reaching the target band, or the reason why there is none."""
    match advice.verdict:
        case AdviceVerdict.FOUND:
            return Group(*_options(advice))
        case AdviceVerdict.REACHED:
            message = f"Band {advice.now} is reached. It is at least as good as the requested band {advice.band}."
            if advice.now == advice.band:
                message = f"Band {advice.now} is reached."
        case AdviceVerdict.OUT_OF_REACH | AdviceVerdict.NO_STEP:
            return Group(*_steps(advice))
        case AdviceVerdict.NO_SCORE:
            message = "There is no advice without a score."
    return Text(message)


def _options(advice: Advice) -> Iterator[RenderableType]:
    yield Text(f"To reach band {advice.band}, with everything else unchanged", "bold")
    for number, option in enumerate(advice.options, 1):
        yield _indented(f"{number}. score {option.score} ({option.points:+d}), band {option.band}")
        for each in option.changes:
            line = f"{each.label}: from {format_value(each.value, each.unit)} to {format_value(each.to, each.unit)}"
            yield Padding(Text(line), (0, 0, 0, 5))
    yield _indented(f"At least one in ten sellers of this size achieved each change within {advice.days} days.")


def _steps(advice: Advice) -> Iterator[RenderableType]:
    if advice.steps:
        head = f"Changes that raise the score to {advice.farthest} in total, which does not reach band {advice.band}"
        yield Text(head, "bold")
    else:
        yield Text(
            f"No change that sellers of this size achieved within {advice.days or 90} days raises the score.", "bold"
        )
    for step in advice.steps:
        change = step.change
        now, target = format_value(change.value, change.unit), format_value(change.to, change.unit)
        line = f"{change.label}: from {now} to {target}"
        yield _indented(f"{step.points:+4d}  {line}")
    if advice.open_reasons:
        yield Text("Reasons that take longer, with the points gained at the typical value", "bold")
    for each in advice.open_reasons:
        yield _indented(f"{each.reason.gain:+4d}  {each.reason.label}: {_LATER[each.why]}")


_LATER: Final = {
    OpenReasonCause.CHANGES_SLOWLY: "it changes over months of trading",
    OpenReasonCause.RARELY_IMPROVED: "sellers of this size rarely improve it within months",
    OpenReasonCause.BELOW_SCALE: "the score is at the bottom of the scale, and this change alone does not raise it",
    OpenReasonCause.NEEDS_TABLE: "the platform must deliver the table",
    OpenReasonCause.NOT_COMPUTED: "it can be computed when there are enough data",
}


def _indented(line: str) -> RenderableType:
    return Padding(Text(line), (0, 0, 0, 2))


@dataclass(frozen=True)
class _Bar:
    """The bar of a step, scaled to the width of its column."""

    step: WaterfallStep
    low: int
    high: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        scale = (width - 1) / max(self.high - self.low, 1)
        ends = sorted((self.step.start, self.step.start + self.step.points))
        left, right = (round((end - self.low) * scale) for end in ends)
        gain = self.step.points > 0
        # the directions differ also without colour and outside UTF-8
        mark = ("+" if gain else "-") if options.ascii_only else ("█" if gain else "▒")
        length = max(right - left, 1) if self.step.points else 0
        yield Segment(" " * left)
        yield Segment(mark * length, Style() if self.step.is_limit else Style(color="green" if gain else "red"))

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(16, options.max_width)
