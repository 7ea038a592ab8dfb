"""The charts: as in the reviewed files, inside their area, proportional to their values, and free of markup."""

from __future__ import annotations

import math
import os
import re
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.web.charts import HEIGHT, WIDTH, SeriesData, bar_chart, coverage_strip, line_chart, percent_bar, percent_dot

GOLDEN = Path(__file__).parent / "golden"
YEAR = ("2025-01-06", "2025-12-31")
SETTLED = (*[False] * 11, True)
SALES = SeriesData((None, None, 0, 10, 25, -5, 40, 38, 21, 22, 30, 12), SETTLED, YEAR)
RATING = SeriesData((None, 4.2, 4.4, None, 4.4, 4.1, 4.0, 3.6, 3.9, 4.4, 4.5, 4.45), SETTLED, YEAR, floor=1.0)
CHARTS = {
    "bars": bar_chart(SALES, "Net sales in twelve steps"),
    "line": line_chart(RATING, "Average rating in twelve steps"),
    "nothing": bar_chart(SeriesData((None,) * 12, SETTLED, YEAR), "Nothing"),
    "bar": percent_bar(71),
    "no_bar": percent_bar(None),
    "dot": percent_dot(22),
    "strip": coverage_strip([0, 1, 15, 30, 31], 30),
}
VALUES = st.lists(st.none() | st.floats(-1e18, 1e18) | st.integers(-(2**62), 2**62), min_size=1, max_size=12)


def parse(chart: str) -> Xml.Element:
    return Xml.fromstring(chart)  # noqa: S314 - drawn here


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_is_as_in_its_reviewed_file(name: str) -> None:
    path = GOLDEN / f"{name}.svg"
    if os.environ.get("SELLERSCORE_WRITE_GOLDEN"):  # review them afterwards
        path.write_text(CHARTS[name] + "\n", encoding="utf-8")
    assert CHARTS[name] + "\n" == path.read_text(encoding="utf-8")


@given(VALUES, st.booleans())
def test_any_values_are_drawn_inside(values: list[float | None], provisional: bool) -> None:
    points = SeriesData(values, [provisional] * len(values), ("a", "b"))
    for chart, mark in ((bar_chart(points, "x"), "rect"), (line_chart(points, "x"), "circle")):
        tree = parse(chart)
        assert len(tree.findall(mark)) == sum(value is not None for value in values)
        for each in tree:
            for name in ("x", "x1", "cx", "y", "y1", "cy"):
                most = WIDTH if "x" in name else HEIGHT
                place = float(each.get(name, "0"))
                assert math.isfinite(place)
                assert -5 <= place <= most
        assert all(float(each.get("height", "0")) >= 0 for each in tree.findall("rect"))


@given(st.lists(st.integers(0, 10**9), min_size=2, max_size=12))
def test_a_taller_bar_is_a_larger_value(values: list[int]) -> None:
    tree = parse(bar_chart(SeriesData(values, [False] * len(values), ("a", "b")), "x"))
    heights = [float(each.get("height", "")) for each in tree.findall("rect")]
    for (value, height), (other, taller) in pairwise(zip(values, heights, strict=True)):
        assert (height <= taller) if value <= other else (height >= taller)


@given(st.text())
def test_no_text_becomes_markup(text: str) -> None:
    chart = bar_chart(SeriesData((1.0,), (False,), (text, text)), text)
    tree = parse(chart)
    assert len(tree) == 4  # a bar, the line, two texts
    assert len((tree.get("aria-label") or "").replace("�", "")) <= len(text)


@pytest.mark.parametrize("chart", CHARTS.values(), ids=list(CHARTS))
def test_charts_obey_a_strict_policy_and_take_the_colours_of_the_page(chart: str) -> None:
    assert not re.search(r"style=|<style|<script|href|url\(|#[0-9a-f]{3}", chart)
    assert 'fill="currentColor"' in chart or 'stroke="currentColor"' in chart
    assert ("aria-label" in chart) != ("aria-hidden" in chart)


@given(st.integers(0, 100))
def test_a_bar_is_as_long_as_its_number(percent: int) -> None:
    bar = parse(percent_bar(percent)).findall("rect")[1]
    assert float(bar.get("width", "")) == pytest.approx(max(percent * 2, 1))
    assert float(parse(percent_dot(percent)).findall("circle")[0].get("cx", "")) == pytest.approx(
        5 + 1.9 * percent, abs=0.06
    )
