"""Properties of the largest-remainder method: integers with the given total, each close to its exact value."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from scoring.points import largest_remainder
from tests.counts import repeat

pytestmark = pytest.mark.repeated

_QUICK = settings(max_examples=repeat(40, 2_000), deadline=None)
_POINTS = st.integers(-10_000, 10_000).map(lambda thousandths: thousandths / 100) | st.floats(-500, 500)


@st.composite
def matrices(draw: st.DrawFn) -> NDArray[np.float64]:
    rows, columns = draw(st.integers(1, 6)), draw(st.integers(1, 8))
    values = draw(st.lists(_POINTS, min_size=rows * columns, max_size=rows * columns))
    return np.array(values).reshape(rows, columns)


def near_totals(exact: NDArray[np.float64]) -> st.SearchStrategy[NDArray[np.int64]]:
    """Return totals within one of the exact sum, as they result from the rounding of the base."""
    offsets = st.lists(st.floats(-0.999, 0.999), min_size=len(exact), max_size=len(exact))
    return offsets.map(lambda off: np.rint(np.clip(np.array(off) * 0.5, -0.5, 0.5) + exact.sum(axis=1)).astype(int))


@_QUICK
@given(st.data())
def test_rows_sum_to_any_total(data: st.DataObject) -> None:
    exact = data.draw(matrices())
    sums = st.lists(st.integers(-5000, 5000), min_size=len(exact), max_size=len(exact))
    totals = np.array(data.draw(sums), dtype=np.int64)
    rounded = largest_remainder(exact, totals)
    assert rounded.dtype == np.int64
    assert rounded.sum(axis=1).tolist() == totals.tolist()


@_QUICK
@given(st.data())
def test_each_integer_is_next_to_its_exact_value_and_units_go_to_the_largest_remainders(data: st.DataObject) -> None:
    exact = data.draw(matrices())
    totals = data.draw(near_totals(exact))
    rounded = largest_remainder(exact, totals)
    assert rounded.sum(axis=1).tolist() == totals.tolist()
    floors, ceilings = np.floor(exact), np.ceil(exact)
    reachable = (floors.sum(axis=1) <= totals) & (totals <= floors.sum(axis=1) + exact.shape[1])
    distance = np.abs(rounded - exact)
    assert (distance[reachable] <= 1.0).all()
    assert (distance < 2.0).all()
    assert (rounded[reachable] >= floors[reachable]).all()
    whole = (floors == ceilings).all(axis=1) & (totals == floors.sum(axis=1))
    assert (rounded[whole] == exact[whole]).all()
    # ties go to the first columns
    for remainder, units in zip(exact - floors, rounded - floors, strict=True):
        ranked = sorted(range(len(remainder)), key=lambda column: (-remainder[column], column))
        received = [units[column] for column in ranked]
        assert received == sorted(received, reverse=True)
        assert received[0] - received[-1] <= 1
    # rows are independent of each other
    order = data.draw(st.permutations(range(len(exact))))
    assert largest_remainder(exact[order], totals[order]).tolist() == rounded[order].tolist()
    alone = [largest_remainder(exact[[row]], totals[[row]])[0].tolist() for row in range(len(exact))]
    assert alone == rounded.tolist()
