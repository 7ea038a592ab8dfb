"""Descriptions of the catalogue: the page `docs/features.md`, terminal output and JSON fields."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Final

from features.catalogue import CATALOGUE, FAMILIES, Feature
from features.facts import LATE_DELIVERY_HOURS, LATE_SHIPPING_HOURS

_SIGNS: Final = {1: "raises risk", -1: "lowers risk", 0: "either way"}

_PREFACE: Final = """# Features

Generated from the catalogue by `sellerscore features describe --markdown`; a test compares the two.
{count} features in {families} families. Each is one number for a seller as of a midnight T (UTC).

## Definitions
- **Time rule.** As of T, a feature uses the rows with event time < T and `known_at` <= T. *The last n days* are
  [T - n, T). *n days that ended k days ago* are [T - k - n, T - k). *n settled days* are n days that ended 30 days ago.
- **Seller.** All stores that the latest versions of `stores` known by T assign to the seller, taken together. The
  seller's own accounts (related parties) are the seller's id and the ids of those stores.
- **Sales.** Orders of those stores, except orders from the seller's own accounts. **Gross sales** are their amounts.
  Money is in micro-USD at the rate of the row's day. If that day has no rate (weekends, holidays), the latest rate of
  the 31 days before that was known when the row became visible applies. USD features are divided by 1,000,000.
- **Refunds.** A refund that names an order counts on that order's day, once both are visible, and not at all if the
  order is from an own account. A refund without an order counts on its own day. A refund is charged to the store that
  it names, and own accounts are those of that store's seller. **Value returned or refunded** covers the reasons
  `return` and `refund`; *cancelled* covers `cancel`; *disputes* covers `dispute` and `chargeback`; *refunds of any
  kind* covers all. A livestream return is a return or refund of an order with channel `livestream`. The days until a
  return run from the order's day to the return's day (negative if the return came first); returns without an order have
  none. *Within 48 hours* is less than 48 hours after the order, by exact times.
- **Net sales** are gross sales less all refunds (of any kind) that count on the same days. *Net sales so far* use
  recent days, whose refunds are not complete yet. **Monthly net sales** are a third of the net sales of 90 settled
  days.
- **Fulfilments** count on their order's day, once both are visible, in the store that they name, and not if the order
  is from an own account. *Whole hours* are the seconds between order and event (both cut to full seconds) divided by
  3,600, rounded down, at least 0. Late shipping is more than {late_shipping} hours after the order, late delivery more
  than {late_delivery} hours.
- **Traffic, ratings, purchases** count on their own day in the store that they name. *Purchases* are what was bought
  from suppliers, by value. Average stars weight each row by its number of ratings; the stars of a row are rounded to
  hundredths (halves up). Ages are in whole days to T.
- **Loans** count for the seller that they name, once disbursed and visible; instalments that fell due and payments that
  were made count once they and their loan are visible. All amounts of a loan use the exchange rate of its principal on
  the disbursement day; they are zero if the principal is zero. Payments settle the oldest instalment first: an
  instalment is *paid* on the first day by whose end the loan's payments reach 99.9% of all that fell due up to that
  instalment. *Days past due* run from the due day to that day, or to T if it is not paid; at least 0. *Unpaid on some
  day of the last 365* means not paid, or paid at most 365 days ago. A loan is *past its term* if more days than its
  term have passed since its disbursement. *Unpaid principal* is the principal less all payments, at least 0.
- **A rate of nothing is missing.** A quotient with a divisor of zero or less has no value, and a value computed from a
  missing value is missing. *At most* and *at least* apply to existing values.
- **A table that was not delivered by T is unknown, not zero.** Until the first midnight at which a row of that table is
  visible for any seller, everything that depends on it is missing. Afterwards, no rows count as zero.
- **Months** are 30 days. The 12 settled months are [T - 60, T - 30), [T - 90, T - 60) and so on.
- **The lower median** of a list is its smallest value that at least half of the list does not exceed. The plain median
  is the mean of the middle two.
- **Daily sales** are those of all stores together; the standard deviation is that of the population. The return rate
  with days weighted by their sales is the sum over days of gross sales times returns, divided by the sum of squared
  gross sales.
- **The rise of a least-squares line**: with the n days numbered 1 to n, the slope of the line times n, divided by the
  mean.
