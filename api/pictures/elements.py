"""What the small pictures share: SVG for a page of HTML, built as a tree, in the page's own colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from xml.etree import ElementTree as Xml

INK, SOFT, ACCENT = "ink", "soft", "accent"
"""Classes of the page's style: their colour, light, dark or on paper, is what `currentColor` means."""

CURRENT: Final = "currentColor"


def picture(width: float, height: float, words: str | None = None) -> Xml.Element:
    """Return an empty picture.

    Args:
        width: of what is drawn; a page makes it as wide as there is room.
        height: likewise.
        words: say what it shows to those who do not see it; None where words beside it do.
    """
    told = {"aria-hidden": "true"} if words is None else {"role": "img", "aria-label": plain(words)}
    return Xml.Element("svg", {"viewBox": f"0 0 {number(width)} {number(height)}", **told})


def rect(parent: Xml.Element, box: tuple[float, float, float, float], colour: str, **style: str) -> None:
    """Add a rectangle: left, top, width, height."""
    names = ("x", "y", "width", "height")
    place = {name: number(value) for name, value in zip(names, box, strict=True)}
    Xml.SubElement(parent, "rect", {**place, "class": colour, "fill": CURRENT, **_dashed(style)})


def line(parent: Xml.Element, ends: tuple[float, float, float, float], colour: str, **style: str) -> None:
    """Add a line: from x, y to x, y."""
    place = {name: number(value) for name, value in zip(("x1", "y1", "x2", "y2"), ends, strict=True)}
    Xml.SubElement(parent, "line", {**place, "class": colour, "stroke": CURRENT, **_dashed(style)})


def ticks(parent: Xml.Element, places: Sequence[float], between: tuple[float, float], colour: str) -> None:
    """Add thin upright lines at some places, each from one height to another."""
    path = "".join(f"M{number(x)} {number(between[0])}V{number(between[1])}" for x in places)
    Xml.SubElement(parent, "path", {"d": path, "class": colour, "stroke": CURRENT, "stroke-opacity": "0.5"})


def dot(parent: Xml.Element, centre: tuple[float, float], radius: float, colour: str, **style: str) -> None:
    """Add a dot."""
    place = {"cx": number(centre[0]), "cy": number(centre[1]), "r": number(radius)}
    Xml.SubElement(parent, "circle", {**place, "class": colour, "fill": CURRENT, **_dashed(style)})


def text(parent: Xml.Element, place: tuple[float, float], words: str, **style: str) -> None:
    """Add words, in the page's soft ink."""
    where = {"x": number(place[0]), "y": number(place[1]), "class": SOFT, "fill": CURRENT, **_dashed(style)}
    Xml.SubElement(parent, "text", where).text = plain(words)


def written(drawn: Xml.Element) -> str:
    """Return a picture as it stands in a page."""
    return Xml.tostring(drawn, encoding="unicode")


def number(value: float) -> str:
    """Return a coordinate, to a tenth.

    Example: 12.0 is "12" and 3.14159 is "3.1".
    """
    return f"{value:.1f}".removesuffix(".0")


def plain(words: str) -> str:
    """Return words without control characters, which XML has no way to write."""
    return "".join(letter if letter.isprintable() else "�" for letter in words)


def _dashed(style: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in style.items()}
