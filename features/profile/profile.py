"""A seller's picture as it is read: indexes, figures of twelve months, standing, coverage, flags. Pure.

What is not known is None and says why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from functools import cache
from typing import Final

from features import schema
from features.catalogue import CATALOGUE, FAMILIES, Feature, digest
from features.errors import StoreError
from features.profile import series as steps_of
from features.profile.compute import TABLES
from features.profile.flags import FLAGS, Flag
from features.profile.series import SERIES, STEP_DAYS, SUMS, Series, Step, steps_before
from features.store.profiles import Coverage, PeerGroup, PeerScope, StoredProfile
from features.store.vectors import Snapshot, StoredVector


class MissingReason(StrEnum):
    """Why something is not known."""

    NOT_DELIVERED = "not_delivered"
    NO_ROWS = "no_rows"
    NO_VALUE = "no_value"
    TOO_FEW_PEERS = "too_few_peers"
    NO_DIRECTION = "no_direction"


@dataclass(frozen=True)
class ProfileFeature:
    """A feature, its value, and how many percent of the other sellers are at most there, or do no better."""

    feature: Feature
    family: str
    value: float | None
    percentile: int | None
    no_better: int | None
    others: int
    gap: MissingReason | None


@dataclass(frozen=True)
class FamilyIndex:
    """A family at a glance: the mean of `no_better` of its features with a good direction, `counted` of `of`."""

    name: str
    label: str
    index: int | None
    counted: int
    of: int
    gap: MissingReason | None


@dataclass(frozen=True)
class ProfileSeries:
    """A series, its figure in each step, and the midnight through which its tables were delivered."""

    series: Series
    values: tuple[int | float | None, ...]
    data_through: date | None
    gap: MissingReason | None


@dataclass(frozen=True)
class ProfileTable:
    """A table: through which midnight it was delivered, and since when and on how many days it tells of the seller."""

    table: str
    need: str
    covers_through: date | None
    first_day: date | None
    last_day: date | None
    days: tuple[int, ...]
    months_of_history: int | None
    gap: MissingReason | None


@dataclass(frozen=True)
class ProfileFlag:
    """A question, the value that it looks at, and whether that is beyond the threshold; None where it is unknown."""

    flag: Flag
    feature: Feature
    value: float | None
    raised: bool | None
    gap: MissingReason | None


@dataclass(frozen=True)
class SellerProfile:
    """All of it, as of the snapshot's midnight."""

    seller_id: str
    snapshot: Snapshot
    peers: PeerGroup
    families: tuple[FamilyIndex, ...]
    steps: tuple[Step, ...]
    series: tuple[ProfileSeries, ...]
    features: tuple[ProfileFeature, ...]
    coverage: tuple[ProfileTable, ...]
    flags: tuple[ProfileFlag, ...]


def build_profile(vector: StoredVector, stored: StoredProfile) -> SellerProfile:
    """Return the picture of a seller.

    Args:
        vector: the seller's features.
        stored: what was computed beside them.

    Raises:
        StoreError: the vector was made by another catalogue than this one.
    """
    if vector.snapshot.catalogue != _digest():
        raise StoreError("The stored vectors were made by another catalogue; run `sellerscore features`.")
    as_of, covers = vector.snapshot.as_of, vector.snapshot.covers_through
    shown = tuple(_features(vector, stored))
    steps = steps_before(as_of)
    sums = dict(zip(SUMS, stored.sums, strict=True))
    return SellerProfile(
        seller_id=vector.seller_id,
        snapshot=vector.snapshot,
        peers=stored.peers,
        families=tuple(_index(name, [each for each in shown if each.family == name], stored) for name in FAMILIES),
        steps=steps,
        series=tuple(_series(each, sums, (steps, stored.coverage, covers)) for each in SERIES),
        features=shown,
        coverage=tuple(_table(name, vector.snapshot, stored.coverage.get(name)) for name in TABLES),
        flags=tuple(_flag(each, shown) for each in FLAGS),
    )


