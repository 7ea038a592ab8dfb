"""The profile of one seller, built from stored sums and ranks: indexes, series, ranks, coverage, questions. Pure.

An unknown value is None and has a reason.
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
from features.profile.compute import TABLES
from features.profile.flags import FLAGS, Flag
from features.profile.series import SERIES, STEP_DAYS, SUMS, Series, Step, step_value, steps_before
from features.store.profiles import Coverage, PeerGroup, PeerScope, StoredProfile
from features.store.vectors import Snapshot, StoredVector


class MissingReason(StrEnum):
    """The reason for an unknown value."""

    NOT_DELIVERED = "not_delivered"
    NO_ROWS = "no_rows"
    NO_VALUE = "no_value"
    TOO_FEW_PEERS = "too_few_peers"
    NO_DIRECTION = "no_direction"


@dataclass(frozen=True)
class ProfileFeature:
    """A feature, its value, and the percentage of other peers at most there (`percentile`) or not better."""

    feature: Feature
    family: str
    value: float | None
    percentile: int | None
    no_better: int | None
    others: int
    missing: MissingReason | None


@dataclass(frozen=True)
class FamilyIndex:
    """The index of a family: the mean of `no_better` over `counted` of its `of` features with a sign."""

    name: str
    label: str
    index: int | None
    counted: int
    of: int
    missing: MissingReason | None


@dataclass(frozen=True)
class ProfileSeries:
    """A series, its value in each step, and the midnight through which its tables were delivered."""

    series: Series
    values: tuple[int | float | None, ...]
    data_through: date | None
    missing: MissingReason | None


@dataclass(frozen=True)
class ProfileTable:
    """A table: the midnight through which it was delivered, and the seller's days with rows."""

    table: str
    need: str
    covers_through: date | None
    first_day: date | None
    last_day: date | None
    days: tuple[int, ...]
    months_of_history: int | None
    missing: MissingReason | None


@dataclass(frozen=True)
class ProfileFlag:
    """An integrity question, the value of its feature, and whether it is raised; None if unknown."""

    flag: Flag
    feature: Feature
    value: float | None
    raised: bool | None
    missing: MissingReason | None


@dataclass(frozen=True)
class SellerProfile:
    """The whole profile, as of the snapshot's midnight."""

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
    """Return the profile of a seller; raise StoreError if the vector was computed with another catalogue."""
    snapshot = vector.snapshot
    if snapshot.catalogue != _digest():
        raise StoreError("The stored vectors were made by another catalogue; run `sellerscore features`.")
    features = tuple(_features(vector, stored))
    steps = steps_before(snapshot.as_of)
    return SellerProfile(
        seller_id=vector.seller_id,
        snapshot=snapshot,
        peers=stored.peers,
        families=tuple(_index(name, [each for each in features if each.family == name], stored) for name in FAMILIES),
        steps=steps,
        series=tuple(_series(series, stored, steps, snapshot.covers_through) for series in SERIES),
        features=features,
        coverage=tuple(_table(name, snapshot, stored.coverage.get(name)) for name in TABLES),
        flags=tuple(_flag(flag, features) for flag in FLAGS),
    )


@cache
def _digest() -> str:
    return digest(CATALOGUE)


_FAMILY_OF: Final = {feature.name: family for family, members in FAMILIES.items() for feature in members}


def _features(vector: StoredVector, stored: StoredProfile) -> Iterator[ProfileFeature]:
    covers = vector.snapshot.covers_through
    for feature, value, ranks in zip(CATALOGUE, vector.values, stored.standings, strict=True):
        at_most, at_least, others = ranks
        no_better = {-1: at_most, 0: None, 1: at_least}[feature.sign]
        missing = None
        if value is None:
            missing = MissingReason.NO_VALUE if feature.tables <= covers.keys() else MissingReason.NOT_DELIVERED
        elif at_most is None:
            missing = MissingReason.TOO_FEW_PEERS
        yield ProfileFeature(feature, _FAMILY_OF[feature.name], value, at_most, no_better, others, missing)


def _index(family: str, features: Sequence[ProfileFeature], stored: StoredProfile) -> FamilyIndex:
    signed = [each for each in features if each.feature.sign]
    known = [each.no_better for each in signed if each.no_better is not None]
    index = (2 * sum(known) + len(known)) // (2 * len(known)) if known else None  # the mean, halves up
    missing = None if known else _missing_index(signed, stored)
    return FamilyIndex(family.lower().replace(" ", "_"), family, index, len(known), len(signed), missing)


def _missing_index(signed: Sequence[ProfileFeature], stored: StoredProfile) -> MissingReason:
    if not signed:
        return MissingReason.NO_DIRECTION
    if stored.peers.scope is PeerScope.NONE or any(each.value is not None for each in signed):
        return MissingReason.TOO_FEW_PEERS
    undelivered = all(each.missing is MissingReason.NOT_DELIVERED for each in signed)
    return MissingReason.NOT_DELIVERED if undelivered else MissingReason.NO_VALUE


def _series(series: Series, stored: StoredProfile, steps: Sequence[Step], covers: Mapping[str, date]) -> ProfileSeries:
    unknown: tuple[None, ...] = (None,) * len(steps)
    all_sums = dict(zip(SUMS, stored.sums, strict=True))
    sums = {name: all_sums[name] for name in series.sums}
    if not series.tables <= covers.keys() or None in sums.values():
        return ProfileSeries(series, unknown, None, MissingReason.NOT_DELIVERED)
    through = min(covers[table] for table in series.tables)
    if series.since not in stored.coverage:
        return ProfileSeries(series, unknown, through, MissingReason.NO_ROWS)
    first = stored.coverage[series.since].first
    values = tuple(
        # unknown before the seller's first row and after the last delivery
        step_value(series, {name: (sums[name] or ())[number] for name in sums})
        if first < step.ends and step.begins < through
        else None
        for number, step in enumerate(steps)
    )
    return ProfileSeries(
        series, values, through, None if any(v is not None for v in values) else MissingReason.NO_VALUE
    )


def _table(name: str, snapshot: Snapshot, coverage: Coverage | None) -> ProfileTable:
    need, through = str(schema.BY_NAME[name].need), snapshot.covers_through.get(name)
    if coverage is None:
        missing = MissingReason.NO_ROWS if through else MissingReason.NOT_DELIVERED
        return ProfileTable(name, need, through, None, None, (), None, missing)
    months = (snapshot.as_of - coverage.first) // timedelta(days=STEP_DAYS)
    return ProfileTable(name, need, through, coverage.first, coverage.last, coverage.days, months, None)


def _flag(flag: Flag, features: Sequence[ProfileFeature]) -> ProfileFlag:
    checked = next(each for each in features if each.feature.name == flag.feature)
    if checked.value is None:
        return ProfileFlag(flag, checked.feature, None, None, checked.missing)
    return ProfileFlag(flag, checked.feature, checked.value, checked.value > flag.threshold, None)
