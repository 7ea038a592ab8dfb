"""The profile of a seller: steps, sums and ranks, missing reasons, indexes, coverage, and integrity questions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.catalogue import CATALOGUE, FAMILIES, digest
from features.catalogue.integrity import INTEGRITY
from features.errors import StoreError
from features.facts import TILE_KEYS
from features.profile.describe import markdown
from features.profile.flags import FLAGS
from features.profile.profile import FamilyIndex, MissingReason, ProfileSeries, SellerProfile, build_profile
from features.profile.series import SERIES, STEPS, SUMS, Series, step_value, steps_before
from features.store.profiles import Coverage, PeerGroup, PeerScope, StoredProfile, StoredStanding
from features.store.vectors import Snapshot, StoredVector

T = date(2024, 3, 30)
EVERY = tuple(TILE_KEYS)
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
    label = "Tenure and breadth"
    names = [feature.name for feature in FAMILIES[label] if feature.sign]
    assert family(read(), label).index == 40
    found = family(read(ranks={names[0]: (41, 0, 99), names[1]: UNRANKED}), label)
    assert (found.index, found.counted, found.of, found.missing) == (41, 2, 3, None)  # 40.5
    ranks = {name: (rank, 0, 99) for name, rank in zip(names, (100, 0, 1), strict=True)}
    assert family(read(ranks=ranks), label).index == 34  # 33.67


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
    undelivered = read(snapshot=replace(SNAPSHOT, covers_through=covers))
    assert series(undelivered, "net_sales").missing is MissingReason.NOT_DELIVERED
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
        **dict.fromkeys({*EVERY} - {"orders", "purchases"}, (None, 0, MissingReason.NO_ROWS)),
        "purchases": (None, 0, MissingReason.NOT_DELIVERED),
    }
    assert {each.table: each.need for each in found}["refunds"] == "expected"


def test_vectors_of_another_catalogue_are_rejected() -> None:
    with pytest.raises(StoreError, match="another catalogue"):
        read(snapshot=replace(SNAPSHOT, catalogue="sha256:other"))


RATE = Series(name="r", label="R", meaning="A rate.", unit="ratio", of="returned", over="gross")
NET = Series(name="n", label="N", meaning="A difference.", unit="micro-USD", of="gross", less="refunded")
STARS = Series(name="s", label="S", meaning="Stars.", unit="stars", of="star_hundredths", over="ratings")


@given(st.dates(date(2019, 1, 1), date(2030, 1, 1)))
def test_steps_are_contiguous_and_end_at_the_midnight(as_of: date) -> None:
    steps = steps_before(as_of)
    assert len(steps) == STEPS
    assert steps[-1].ends == as_of
    assert all(before.ends == after.begins for before, after in pairwise(steps))
    assert {step.ends - step.begins for step in steps} == {timedelta(days=30)}
    assert [step.settled for step in steps] == [True] * 11 + [False]


def test_a_leap_day_is_a_day() -> None:
    assert steps_before(date(2024, 3, 30))[-1].begins == date(2024, 2, 29)
    assert steps_before(date(2023, 3, 30))[-1].begins == date(2023, 2, 28)


@pytest.mark.parametrize(
    ("series", "sums", "expected"),
    [
        (NET, {"gross": 2**53 + 1, "refunded": 0}, 2**53 + 1),
        (NET, {"gross": 5, "refunded": 7}, -2),
        (NET, {"gross": 5, "refunded": None}, None),
        (RATE, {"returned": 1, "gross": 4}, 0.25),
        (RATE, {"returned": 1, "gross": 0}, None),
        (STARS, {"star_hundredths": 1770, "ratings": 4}, 4.425),
    ],
)
def test_step_values(series: Series, sums: dict[str, int | None], expected: float | None) -> None:
    found = step_value(series, sums)
    assert found == expected
    assert isinstance(found, int) == isinstance(expected, int)


def test_names_and_labels_are_unique_and_all_sums_are_stored() -> None:
    assert len({series.name for series in SERIES}) == len({series.label for series in SERIES}) == len(SERIES)
    assert {name for series in SERIES for name in series.sums} == set(SUMS)
    assert all(series.meaning.endswith(".") and series.tables for series in SERIES)


ROOT = Path(__file__).parents[3]


def test_each_integrity_feature_has_one_question() -> None:
    assert sorted(flag.feature for flag in FLAGS) == sorted(feature.name for feature in INTEGRITY)
    assert len({flag.name for flag in FLAGS}) == len({flag.question for flag in FLAGS}) == len(FLAGS)


def test_thresholds_apply_to_features_that_raise_risk() -> None:
    signs = {feature.name: feature.sign for feature in CATALOGUE}
    # a sudden rise may be honest growth, so it prompts a question and costs no points
    either = {flag.feature for flag in FLAGS if signs[flag.feature] != 1}
    assert either == {"sales_spike_30d"}
    assert all(0 <= flag.threshold < 1 for flag in FLAGS)
    assert all(flag.question.endswith("?") and flag.why.endswith(".") for flag in FLAGS)


def test_the_profile_page_matches_its_definitions() -> None:
    assert (ROOT / "docs" / "profile.md").read_text(encoding="utf-8") == markdown(), "run make docs"