@cache
def _digest() -> str:
    return digest(CATALOGUE)


_FAMILY_OF: Final = {feature.name: family for family, those in FAMILIES.items() for feature in those}


def _features(vector: StoredVector, stored: StoredProfile) -> Iterator[ProfileFeature]:
    covers = vector.snapshot.covers_through
    for feature, value, ranks in zip(CATALOGUE, vector.values, stored.standings, strict=True):
        at_most, at_least, others = ranks
        no_better = {-1: at_most, 0: None, 1: at_least}[feature.sign]
        gap = None
        if value is None:
            gap = MissingReason.NO_VALUE if feature.tables <= covers.keys() else MissingReason.NOT_DELIVERED
        elif at_most is None:
            gap = MissingReason.TOO_FEW_PEERS
        yield ProfileFeature(feature, _FAMILY_OF[feature.name], value, at_most, no_better, others, gap)


def _index(family: str, shown: Sequence[ProfileFeature], stored: StoredProfile) -> FamilyIndex:
    directed = [each for each in shown if each.feature.sign]
    known = [each.no_better for each in directed if each.no_better is not None]
    index = (2 * sum(known) + len(known)) // (2 * len(known)) if known else None
    gap = None if known else _missing_index_reason(directed, stored)
    return FamilyIndex(family.lower().replace(" ", "_"), family, index, len(known), len(directed), gap)


def _missing_index_reason(directed: Sequence[ProfileFeature], stored: StoredProfile) -> MissingReason:
    if not directed:
        return MissingReason.NO_DIRECTION
    if stored.peers.scope is PeerScope.NONE or any(each.value is not None for each in directed):
        return MissingReason.TOO_FEW_PEERS
    return (
        MissingReason.NOT_DELIVERED
        if all(each.gap is MissingReason.NOT_DELIVERED for each in directed)
        else MissingReason.NO_VALUE
    )


def _series(
    series: Series,
    sums: Mapping[str, tuple[int, ...] | None],
    around: tuple[Sequence[Step], Mapping[str, Coverage], Mapping[str, date]],
) -> ProfileSeries:
    steps, coverage, covers = around
    nothing: tuple[None, ...] = (None,) * len(steps)
    if not series.tables <= covers.keys() or any(sums[name] is None for name in series.sums):
        return ProfileSeries(series, nothing, None, MissingReason.NOT_DELIVERED)
    through = min(covers[table] for table in series.tables)
    if series.since not in coverage:
        return ProfileSeries(series, nothing, through, MissingReason.NO_ROWS)
    first = coverage[series.since].first
    held = {name: sums[name] or () for name in series.sums}
    values = [
        # before the first row nothing was sold here yet; after the last delivery nobody has told yet
        steps_of.figure_of(series, {name: each[at] for name, each in held.items()})
        if first < step.ends and step.begins < through
        else None
        for at, step in enumerate(steps)
    ]
    gap = MissingReason.NO_VALUE if all(value is None for value in values) else None
    return ProfileSeries(series, tuple(values), through, gap)


def _table(name: str, snapshot: Snapshot, held: Coverage | None) -> ProfileTable:
    need, through = str(schema.BY_NAME[name].need), snapshot.covers_through.get(name)
    if held is None:
        return ProfileTable(
            name, need, through, None, None, (), None, MissingReason.NO_ROWS if through else MissingReason.NOT_DELIVERED
        )
    months = (snapshot.as_of - held.first) // timedelta(days=STEP_DAYS)
    return ProfileTable(name, need, through, held.first, held.last, held.days, months, None)


def _flag(flag: Flag, shown: Sequence[ProfileFeature]) -> ProfileFlag:
    found = next(each for each in shown if each.feature.name == flag.feature)
    raised = None if found.value is None else found.value > flag.threshold
    return ProfileFlag(flag, found.feature, found.value, raised, found.gap if found.value is None else None)
