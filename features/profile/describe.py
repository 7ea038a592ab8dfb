"""The picture in words: `docs/profile.md` is made here, by `python -m features.profile.describe`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Final

from features.catalogue import CATALOGUE, FAMILIES
from features.profile.flags import FLAGS
from features.profile.peers import LEAST, SIZES
from features.profile.series import NEW_AFTER, SERIES, SETTLED_AFTER, STEP_DAYS, STEPS

_PREFACE: Final = """# The picture of a seller

Made by `python -m features.profile.describe`; a test holds the two together. `GET /v1/sellers/{{id}}/profile` is the
picture as JSON, `/profile.html` the same as a page to print. It is computed when a delivery lands, as of the midnight T
of the stored vectors, under the one time rule, and stored beside them; what a word means is said in
[features.md](features.md).

## Peers
- A **peer** has settled net sales of more than nothing in the last 12 months (`settled_net_sales_365d`).
- **Size**: the peers of one category, as the latest version of each seller known by T names it, in three thirds by
  those sales: {sizes}. Sellers of equal sales are in one third.
- Compared are the **other** peers of the same category and third; where these are fewer than {least}, those of the
  category; where these are, all; where these are, nobody. Who has no settled sales has no size, and is compared with
  the category. The answer names the group and its number.
- A feature that fewer than {least} of them have a value of has no rank, so that no rank tells on one of a handful.

## Standing and indexes
- `percentile`: percent of the others whose value is **at most** the seller's, rounded down.
- `no_better`: percent of the others who do **no better**, rounded down: whose value is at most the seller's where a
  higher value lowers risk, at least the seller's where it raises risk. 100: nobody does better. A feature with a free
  sign has none.
- The **index** of a family is the mean of `no_better` over its features that have one, rounded, halves up: all weigh
  the same, none is chosen. So features that say the same thing twice weigh twice. It is no probability and no score,
  and no model reads it. Where no feature of the family has one, it is null and says why. `counted` of `of` says how
  many there were.

| family | features with a good direction | others |
|---|---|---|
"""

_MONTHS: Final = """
## Twelve months
{steps} steps of {days} days before T, oldest first; the last ends at T. Steps of one length can be compared, calendar
months cannot, and the current one is never whole. A step is **settled** once it ended {settled} days before T. Sums
are whole numbers (money in millionths of a US dollar), exact whatever the number of threads. A step is null before the
seller's first row of the table in the last column, after the day through which a table was delivered, and where a rate
is one of nothing.

| series | figure of a step | unit | tables | since the first row of |
|---|---|---|---|---|
"""

_COVERAGE: Final = """
*May change*: refunds that come later, or parcels that leave later, still move a step that is not settled. A buyer is
new who had no order in the {new} days before the step.

## Coverage
By table: the midnight through which it was delivered, for all sellers, and its age; the seller's first and last day
with a row; days with rows in each step; whole months of {days} days since the first. All rows count, own-store orders
too: this is about the data. Refunds and parcels count on their order's day, once both are visible.

## Questions of integrity
A question is raised where a feature is **more than** the threshold. Thresholds are conventions, fitted to nothing. A
question is something to ask, not a verdict.

| question | feature | more than | why there |
|---|---|---|---|
"""


def markdown() -> str:
    """Return `docs/profile.md`, whole."""
    return "".join(_parts())


def _parts() -> Iterator[str]:
    numbers = {"days": STEP_DAYS, "steps": STEPS, "settled": SETTLED_AFTER, "new": NEW_AFTER * STEP_DAYS}
    yield _PREFACE.format(sizes=", ".join(SIZES), least=LEAST)
    for family, features in FAMILIES.items():
        directed = sum(1 for feature in features if feature.sign)
        yield f"| {family} | {directed} | {len(features) - directed} |\n"
    yield _MONTHS.format(**numbers)
    for each in SERIES:
        change = " May change." if each.settles else ""
        tables = ", ".join(sorted(each.tables))
        yield f"| `{each.name}` | {each.meaning}{change} | {each.unit} | {tables} | {each.since} |\n"
    yield _COVERAGE.format(**numbers)
    labels = {feature.name: feature.label for feature in CATALOGUE}
    for flag in FLAGS:
        yield f"| {flag.question} | `{flag.feature}`: {labels[flag.feature]} | {flag.threshold:g} | {flag.why} |\n"


if __name__ == "__main__":
    sys.stdout.write(markdown())
