"""What the terminal shows of an assessment: every point of it, in 80 columns, with or without colour."""

import io
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from api.looked import Looked
from api.pictures.steps import steps_of
from api.pictures.terminal import NOTICE, advice, shown, trend
from api.vectors import to_vector
from features.store import StoredVector
from scoring import Advice, Assessment, Bundle, Changes, Verdict, assess
from scoring.advice import Change, Option
from scoring.assess import Contribution, Explanation
from scoring.changes import FeatureChange
from tests.api.conftest import NAMES, SNAPSHOT


def _assessment(bundle: Bundle, days: float = 400.0) -> Assessment:
    values = (days, *(number / 10 for number in range(1, len(NAMES) - 1)), None)
    return assess(bundle, [to_vector(StoredVector("S-1", SNAPSHOT, values))])[0]


def _printed(assessment: Assessment, encoding: str = "utf-8", *, color: bool = False) -> str:
    written = io.BytesIO()
    file = io.TextIOWrapper(written, encoding=encoding)
    console = Console(file=file, width=80, force_terminal=color, color_system="truecolor" if color else None)
    console.print(shown(Looked("S-1", assessment, None, Advice(Verdict.NOTHING_TO_CHANGE, "B", "A"))))
    file.flush()
    return written.getvalue().decode(encoding)


def _explanation(points: list[int], limit: int = 0) -> Explanation:
    each = [Contribution(f"f{i}", f"Feature {i}", 1.0, "ratio", 0.5, earned, "g") for i, earned in enumerate(points)]
    if limit:
        each.append(Contribution("scale_limit", "End of the scale", None, "points", None, limit, None))
    return Explanation(600, "population", tuple(each), ())


@given(st.lists(st.integers(-90, 90), max_size=30), st.integers(-50, 50), st.integers(1, 12))
def test_steps_lead_from_base_to_score(points: list[int], limit: int, shown: int) -> None:
    steps = steps_of(_explanation(points, limit), shown)
    reached = 600
    for step in steps:
        assert step.start == reached
        reached += step.points
    assert reached == 600 + sum(points) + limit
    assert len(steps) <= shown + 2


def test_large_steps_come_first_and_small_ones_are_one() -> None:
    steps = steps_of(_explanation([1, 14, 0, -9], limit=-3), shown=2)
    assert [(step.label, step.points) for step in steps] == [
        ("Feature 1", 14),
        ("Feature 3", -9),
        ("2 others", 1),
        ("End of the scale", -3),
    ]


@pytest.mark.parametrize(
    ("unit", "value", "shown"),
    [
        ("ratio", 0.034, "3.4%"),
        ("USD", 1234567.8, "$1,234,568"),
        ("days", 41.0, "41 d"),
        ("count", 3.0, "3"),
        ("ratio", None, "missing"),
    ],
)
def test_values_are_printed_in_their_unit(unit: str, value: float | None, shown: str) -> None:
    one = Contribution("f", "F", value, unit, None, 5, "g")
    (step,) = steps_of(Explanation(600, "population", (one,), ()))
    assert (step.value, step.typical) == (shown, "missing")


def test_a_score_is_printed_with_its_points_and_reasons(bundle: Bundle) -> None:
    assessment = _assessment(bundle)
    text = _printed(assessment)
    assert assessment.explanation is not None
    assert f"Score {assessment.score}" in text
    assert f"band {assessment.band}" in text
    assert "90+ days past due within 12 months" in text
    assert NOTICE in text
    assert 0 < len(assessment.explanation.reasons) <= 4
    for reason in assessment.explanation.reasons:
        assert f"{reason.code}  {reason.points:+4d}  {reason.statement}" in text
    assert max(len(line) for line in text.splitlines()) <= 80


def test_without_colour_there_is_no_escape_and_gains_still_differ_from_losses(bundle: Bundle) -> None:
    text = _printed(_assessment(bundle))
    assert "\x1b" not in text
    assert "█" in text
    assert "▒" in text
    assert "\x1b[32m" in _printed(_assessment(bundle), color=True)


def test_a_terminal_without_utf8_gets_plain_characters(bundle: Bundle) -> None:
    text = _printed(_assessment(bundle), "ascii")
    assert "++" in text
    assert "--" in text


@pytest.mark.parametrize(
    "label", ["A label that is rather longer than any column of eighty could hold beside the rest"]
)
def test_long_labels_stay_in_eighty_columns(bundle: Bundle, label: str) -> None:
    assessment = _assessment(bundle)
    assert assessment.explanation is not None
    longer = tuple(item._replace(label=label) for item in assessment.explanation.contributions)
    text = _printed(replace(assessment, explanation=replace(assessment.explanation, contributions=longer)))
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "█" in text


def test_an_outcome_without_a_number_says_what_lacks(bundle: Bundle) -> None:
    text = _printed(_assessment(bundle, days=41.0))
    assert "No score: insufficient history" in text
    assert "days_on_platform: found 41.0, needed 90.0" in text
    assert NOTICE in text


def _lines(shown: RenderableType) -> list[str]:
    console = Console(file=io.StringIO(), width=100)
    console.print(shown)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


def test_what_changed_adds_up_in_print() -> None:
    moved = tuple(FeatureChange(f"f{i}", f"Feature {i}", "ratio", 0.1, None, 8 - i) for i in range(8))
    lines = _lines(trend(Changes("2026-01-31", 600, 640, 4, moved)))
    assert lines[:2] == [
        "By today's model, since 2026-01-31: 600 then, 640 now (+40)",
        "    +8  Feature 0: 10.0% then, missing now",
    ]
    assert lines[-2:] == ["    +6  3 others", "    +4  another model judges the same figures"]
    assert 600 + sum(int(line.split()[0]) for line in lines[1:]) == 640
    assert _lines(trend(Changes("2026-01-31", 600, 600, 0, ()))) == [
        "By today's model, since 2026-01-31: 600 then, 600 now (+0)"
    ]


def test_options_are_told_with_every_change() -> None:
    changes = (
        Change("r", "Return rate", "ratio", "returns", 0.0621, 0.041),
        Change("h", "Handling", "hours", "fulfilment", 40.0, 31.5),
    )
    option = Option(changes, 0.5, 641, 16, "A")
    assert _lines(advice(Advice(Verdict.FOUND, "B", "A", (option,), days=90))) == [
        "To reach band A, if all else stays as it is",
        "  1. score 641 (+16), band A",
        "     Return rate: from 6.2% to 4.1%",
        "     Handling: from 40 h to 31.5 h",
        "  Each change is no larger than one in ten sellers of this size made in 90 days.",
    ]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (Advice(Verdict.REACHED, "A", "A"), "Band A is reached."),
        (Advice(Verdict.REACHED, "B", "D"), "Band B is reached, and no better one than D was asked for."),
        (Advice(Verdict.OUT_OF_REACH, "C", "B", farthest=611, days=90), "made in 90 days lead to 611 points at most."),
        (Advice(Verdict.NOTHING_TO_CHANGE, "C", "B"), "Nothing is advised"),
        (Advice(Verdict.NO_SCORE, None, None), "Without a score"),
    ],
)
def test_where_nothing_is_advised_it_says_why(given: Advice, said: str) -> None:
    assert said in " ".join(_lines(advice(given)))


def test_an_end_of_the_scale_has_no_value_to_tell() -> None:
    moved = (FeatureChange("scale_limit", "End of the scale", "points", None, None, -7),)
    assert _lines(trend(Changes("2026-01-31", 600, 593, 0, moved)))[1] == "    -7  End of the scale"
