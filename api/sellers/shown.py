"""From the picture as `features` makes it to what a caller is told. Pure."""

from __future__ import annotations

from datetime import date
from typing import Final

from api.sellers import schemas as told
from features.profile.profile import (
    FamilyIndex,
    ProfileFeature,
    ProfileFlag,
    ProfileSeries,
    ProfileTable,
    SellerProfile,
)

_DIRECTIONS: Final = {-1: "higher", 0: "neither", 1: "lower"}


def profile_of(picture: SellerProfile, consent_id: str, today: date) -> told.Profile:
    """Return the answer.

    Args:
        picture: of a seller.
        consent_id: under which it is shown.
        today: the day of the request, from which the age of the data is told.
    """
    peers, snapshot = picture.peers, picture.snapshot
    names = {each.label: each.name for each in picture.families}
    return told.Profile(
        seller_id=picture.seller_id,
        consent_id=consent_id,
        as_of=snapshot.as_of.isoformat(),
        data_version=snapshot.data_version,
        catalogue=snapshot.catalogue,
        peers=told.Peers(scope=peers.scope, category=peers.category, size=peers.size, others=peers.others),
        families=list(map(_family, picture.families)),
        steps=[
            told.Step(begins=step.begins.isoformat(), ends=step.ends.isoformat(), settled=step.settled)
            for step in picture.steps
        ],
        series=list(map(_series, picture.series)),
        features=[_feature(each, names[each.family]) for each in picture.features],
        coverage=[_table(each, today) for each in picture.coverage],
        flags=list(map(_flag, picture.flags)),
    )


def _family(each: FamilyIndex) -> told.FamilyIndex:
    return told.FamilyIndex(
        family=each.name, label=each.label, index=each.index, counted=each.counted, of=each.of, missing=each.missing
    )


def _series(each: ProfileSeries) -> told.Series:
    return told.Series(
        series=each.series.name,
        label=each.series.label,
        meaning=each.series.meaning,
        unit=each.series.unit,
        values=list(each.values),
        settles=each.series.settles,
        data_through=_day(each.data_through),
        missing=each.missing,
    )


def _feature(each: ProfileFeature, family: str) -> told.FeatureStanding:
    feature = each.feature
    return told.FeatureStanding(
        feature=feature.name,
        label=feature.label,
        meaning=feature.meaning,
        family=family,
        value=each.value,
        unit=feature.unit,
        direction=_DIRECTIONS[feature.sign],
        percentile=each.percentile,
        no_better=each.no_better,
        others=each.others,
        missing=each.missing,
    )


def _table(each: ProfileTable, today: date) -> told.TableCoverage:
    return told.TableCoverage(
        table=each.table,
        need=each.need,
        covers_through=_day(each.covers_through),
        age_days=None if each.covers_through is None else (today - each.covers_through).days,
        first_day=_day(each.first_day),
        last_day=_day(each.last_day),
        months_of_history=each.months_of_history,
        days_with_rows=sum(each.days),
        days_by_step=list(each.days),
        missing=each.missing,
    )


def _flag(each: ProfileFlag) -> told.Flag:
    return told.Flag(
        flag=each.flag.name,
        question=each.flag.question,
        raised=each.raised,
        feature=each.feature.name,
        label=each.feature.label,
        value=each.value,
        unit=each.feature.unit,
        threshold=each.flag.threshold,
        why=each.flag.why,
        missing=each.missing,
    )


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
