"""A printed score: all of its points, in 80 columns, with and without colour."""

import io
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from api.cli.preview import NOTICE, ScorePreview, render_advice, render_preview, trend
from api.scores.inputs import to_vector
from api.web.waterfall import waterfall_steps
from features.store.vectors import StoredVector
from scoring import Advice, AdviceVerdict, Assessment, Bundle, Changes, assess
from scoring.advice import Change, OpenReason, OpenReasonCause, Option, Relation, Step
from scoring.assessment import SCALE_LIMIT, Explanation, GroupPoints
from scoring.changes import FeatureChange
from scoring.freshness import TableGap
from scoring.reason_catalogue import Reason
from tests.api.conftest import NAMES, SNAPSHOT


def _assessment(bundle: Bundle, days: float = 400.0) -> Assessment:
    values = (days, *(number / 10 for number in range(1, len(NAMES) - 1)), None)
    return assess(bundle, [to_vector(StoredVector("S-1", SNAPSHOT, values))])[0]


def _printed(assessment: Assessment, encoding: str = "utf-8", *, color: bool = False) -> str:
    written = io.BytesIO()
    file = io.TextIOWrapper(written, encoding=encoding)
    console = Console(file=file, width=80, force_terminal=color, color_system="truecolor" if color else None)
    console.print(render_preview(ScorePreview("S-1", assessment, None, Advice(AdviceVerdict.NO_STEP, "B", "A"))))
    file.flush()
    return written.getvalue().decode(encoding)


def _explanation(points: list[int], limit: int = 0) -> Explanation:
    groups = [GroupPoints(f"g{i}", f"Group {i}", earned) for i, earned in enumerate(points)]
    if limit:
        groups.append(GroupPoints(SCALE_LIMIT, "Limit of the scale", limit))
    return Explanation(600, "population", tuple(groups), (), ())


@given(st.lists(st.integers(-90, 90), max_size=30), st.integers(-50, 50))
def test_steps_lead_from_the_base_to_the_score(points: list[int], limit: int) -> None:
    steps = waterfall_steps(_explanation(points, limit))
    reached = 600
    for step in steps:
        assert step.start == reached
        reached += step.points
    assert reached == 600 + sum(points) + limit
    assert len(steps) == sum(earned != 0 for earned in [*points, limit])


def test_steps_are_sorted_by_size_with_the_limit_of_the_scale_last() -> None:
    steps = waterfall_steps(_explanation([1, 14, 0, -9], limit=-30))
    assert [(step.label, step.points) for step in steps] == [
        ("Group 1", 14),
        ("Group 3", -9),
        ("Group 0", 1),
        ("Limit of the scale", -30),
    ]


def test_a_score_is_printed_with_points_and_reasons_in_eighty_columns(bundle: Bundle) -> None:
    assessment = _assessment(bundle)
    explanation = assessment.explanation
    assert explanation is not None
    text = _printed(assessment)
    for part in (f"Score {assessment.score}", f"band {assessment.band}", "90+ days past due within 12 months", NOTICE):
        assert part in text
    assert 0 < len(explanation.reasons) <= 4
    for reason in explanation.reasons:
        assert f"{reason.gain:+4d}  {reason.statement}" in text
    label = "A label that is longer than a column of eighty characters has space for beside the others"
    longer = tuple(group._replace(label=label) for group in explanation.groups)
    wide = _printed(replace(assessment, explanation=replace(explanation, groups=longer)))
    assert max(len(line) for line in (*text.splitlines(), *wide.splitlines())) <= 80
    assert "█" in wide


def test_gains_and_losses_differ_without_colour_and_without_utf8(bundle: Bundle) -> None:
    assessment = _assessment(bundle)
    text = _printed(assessment)
    assert "\x1b" not in text
    assert {"█", "▒"} <= set(text)
    assert "\x1b[32m" in _printed(assessment, color=True)
    plain = _printed(assessment, "ascii")
    assert "++" in plain
    assert "--" in plain


def test_without_a_score_the_missing_history_is_named(bundle: Bundle) -> None:
    text = _printed(_assessment(bundle, days=41.0))
    assert "Sales on too few days for a score (insufficient_history)" in text
    assert "days_on_platform: 41. A score needs 90." in text
    assert "Score " not in text
    assert NOTICE in text


