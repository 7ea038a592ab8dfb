"""The profile of a seller from stored sums and ranks: values, missing reasons, indexes, coverage and questions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta

import pytest

from features.catalogue import CATALOGUE, FAMILIES, digest
from features.errors import StoreError
from features.profile.flags import FLAGS
from features.profile.profile import FamilyIndex, MissingReason, ProfileSeries, SellerProfile, build_profile
from features.profile.series import SUMS
from features.store.profiles import Coverage, PeerGroup, PeerScope, StoredProfile, StoredStanding
from features.store.vectors import Snapshot, StoredVector

T = date(2024, 3, 30)
EVERY = ("orders", "refunds", "traffic", "fulfilments", "ratings", "purchases")
SNAPSHOT = Snapshot(T, "data-1", digest(CATALOGUE), dict.fromkeys(EVERY, T))
GROUP = PeerGroup(PeerScope.CATEGORY, "home", None, 99)
DAYS = (0,) * 11 + (3,)
TABLE = Coverage(T - timedelta(days=360), T - timedelta(days=1), DAYS)
UNRANKED: StoredStanding = (None, None, 4)


def read(
    values: Mapping[str, float | None] | None = None,
    ranks: Mapping[str, StoredStanding] | None = None,
    snapshot: Snapshot = SNAPSHOT,
    **stored: object,
) -> SellerProfile:
    """Return a profile with sums of 1, values of 1.0 and ranks of 40% and 70%, except for the arguments."""
    vector = tuple((values or {}).get(feature.name, 1.0) for feature in CATALOGUE)
    standings = tuple((ranks or {}).get(feature.name, (40, 70, 99)) for feature in CATALOGUE)
    plain = StoredProfile(GROUP, ((1,) * 12,) * len(SUMS), standings, dict.fromkeys(EVERY, TABLE))
    return build_profile(StoredVector("S", snapshot, vector), replace(plain, **stored))


def series(profile: SellerProfile, name: str) -> ProfileSeries:
    return next(each for each in profile.series if each.series.name == name)


def family(profile: SellerProfile, label: str) -> FamilyIndex:
    return next(each for each in profile.families if each.label == label)


def test_ranks_follow_the_sign_of_the_feature() -> None:
    for each in read().features:
        assert each.percentile == 40
        assert each.no_better == {-1: 40, 0: None, 1: 70}[each.feature.sign]
        assert each.missing is None


def test_an_index_is_the_mean_of_ranks_halves_up() -> None:
    names = [feature.name for feature in FAMILIES["Tenure and breadth"] if feature.sign]
    assert family(read(), "Tenure and breadth").index == 40
    found = family(read(ranks={names[0]: (41, 0, 99), names[1]: UNRANKED}), "Tenure and breadth")
    assert (found.index, found.counted, found.of, found.missing) == (41, 2, 3, None)  # 40.5
    found = family(
        read(ranks={names[0]: (100, 0, 99), names[1]: (0, 0, 99), names[2]: (1, 0, 99)}), "Tenure and breadth"
    )
    assert found.index == 34  # 33.67


def test_an_unknown_index_has_a_reason() -> None:
    names = [feature.name for feature in FAMILIES["Reputation"]]
    unranked, nothing = dict.fromkeys(names, UNRANKED), dict.fromkeys(names)
    undelivered = replace(SNAPSHOT, covers_through={"orders": T})
    assert family(read(ranks=unranked), "Reputation").missing is MissingReason.TOO_FEW_PEERS
    assert family(read(nothing, unranked), "Reputation").missing is MissingReason.NO_VALUE
    assert family(read(nothing, unranked, undelivered), "Reputation").missing is MissingReason.NOT_DELIVERED
    assert family(read(nothing, unranked, peers=PeerGroup(PeerScope.NONE, None, None, 0)), "Reputation").index is None
    found = [each for each in read(nothing, unranked, undelivered).features if each.feature.name == "rating_90d"]
    assert [each.missing for each in found] == [MissingReason.NOT_DELIVERED]


def test_a_step_is_unknown_before_the_first_row_and_zero_after_it() -> None:
    began = {**dict.fromkeys(EVERY, TABLE), "orders": replace(TABLE, first=T - timedelta(days=60))}
    nothing = tuple((0,) * 12 for _ in SUMS)
    assert series(read(coverage=began, sums=nothing), "orders").values == (None,) * 10 + (0, 0)
    began["orders"] = replace(TABLE, first=T - timedelta(days=61))
    assert series(read(coverage=began, sums=nothing), "orders").values == (None,) * 9 + (0, 0, 0)
    # refunds are none since the first order, whenever the first refund came
    assert series(read(coverage={"orders": TABLE}), "net_sales").values == (0,) * 12
    assert series(read(coverage={"orders": TABLE}), "visits").missing is MissingReason.NO_ROWS
    rates = series(read(coverage=began, sums=nothing), "return_rate")
    assert (set(rates.values), rates.missing) == ({None}, MissingReason.NO_VALUE)


def test_a_step_after_the_last_delivery_is_unknown() -> None:
    covers = {**SNAPSHOT.covers_through, "refunds": T - timedelta(days=30)}
    found = series(read(snapshot=replace(SNAPSHOT, covers_through=covers)), "net_sales")
    assert found.values == (0,) * 11 + (None,)
    assert found.data_through == T - timedelta(days=30)
    covers["refunds"] = T - timedelta(days=29)
    assert series(read(snapshot=replace(SNAPSHOT, covers_through=covers)), "net_sales").values == (0,) * 12
    del covers["refunds"]
    assert (
        series(read(snapshot=replace(SNAPSHOT, covers_through=covers)), "net_sales").missing
        is MissingReason.NOT_DELIVERED
    )
    sums = tuple(None if name == "visits" else (1,) * 12 for name in SUMS)
    assert series(read(sums=sums), "conversion").missing is MissingReason.NOT_DELIVERED
    assert series(read(sums=sums), "orders").values == (1,) * 12


def test_a_question_is_raised_above_its_threshold_only() -> None:
    for flag in FLAGS:
        for value, raised in ((flag.threshold, False), (flag.threshold + 1e-9, True), (0.0, False), (None, None)):
            found = next(each for each in read({flag.feature: value}).flags if each.flag == flag)
            assert (found.value, found.raised) == (value, raised)
            assert (found.missing is None) == (value is not None)


def test_coverage_lists_every_table() -> None:
    covers = {name: T for name in EVERY if name != "purchases"}
    found = read(snapshot=replace(SNAPSHOT, covers_through=covers), coverage={"orders": TABLE}).coverage
    told = {each.table: (each.months_of_history, sum(each.days), each.missing) for each in found}
    assert told == {
        "orders": (12, 3, None),
        **dict.fromkeys(("refunds", "traffic", "fulfilments", "ratings"), (None, 0, MissingReason.NO_ROWS)),
        "purchases": (None, 0, MissingReason.NOT_DELIVERED),
    }
    assert {each.table: each.need for each in found}["refunds"] == "expected"


def test_vectors_of_another_catalogue_are_rejected() -> None:
    with pytest.raises(StoreError, match="another catalogue"):
        read(snapshot=replace(SNAPSHOT, catalogue="sha256:other"))