- **Buyers** are identified by `buyer_id`. An order without one (a guest's) counts as a sale, but not as a buyer. In
  concentrations, all orders of the window without a buyer id count as those of one buyer, so that withholding ids does
  not make a seller look less dependent on one buyer. If no order of the window names its buyer, everything that depends
  on buyers is missing, including the share of related-party orders.
- **Currencies** and **countries** are those of orders that count as sales. The seller's own country and currency are
  those of the latest version of `sellers` known by T; without one, domestic sales are zero.
- **3 or more orders in one hour**: one buyer places at least 3 orders with the seller, in any of the stores, within one
  hour of the clock (UTC). All of these orders count.
- **Festival days** of each year: 16 to 18 June, 9 to 11 November, Black Friday (the day after the fourth Thursday of
  November) to the Monday after, 11 to 20 December.
- **Sign.** A feature that raises risk never raises the score as it grows; one that lowers risk never lowers it. Each
  model is checked for this. A feature without a sign (*either way*) is never part of a score.
- **Marks.** *Scored*: a model uses the feature, since it has a sign and fake orders cannot improve it cheaply; all
  other features serve the profile and the integrity checks. *Actionable*: a seller can honestly change it within
  months. *Structural*: it counts stores, marketplaces or currencies, so that the organisation of the seller changes it;
  no other feature has this property. *Gameable up* or *down*: fake orders worth 5% of a month's sales, with visits,
  parcels and ratings, can move the feature in that direction by more than their share of sales.
- **pp**: percentage points, the difference of two ratios.
"""


def markdown() -> str:
    """Return the text of `docs/features.md`."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    numbers = {"late_shipping": LATE_SHIPPING_HOURS, "late_delivery": LATE_DELIVERY_HOURS}
    yield _PREFACE.format(count=len(CATALOGUE), families=len(FAMILIES), **numbers)
    for family, features in FAMILIES.items():
        yield f"## {family}\n"
        yield "| feature | meaning | unit | window | sign and reason | reason group | marks |"
        yield "|---|---|---|---|---|---|---|"
        yield from map(_row, features)
        yield ""


def _row(feature: Feature) -> str:
    cells = (
        f"`{feature.name}`",
        feature.meaning,
        feature.unit,
        _window(feature),
        _sign(feature),
        feature.reason_group,
        marks(feature),
    )
    return f"| {' | '.join(cells)} |"


def _window(feature: Feature) -> str:
    return "all history" if feature.window is None else f"{feature.window} days"


def _sign(feature: Feature) -> str:
    return f"{_SIGNS[feature.sign]}: {feature.sign_reason}"


def text() -> Iterator[str]:
    """Yield the lines of the catalogue for a terminal, each name on a line of its own, so that it can be searched.

    Example: the lines of one feature are its name, its meaning, and `USD; window 60 days; lowers risk: ...`.
    """
    for family, features in FAMILIES.items():
        yield from ("", family, "-" * len(family))
        for feature in features:
            yield feature.name
            yield from _wrapped(feature.meaning)
            parts = (feature.unit, f"window {_window(feature)}", f"reason group {feature.reason_group}", marks(feature))
            yield from _wrapped("; ".join(part for part in (*parts, _sign(feature)) if part))


def _wrapped(words: str) -> list[str]:
    return textwrap.wrap(words, width=100, initial_indent="    ", subsequent_indent="    ")


def marks(feature: Feature) -> str:
    """Return the marks of a feature, such as `scored, actionable`; may be empty.

    Example: `marks(CATALOGUE[0])` is `gameable up`.
    """
    names = [name for name in ("scored", "actionable", "structural") if getattr(feature, name)]
    if feature.gameable != "no":
        names.append(f"gameable {feature.gameable.replace('both', 'up and down')}")
    return ", ".join(names)


_FIELDS: Final = ("name", "label", "meaning", "unit", "window", "sign", "sign_reason", "reason_group")
_FLAGS: Final = ("actionable", "structural", "gameable", "scored")


def as_data(feature: Feature) -> dict[str, object]:
    """Return a feature as plain values, ready for `json.dumps`; the expression as Python prints it.

    Example: `as_data(CATALOGUE[0])["unit"]` is `USD`.
    """
    values: dict[str, object] = {name: getattr(feature, name) for name in (*_FIELDS, *_FLAGS)}
    return values | {"tables": sorted(feature.tables), "expression": repr(feature.expression)}
