"""Every sum and covered day of a profile equals the naive oracle, exactly; late rows and threads change nothing.

The markets have late rows, versions of owners, several stores of one owner, refunds with and without orders,
related-party orders, months of every length and a leap day. tests/features/profile covers duplicates and currencies.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import pytest
from hypothesis import example, given

from features.catalogue import CATALOGUE
from features.profile.compute import compute_profiles
from features.profile.series import SUMS
from features.store.profiles import StoredProfile, encode
from tests.counts import repeat
from tests.oracles import profile_oracle
from tests.oracles.accepted_rows import write_accepted
from tests.oracles.market import MIDNIGHTS, Shape, market
from tests.oracles.seller_view import Rows, midnight, visible
from tests.oracles.shapes import SHAPES, examples


def profiles(
    rows: Rows, sellers: Iterable[str], as_of: date, *, parts: int = 1, threads: int = 2
) -> dict[str, StoredProfile]:
    with TemporaryDirectory() as folder:
        store = write_accepted(rows, Path(folder), parts)
        index = pd.MultiIndex.from_product([list(sellers), [pd.Timestamp(as_of)]], names=["seller_id", "as_of"])
        # peer ranks are tested elsewhere
        features = pd.DataFrame(0.0, index, [feature.name for feature in CATALOGUE])
        return dict(compute_profiles(store, features, threads).profiles)


@pytest.mark.slow
@pytest.mark.repeated
@given(SHAPES)
@example(Shape(seed=1, sellers=20, events=90))
@examples(repeat(0, 25))
def test_sums_and_days_equal_the_oracle(shape: Shape) -> None:
    rows = market(shape)
    sellers = [*(f"S{number}" for number in range(shape.sellers)), "nobody"]
    as_of = MIDNIGHTS[shape.seed % len(MIDNIGHTS)]
    visible_rows = visible(rows, as_of)
    for seller, profile in profiles(rows, sellers, as_of).items():
        assert dict(zip(SUMS, profile.sums, strict=True)) == profile_oracle.sums(visible_rows, seller, as_of)
        coverage = profile_oracle.coverage(visible_rows, seller, as_of)
        assert {name: vars(days) for name, days in profile.coverage.items()} == {
            n: vars(c) for n, c in coverage.items()
        }


def test_the_markets_have_varied_sums() -> None:
    shape = Shape(seed=1, sellers=20, events=90)
    visible_rows = visible(market(shape), MIDNIGHTS[0])
    expected = [profile_oracle.sums(visible_rows, f"S{number}", MIDNIGHTS[0]) for number in range(20)]
    for name in SUMS:
        values = [value for sums in expected for value in sums[name] or ()]
        assert len(set(values)) >= 3, name


@pytest.mark.soak
def test_threads_and_the_split_of_deliveries_change_no_bit() -> None:
    shape = Shape(seed=3, sellers=20, events=90)
    rows, sellers = market(shape), [f"S{number}" for number in range(20)]
    first = {seller: encode(profile) for seller, profile in profiles(rows, sellers, MIDNIGHTS[1], threads=1).items()}
    for parts, threads in ((1, 4), (3, 2)):
        second = profiles(rows, sellers, MIDNIGHTS[1], parts=parts, threads=threads)
        assert {seller: encode(profile) for seller, profile in second.items()} == first


@pytest.mark.soak
def test_rows_known_after_t_change_nothing() -> None:
    shape = Shape(seed=5, sellers=20, events=90)
    rows, as_of = market(shape), MIDNIGHTS[1]
    sellers = [f"S{number}" for number in range(20)]
    end = midnight(as_of)
    past = visible(rows, as_of)
    assert sum(map(len, past.values())) < sum(map(len, rows.values()))
    late = {name: [*table, *(_late(name, row, end) for row in table[:20])] for name, table in rows.items()}
    before = profiles(past, sellers, as_of)
    assert profiles(late, sellers, as_of) == before


def _late(table: str, row: dict[str, object], end: datetime) -> dict[str, object]:
    keys = {"orders": "order_id", "refunds": "refund_id", "purchases": "purchase_id"}
    renamed = {keys[table]: f"late {row[keys[table]]}"} if table in keys else {}
    return {**row, **renamed, "known_at": end + timedelta(microseconds=1)}
