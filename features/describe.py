"""The catalogue in words: `docs/features.md` and what `sellerscore features describe` prints are made here."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Final

from features.catalogue import CATALOGUE, FAMILIES, Feature
from features.facts import LATE_DELIVERY_HOURS, LATE_SHIPPING_HOURS

_SIGNS: Final = {1: "raises risk", -1: "lowers risk", 0: "either way"}

_PREFACE: Final = """# Features

Made from the catalogue by `sellerscore features describe --markdown`; a test holds the two together.
{count} features in {families} families, each a number that one seller has as of a midnight T (UTC).

## What the words mean
- **The time rule.** As of T one sees the rows with event time < T and `known_at` <= T. *The last n days* are [T - n,
  T). *n days that ended k days ago* are [T - k - n, T - k). *n settled days* are n days that ended 30 days ago.
- **Seller.** All stores that the latest versions of `stores` known by T give the seller, taken together. Own accounts
  are the seller's id and the ids of those stores.
- **Sales.** Orders of those stores whose buyer is none of the seller's own accounts; **gross sales** are their
  amounts. Money is micro-USD at the rate of the row's day, or where that day has none (weekends, holidays) at the
  latest of the 31 days before that was known when the row became visible; USD features are divided by 1,000,000.
- **Refunds.** Every refund that names an order counts on that order's day, once both are visible, and not at all if
  the order is from an own account; one that names none counts on its own day. It is charged to the store that it
  names. **Value returned or refunded** are those with reason `return` or `refund`; *cancelled*: `cancel`; *disputes*:
  `dispute` and `chargeback`; *refund of any kind*: all. A livestream return (reason `return` or `refund`) is one
  whose order's channel is `livestream`; refunds without an order are none. The days of a return are counted from its
  order's day to its own day (negative where it came first); returns without an order have none. *Within 48 hours* is
  less than 48 hours after the order, on exact times. Whether an order is from an own account is judged for the seller
  to whom its refund is charged.
- **Net sales** of some days are their gross sales less all refunds (any kind) that count on them. **Monthly settled
  net sales before** are a third of the net sales of 90 settled days.
- **Fulfilments** count on their order's day, once both are visible, and not if the order is from an own account; in
  the store that they name. *Whole hours* are the seconds between order and event (each cut to its second) divided by
  3,600, cut to a whole number, at least 0. Late shipping is strictly more than {late_shipping} hours after the order,
  late delivery strictly more than {late_delivery} hours.
- **Traffic, ratings, purchases** count on their own day in the store that they name. Average stars weigh each row by
  its number of ratings; a row's stars, as written in decimals, are rounded to hundredths (halves up). Ages are in
  whole days to T.
- **Loans** count for the seller whom they name, once paid out and visible; instalments that fell due and payments that
  were made, once visible, of loans that are. All of a loan is worth what its principal was on the day that it was paid
  out: no later exchange rate moves it, and all of a loan without principal is worth nothing. Payments settle the
  oldest instalment first: an instalment is *paid* on the first day by whose end the loan's payments reach 99.9% of all
  that fell due of it up to that instalment. *Days past due* are those from the due day to that day, or to T where it is
  not paid; at least 0. *Unpaid on some day of the last 365* is one that is not paid, or was paid at most 365 days ago.
  A loan is *past its term* when more days than that have gone by since the day it was paid out. What is *not yet paid
  back* of a loan is its principal less all its payments, at least 0.
- **A rate of nothing is missing**: a quotient whose divisor is zero or less has no value, and neither has anything
  made from a missing value. *At most* and *at least* apply to values that exist.
- **A table that nobody had delivered by T is unknown, not zero**: until the first midnight at which any row of any
  seller of that table was visible, all that rests on it is missing. Afterwards no rows count as zero.
- **12 months** are 365 days; other months are 30 days. The twelve settled months are [T - 60, T - 30), [T - 90, T -
  60) and so on.
- **Lower median** of a list is the smallest of its values that at least half of the list does not exceed. The plain
  median is the mean of the middle two.
- **A day's sales** are those of all stores together; the standard deviation is that of the population. *Busy days*:
  the sum over days of gross sales times returns, divided by the sum of squared gross sales.
