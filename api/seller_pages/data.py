"""What we hold of a seller: which tables, how fresh, a year of sales, every figure of the score. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from api.seller_pages.pictures import columns_picture
from api.seller_pages.wording import TABLES
from api.seller_pages.words import N_, Words
from features.profile.profile import MissingReason, ProfileSeries, ProfileTable, SellerProfile
from scoring.sheet import FeatureEntry

SALES: Final = "net_sales"
_MICROS: Final = 1_000_000


@dataclass(frozen=True)
class TableRow:
    """A table: through when it was delivered, and since when it tells of the seller."""

    name: str
    through: str
    since: str
    latest: str
    known: bool


@dataclass(frozen=True)
class Sales:
    """A year of net sales in twelve steps: the picture, where anything was sold, and a row a step."""

    picture: Markup | None
    rows: tuple[tuple[str, str, bool], ...]


@dataclass(frozen=True)
class FigureRow:
    """A figure that may be disputed."""

    feature: str
    label: str
    value: str


def tables_of(picture: SellerProfile, words: Words) -> tuple[TableRow, ...]:
    """Return the tables as the seller reads them."""
    return tuple(_table(each, words) for each in picture.coverage)


def sales_of(picture: SellerProfile, words: Words) -> Sales | None:
    """Return a year of net sales, None where there are none to show."""
    shown = next(each for each in picture.series if each.series.name == SALES)
    if shown.missing is not None:
        return None
    amounts = [None if value is None else value / _MICROS for value in shown.values]
    known = [value for value in amounts if value is not None]
    said = words.say(
        N_("Your sales after refunds in twelve steps of thirty days, from %(low)s to %(high)s a step."),
        low=words.money(round(min(known))),
        high=words.money(round(max(known))),
    )
    settled = [step.settled for step in picture.steps]
    drawn = columns_picture(amounts, settled, said) if max(known) > 0 else None
    return Sales(drawn, tuple(_steps(picture, shown, words)))


def figures_of(sheet: Sequence[FeatureEntry], values: Sequence[float | None], words: Words) -> tuple[FigureRow, ...]:
    """Return every figure that the model reads, in the order of the catalogue."""
    return tuple(
        FigureRow(entry.name, words.say(entry.label), words.figure(value, entry.unit))
        for entry, value in zip(sheet, values, strict=True)
        if entry.scored
    )


def _table(each: ProfileTable, words: Words) -> TableRow:
    name = words.say(TABLES.get(each.table, each.table))
    through = words.day(each.covers_through) if each.covers_through else words.say(N_("not delivered"))
    if each.first_day is None or each.last_day is None:
        nothing = words.say(
            N_("not delivered") if each.missing is MissingReason.NOT_DELIVERED else N_("no records of yours")
        )
        return TableRow(name, through, nothing, "", known=False)
    return TableRow(name, through, words.day(each.first_day), words.day(each.last_day), known=True)


def _steps(picture: SellerProfile, shown: ProfileSeries, words: Words) -> Iterator[tuple[str, str, bool]]:
    for step, value in zip(picture.steps, shown.values, strict=True):
        amount = words.say(N_("not known")) if value is None else words.money(round(value / _MICROS))
        yield f"{words.day(step.begins)} – {words.day(step.ends)}", amount, step.settled
