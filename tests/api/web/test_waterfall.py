"""The waterfall as SVG: well-formed, without script or style, with every point, and no label becomes markup."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from xml.etree import ElementTree as Xml

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.scores.inputs import to_vector
from api.web.waterfall import extent, narrow_waterfall_svg, waterfall_steps, waterfall_svg
from features.store.vectors import StoredVector
from scoring import Assessment, Bundle, assess
from scoring.assessment import SCALE_LIMIT, Explanation, GroupPoints
from tests.api.conftest import NAMES, SNAPSHOT

NAMESPACE = "{http://www.w3.org/2000/svg}"
TEXTS = st.text(min_size=1, max_size=60)


def explanation_of(points: list[int], labels: list[str], limit: int = 0) -> Explanation:
    groups = [GroupPoints(f"g{i}", label, each) for i, (label, each) in enumerate(zip(labels, points, strict=False))]
    if limit:
        groups.append(GroupPoints(SCALE_LIMIT, "Limit of the scale", limit))
    return Explanation(600, "population", tuple(groups), (), ())


EXPLANATIONS = st.builds(
    explanation_of,
    st.lists(st.integers(-200, 200), min_size=1, max_size=20),
    st.lists(TEXTS, min_size=20, max_size=20),
    st.integers(-50, 50),
)


def score_of(explanation: Explanation) -> int:
    return explanation.base_points + sum(group.points for group in explanation.groups)


@dataclass(frozen=True)
class Example:
    """An assessment that hypothesis does not print."""

    assessment: Assessment = field(repr=False)

    def draw(self, explanation: Explanation, seller: str = "S-1") -> Xml.Element:
        return parse(
            waterfall_svg(seller, replace(self.assessment, score=score_of(explanation), explanation=explanation))
        )


@pytest.fixture(scope="module")
def example(bundle: Bundle) -> Example:
    values = (400.0, *(number / 10 for number in range(1, len(NAMES) - 1)), None)
    return Example(assess(bundle, [to_vector(StoredVector("S-1", SNAPSHOT, values))])[0])


def parse(svg: str) -> Xml.Element:
    return Xml.fromstring(svg)  # noqa: S314 - drawn here


def texts_in(drawing: Xml.Element) -> list[str | None]:
    return [element.text for element in drawing.iter(f"{NAMESPACE}text")]


def bars_in(drawing: Xml.Element, namespace: str = NAMESPACE) -> list[dict[str, str]]:
    return [dict(bar.attrib) for bar in drawing.iter(f"{namespace}rect")]


def test_the_waterfall_has_every_point_and_nothing_that_runs_or_loads(example: Example) -> None:
    assessment = example.assessment
    svg = waterfall_svg("S-1", assessment)
    drawing = parse(svg)
    assert {element.tag.removeprefix(NAMESPACE) for element in drawing.iter()} == {
        *("svg", "title", "desc", "text", "g", "rect", "line")
    }
    assert not any(word in svg for word in ("style=", "href", "onload", "<script", "url("))
    assert svg.count("http") == 1  # the namespace
    texts, description = texts_in(drawing), drawing.findtext(f"{NAMESPACE}desc") or ""
    assert assessment.explanation is not None
    for step in waterfall_steps(assessment.explanation):
        assert f"{step.points:+d}" in texts
        assert f"{step.label} {step.points:+d}." in description
    assert texts[-1] == str(assessment.score)
    assert f"From {assessment.explanation.base_points} base points" in description
    assert f"score {assessment.score}, band {assessment.band}" in (drawing.findtext(f"{NAMESPACE}title") or "")


@given(explanation=EXPLANATIONS, seller=TEXTS)
def test_bars_lead_from_step_to_step_inside_the_drawing(
    example: Example, explanation: Explanation, seller: str
) -> None:
    drawing, steps = example.draw(explanation, seller), waterfall_steps(explanation)
    low, high = extent(600, steps)
    for bar, step in zip(bars_in(drawing), steps, strict=True):
        assert bar["fill"] == ("#6b7280" if step.is_limit else "#0f7b6c" if step.points > 0 else "#c2570c")
        left, width = float(bar["x"]), float(bar["width"])
        ends = [260 + (at - low) * 430 / max(high - low, 1) for at in (step.start, step.start + step.points)]
        assert left == pytest.approx(min(ends), abs=0.06)
        assert width == pytest.approx(max(abs(ends[1] - ends[0]), 1.5), abs=0.06)
        assert 259 <= left <= left + width <= 692
    printable = "".join(letter if letter.isprintable() else "�" for letter in seller)
    assert (drawing.findtext(f"{NAMESPACE}title") or "").startswith(f"Seller {printable}: ")


def test_without_a_score_the_drawing_states_what_is_missing(bundle: Bundle) -> None:
    vector = to_vector(StoredVector("S-1", SNAPSHOT, (10.0, *(0.5,) * (len(NAMES) - 1))))
    drawing = parse(waterfall_svg("S-1", assess(bundle, [vector])[0]))
    text = " ".join(element.text or "" for element in drawing.iter())
    assert "no score, insufficient history" in text
    assert "days_on_platform: found 10.0, needed 90.0." in text
    assert bars_in(drawing) == []


def test_a_drawing_for_a_file_of_its_own_has_paper_and_ink(example: Example) -> None:
    alone = parse(waterfall_svg("S-1", example.assessment, alone=True))
    embedded = parse(waterfall_svg("S-1", example.assessment))
    assert (alone.attrib["color"], alone.attrib["fill"]) == ("#111111", "currentColor")
    assert "color" not in embedded.attrib
    assert len(bars_in(alone)) == len(bars_in(embedded)) + 1


@pytest.mark.parametrize(
    ("label", "short"), [("a" * 34, "a" * 34), ("a" * 35, "a" * 33 + "…"), ("退" * 20, "退" * 16 + "…")]
)
def test_long_labels_are_cut_by_their_width(example: Example, label: str, short: str) -> None:
    assert short in texts_in(example.draw(explanation_of([5], [label])))


@given(EXPLANATIONS)
def test_the_narrow_waterfall_has_every_step_inside_the_drawing(explanation: Explanation) -> None:
    score, steps = score_of(explanation), waterfall_steps(explanation)
    svg = narrow_waterfall_svg(explanation, score)
    drawing = parse(svg)
    assert {element.tag for element in drawing.iter()} <= {"svg", "g", "title", "text", "rect", "line"}
    assert "style=" not in svg
    width, height = map(float, drawing.attrib["viewBox"].split()[2:])
    texts = [element.text for element in drawing.iter("text")]
    assert texts[3:-2:2] == [f"{step.points:+d}" for step in steps]
    assert (texts[1], texts[-1]) == ("600", str(score))
    assert all(f"{step.points:+d}." in drawing.attrib["aria-label"] for step in steps)
    bars = bars_in(drawing, "")
    assert [bar["class"] for bar in bars] == [
        "soft" if step.is_limit else "gain" if step.points > 0 else "loss" for step in steps
    ]
    assert all(0 <= float(bar["x"]) <= float(bar["x"]) + float(bar["width"]) <= width + 0.11 for bar in bars)
    rows = [float(group.attrib["transform"].split()[1].rstrip(")")) for group in drawing.iter("g")]
    assert all(row + 50 <= height for row in rows)
