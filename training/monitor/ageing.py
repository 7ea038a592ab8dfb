"""Features that grow by a day a day: that sellers are older than those of the training rows is the calendar's doing.

The training rows are of years past, so that the ages of the same sellers lie beyond any limit from the first month on,
and an alarm that always rings is none. A population that has become younger no calendar explains: that is news.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from features.catalogue import CATALOGUE
from features.expressions import DaysOnPlatform, DaysSinceFirst, OldestStore, measures_of

if TYPE_CHECKING:
    from training.evidence.drift import Drift, Sample

AGES: Final = frozenset(
    feature.name
    for feature in CATALOGUE
    if feature.unit == "days"
    and any(
        isinstance(measure, DaysOnPlatform | DaysSinceFirst | OldestStore)
        for measure in measures_of(feature.expression)
    )
)
"""What only time moves, and only upwards: `days_on_platform`, `days_since_first_order`, `oldest_store_days`."""


def only_older(before: Sample, now: Sample, found: Mapping[str, Drift]) -> frozenset[str]:
    """Return the features whose move is that sellers got older, by the median of the values known.

    One that is missing more or less often than before, above all else that moved, has not only got older.

    Example: of sellers who were 400 days old and are 700 now, it holds `days_on_platform`; of some 100 days old, not.

    Args:
        before: the training rows.
        now: the rows that are compared with them.
        found: how far each feature has moved.
    """
    return frozenset(
        name
        for name in AGES & found.keys()
        if found[name].bin != "missing" and now.values[name].median() > before.values[name].median()
    )