- **Rise of a least-squares line**: with the n days numbered 1 to n, the line's slope times n, divided by the mean.
- **Buyers** are told apart by `buyer_id`. An order without one (a guest's) counts as a sale and as no buyer. In
  concentrations, all orders of the window without one count as one buyer's: hiding ids must not make a seller look less
  dependent on one buyer. Where no order of the window names its buyer, all that rests on buyers is missing, with it the
  share of related-party orders.
- **Currencies** and **countries** are those of orders that are sales. The seller's own country and currency are those
  of the latest version of `sellers` known by T; without one, nothing is sold at home.
- **Rush**: an hour of the clock (UTC) in which one buyer placed at least 3 orders with the seller, in any of the
  stores; all those orders are in it.
- **Festival days** of each year: 16 to 18 June, 9 to 11 November, Black Friday (the day after November's fourth
  Thursday) to the Monday after, 11 to 20 December. *Days that are no festival* are the window's days less those.
- **Sign**: a feature that raises risk can never raise the score as it grows, one that lowers risk never lower it; the
  served model is audited for it. A feature without a sign (*either way*) is never part of a score.
  *Scored*: the model reads it, since it has a sign and fake orders cannot buy a better value; all others serve the
  profile and the integrity checks. *Actionable*: a seller can change it within months, honestly. *Structural*: it
  counts stores, marketplaces or currencies, so how a seller is organised moves it; nothing else does. *Bought up* or
  *down*: fake orders for a twentieth of a month's sales, with visits, parcels and ratings, can move it that way by more
  than their money weighs, since it counts what is cheap. *pp*: percentage points, the difference of two ratios.
"""


def markdown() -> str:
    """Return `docs/features.md`, whole."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    numbers = {"late_shipping": LATE_SHIPPING_HOURS, "late_delivery": LATE_DELIVERY_HOURS}
    yield _PREFACE.format(count=len(CATALOGUE), families=len(FAMILIES), **numbers)
    for family, features in FAMILIES.items():
        yield f"## {family}\n"
        yield "| feature | meaning | unit | looks back | sign, and why | reason group | |"
        yield "|---|---|---|---|---|---|---|"
        yield from map(_row, features)
        yield ""


def _row(feature: Feature) -> str:
    back = "all history" if feature.window is None else f"{feature.window} days"
    sign = f"{_SIGNS[feature.sign]}: {feature.sign_reason}"
    cells = (f"`{feature.name}`", feature.meaning, feature.unit, back, sign, feature.reason_group, marks(feature))
    return f"| {' | '.join(cells)} |"


def text() -> Iterator[str]:
    """Yield the lines of the catalogue for a terminal, names first, so that they can be searched for.

    Example: the lines of one feature are its name, its meaning, and `USD; looks back 60 days; lowers risk: ...`.
    """
    for family, features in FAMILIES.items():
        yield from ("", family, "-" * len(family))
        for each in features:
            yield each.name
            yield from _wrapped(each.meaning)
            back = "all history" if each.window is None else f"{each.window} days"
            facts = (each.unit, f"looks back {back}", f"reason group {each.reason_group}", *filter(None, [marks(each)]))
            yield from _wrapped("; ".join(facts) + f"; {_SIGNS[each.sign]}: {each.sign_reason}")


def _wrapped(words: str) -> list[str]:
    return textwrap.wrap(words, width=100, initial_indent="    ", subsequent_indent="    ")


def marks(feature: Feature) -> str:
    """Return what sets a feature apart, in words, such as `scored, actionable`; perhaps nothing."""
    bought = f"bought {feature.bought.replace('both', 'up and down')}"
    named = (
        ("scored", feature.scored),
        ("actionable", feature.actionable),
        ("structural", feature.structural),
        (bought, feature.bought != "no"),
    )
    return ", ".join(word for word, holds in named if holds)


def as_data(feature: Feature) -> dict[str, object]:
    """Return a feature as plain values, ready for `json.dumps`; the expression as it is written.

    Example: `as_data(CATALOGUE[0])["unit"]` is `USD`.
    """
    told = ("name", "label", "meaning", "unit", "window", "sign", "sign_reason", "reason_group", "actionable")
    plain: dict[str, object] = {name: getattr(feature, name) for name in (*told, "structural", "bought", "scored")}
    return plain | {"tables": sorted(feature.tables), "expression": repr(feature.expression)}
