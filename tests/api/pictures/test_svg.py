"""The waterfall as SVG: well-formed, without script or style, every point in it, and no label becomes markup."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from xml.etree import ElementTree as Xml

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.pictures.narrow import narrow_waterfall_svg
from api.pictures.steps import extent, steps_of
from api.pictures.svg import waterfall_svg
from api.vectors import to_vector
from features.store.vectors import StoredVector
from scoring import Assessment, Bundle, assess
from scoring.assess import SCALE_LIMIT, Explanation, GroupPoints
from tests.api.conftest import NAMES, SNAPSHOT

NAMESPACE = "{http://www.w3.org/2000/svg}"
_TEXT = st.text(min_size=1, max_size=60)


@pytest.fixture(scope="module")
def assessment(bundle: Bundle) -> Assessment:
    values = (400.0, *(number / 10 for number in range(1, len(NAMES) - 1)), None)
    return assess(bundle, [to_vector(StoredVector("S-1", SNAPSHOT, values))])[0]


@dataclass(frozen=True)
class Some:
    """An assessment that hypothesis does not write out in full where it fails."""

    assessment: Assessment = field(repr=False)


@pytest.fixture(scope="module")
def some(assessment: Assessment) -> Some:
    return Some(assessment)


def drawn(assessment: Assessment, seller: str = "S-1") -> Xml.Element:
    return Xml.fromstring(waterfall_svg(seller, assessment))  # noqa: S314 - made here


def explained(assessment: Assessment, points: list[int], labels: list[str], limit: int = 0) -> Assessment:
    groups = [
        GroupPoints(f"g{i}", label, earned) for i, (label, earned) in enumerate(zip(labels, points, strict=False))
    ]
    if limit:
        groups.append(GroupPoints(SCALE_LIMIT, "Limit of the scale", limit))
    score = 600 + sum(each.points for each in groups)
    return replace(assessment, score=score, explanation=Explanation(600, "population", tuple(groups), (), ()))


def test_it_holds_pictures_and_words_and_nothing_that_acts(assessment: Assessment) -> None:
    text = waterfall_svg("S-1", assessment)
    kinds = {element.tag.removeprefix(NAMESPACE) for element in drawn(assessment).iter()}
    assert kinds == {"svg", "title", "desc", "text", "g", "rect", "line"}
    assert not any(word in text for word in ("style=", "href", "onload", "<script", "url("))
    assert text.count("http") == 1  # the name of the format


def test_all_points_are_in_it_and_in_its_description(assessment: Assessment) -> None:
    picture = drawn(assessment)
    words = [element.text for element in picture.iter(f"{NAMESPACE}text")]
    description = picture.findtext(f"{NAMESPACE}desc") or ""
    assert assessment.explanation is not None
    for step in steps_of(assessment.explanation):
        assert f"{step.points:+d}" in words
        assert f"{step.label} {step.points:+d}." in description
    assert words[-1] == str(assessment.score)
    assert f"From {assessment.explanation.base_points} base points" in description
    assert f"score {assessment.score}, band {assessment.band}" in (picture.findtext(f"{NAMESPACE}title") or "")


@given(
    points=st.lists(st.integers(-200, 200), min_size=1, max_size=20),
    labels=st.lists(_TEXT, min_size=20, max_size=20),
    limit=st.integers(-50, 50),
    seller=_TEXT,
)
def test_bars_go_from_step_to_step_within_the_picture(
    some: Some, points: list[int], labels: list[str], limit: int, seller: str
) -> None:
    shown = explained(some.assessment, points, labels, limit)
    assert shown.explanation is not None
    picture = drawn(shown, seller)
    steps = steps_of(shown.explanation)
    low, high = extent(600, steps)
    bars = [dict(bar.attrib) for bar in picture.iter(f"{NAMESPACE}rect")]
    assert len(bars) == len(steps)
    for bar, step in zip(bars, steps, strict=True):
        assert bar["fill"] == ("#6b7280" if step.is_limit else "#0f7b6c" if step.points > 0 else "#c2570c")
        left, width = float(bar["x"]), float(bar["width"])
        ends = [260 + (at - low) * 430 / max(high - low, 1) for at in (step.start, step.start + step.points)]
        assert left == pytest.approx(min(ends), abs=0.06)
        assert width == pytest.approx(max(abs(ends[1] - ends[0]), 1.5), abs=0.06)
        assert 259 <= left <= left + width <= 692
    told = "".join(letter if letter.isprintable() else "�" for letter in seller)
    assert (picture.findtext(f"{NAMESPACE}title") or "").startswith(f"Seller {told}: ")


def test_gains_and_losses_differ_in_colour_and_sign(assessment: Assessment) -> None:
    picture = drawn(explained(assessment, [30, -20], ["Up", "Down"]))
    colours = [bar.attrib["fill"] for bar in picture.iter(f"{NAMESPACE}rect")]
    assert len(set(colours)) == 2


def test_the_limit_of_the_scale_is_drawn_as_neither_gain_nor_loss(assessment: Assessment) -> None:
    for limit in (25, -25):
        picture = drawn(explained(assessment, [30, -20], ["Up", "Down"], limit))
        colours = [bar.attrib["fill"] for bar in picture.iter(f"{NAMESPACE}rect")]
        assert colours == ["#0f7b6c", "#c2570c", "#6b7280"]


def test_without_a_number_it_says_what_lacked(bundle: Bundle) -> None:
    young = assess(bundle, [to_vector(StoredVector("S-1", SNAPSHOT, (10.0, *(0.5,) * (len(NAMES) - 1))))])[0]
    picture = drawn(young)
    words = " ".join(element.text or "" for element in picture.iter())
    assert "no score, insufficient history" in words
    assert "days_on_platform: found 10.0, needed 90.0." in words
    assert not list(picture.iter(f"{NAMESPACE}rect"))


def test_a_picture_of_its_own_brings_paper_and_ink(assessment: Assessment) -> None:
    alone = Xml.fromstring(waterfall_svg("S-1", assessment, alone=True))  # noqa: S314 - made here
    within = drawn(assessment)
    assert (alone.attrib["color"], alone.attrib["fill"]) == ("#111111", "currentColor")
    assert "color" not in within.attrib
    assert len(list(alone.iter(f"{NAMESPACE}rect"))) == len(list(within.iter(f"{NAMESPACE}rect"))) + 1


@pytest.mark.parametrize(
    ("label", "short"), [("a" * 34, "a" * 34), ("a" * 35, "a" * 33 + "…"), ("退" * 20, "退" * 16 + "…")]
)
def test_long_labels_are_cut_by_the_room_that_they_take(assessment: Assessment, label: str, short: str) -> None:
    picture = drawn(explained(assessment, [5], [label]))
    assert short in [element.text for element in picture.iter(f"{NAMESPACE}text")]


@given(
    points=st.lists(st.integers(-200, 200), min_size=1, max_size=20),
    labels=st.lists(_TEXT, min_size=20, max_size=20),
    limit=st.integers(-50, 50),
)
def test_for_a_narrow_screen_every_step_is_told_and_none_leaves_it(
    some: Some, points: list[int], labels: list[str], limit: int
) -> None:
    shown = explained(some.assessment, points, labels, limit)
    assert shown.explanation is not None
    assert shown.score is not None
    text = narrow_waterfall_svg(shown.explanation, shown.score)
    picture = Xml.fromstring(text)  # noqa: S314 - made here
    assert {each.tag for each in picture.iter()} <= {"svg", "g", "title", "text", "rect", "line"}
    width, height = map(float, picture.attrib["viewBox"].split()[2:])
    steps = steps_of(shown.explanation)
    words = [each.text for each in picture.iter("text")]
    assert words[3:-2:2] == [f"{step.points:+d}" for step in steps]
    assert (words[1], words[-1]) == ("600", str(shown.score))
    for each in steps:
        assert f"{each.points:+d}." in picture.attrib["aria-label"]
    bars = [dict(bar.attrib) for bar in picture.iter("rect")]
    assert [bar["class"] for bar in bars] == [
        "soft" if each.is_limit else "gain" if each.points > 0 else "loss" for each in steps
    ]
    assert all(0 <= float(bar["x"]) <= float(bar["x"]) + float(bar["width"]) <= width + 0.11 for bar in bars)
    rows = [float(group.attrib["transform"].split()[1].rstrip(")")) for group in picture.iter("g")]
    assert all(row + 50 <= height for row in rows)
    assert "style=" not in text