@pytest.mark.parametrize(
    ("through", "state"), [("2026-01-02", "ends on 2026-01-02, which is too old"), (None, "was not delivered")]
)
def test_a_table_that_the_score_ignores_is_named(bundle: Bundle, through: str | None, state: str) -> None:
    assessment = replace(_assessment(bundle), table_gaps=(TableGap("traffic", through),))
    sentence = f"The table traffic {state}; its features count as missing."
    assert sentence in " ".join(_printed(assessment).split())
    assert "count as missing" not in _printed(_assessment(bundle))


def _lines(content: RenderableType) -> list[str]:
    console = Console(file=io.StringIO(), width=100)
    console.print(content)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


def test_printed_changes_sum_to_the_difference() -> None:
    moved = tuple(FeatureChange(f"f{i}", f"Feature {i}", "ratio", 0.1, None, 8 - i) for i in range(8))
    lines = _lines(trend(Changes("2026-01-31", 600, 640, 4, moved)))
    assert lines[:2] == [
        "By today's model, since 2026-01-31: 600 then, 640 now (+40)",
        "    +8  Feature 0: 10.0% then, not known now",
    ]
    assert lines[-2:] == ["    +6  3 other features", "    +4  change of the scoring model"]
    assert 600 + sum(int(line.split()[0]) for line in lines[1:]) == 640
    unchanged = _lines(trend(Changes("2026-01-31", 600, 600, 0, ())))
    assert unchanged == ["By today's model, since 2026-01-31: 600 then, 600 now (+0)"]
    limit = (FeatureChange(SCALE_LIMIT, "Limit of the scale", "points", None, None, -7),)
    assert _lines(trend(Changes("2026-01-31", 600, 593, 0, limit)))[1] == "    -7  Limit of the scale"


def test_options_are_printed_with_every_change() -> None:
    changes = (
        Change("r", "Return rate", "ratio", "returns", 0.0621, 0.041),
        Change("h", "Handling", "hours", "fulfilment", 40.0, 31.5),
    )
    option = Option(changes, 0.5, 641, 16, "A")
    assert _lines(render_advice(Advice(AdviceVerdict.FOUND, "B", "A", (option,), days=90))) == [
        "To reach band A, with everything else unchanged",
        "  1. score 641 (+16), band A",
        "     Return rate: from 6.2% to 4.1%",
        "     Handling: from 40 hours to 31.5 hours",
        "  At least one in ten sellers of this size achieved each change within 90 days.",
    ]


@pytest.mark.parametrize(
    ("advice", "text"),
    [
        (Advice(AdviceVerdict.REACHED, "A", "A"), "Band A is reached."),
        (Advice(AdviceVerdict.REACHED, "B", "D"), "Band B is reached. It is at least as good as the requested band D."),
        (
            Advice(AdviceVerdict.NO_STEP, "C", "B", days=90),
            "No change that sellers of this size achieved within 90 days raises",
        ),
        (Advice(AdviceVerdict.NO_SCORE, None, None), "no advice without a score"),
    ],
)
def test_without_advice_the_reason_is_printed(advice: Advice, text: str) -> None:
    assert text in " ".join(_lines(render_advice(advice)))


def test_steps_are_printed_if_the_band_is_out_of_reach() -> None:
    change = Change("r", "Return rate", "ratio", "returns", 0.0621, 0.041)
    step = Step(change, 607, 7, Relation.PRINCIPAL_REASON, "R_HIGH")
    reason = Reason("T_LOW", "tenure", "t", "Time on the platform", "low", 99.0, 700.0, "days", None, None, -30, 21)
    advice = Advice(
        AdviceVerdict.OUT_OF_REACH,
        "C",
        "B",
        steps=(step,),
        open_reasons=(OpenReason(reason, OpenReasonCause.CHANGES_SLOWLY),),
        farthest=607,
        days=90,
    )
    assert _lines(render_advice(advice)) == [
        "Changes that raise the score to 607 in total, which does not reach band B",
        "    +7  Return rate: from 6.2% to 4.1%",
        "Reasons that take longer, with the points gained at the typical value",
        "   +21  Time on the platform: it changes over months of trading",
    ]
