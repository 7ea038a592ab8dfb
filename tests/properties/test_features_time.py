"""Rows that happen or become known after T never change a frame as of T, to the byte, with any number of threads.

These tests run in `make soak`. In `make test`, the oracle of `test_features_oracle` gets no such row and confirms it to
nine digits.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.oracles.accepted_rows import frame_bytes, frame_from, frame_of, write_accepted
from tests.oracles.invisible_rows import with_invisible_rows
from tests.oracles.market import MIDNIGHTS, Shape, market, pairs_of
from tests.oracles.seller_view import midnight, visible
from tests.oracles.shapes import SHAPES, examples


@pytest.mark.soak
@given(SHAPES, st.sampled_from(MIDNIGHTS))
@example(Shape(seed=3, sellers=12, events=60), MIDNIGHTS[1])
@examples(15)
def test_later_rows_change_no_byte(shape: Shape, as_of: date) -> None:
    rows, pairs = market(shape), pairs_of(shape, [as_of])
    past = {name: list(table) for name, table in visible(rows, as_of).items()}
    whole = with_invisible_rows(rows, midnight(as_of))
    assert {name: len(table) for name, table in visible(whole, as_of).items()} == {
        name: len(table) for name, table in past.items()
    }
    with TemporaryDirectory() as folder:
        then = frame_of(past, pairs, Path(folder) / "then", threads=1)
        later = write_accepted(whole, Path(folder) / "later", parts=3, seed=shape.seed)
        assert frame_bytes(frame_from(later, pairs, threads=2)) == frame_bytes(then)


@pytest.mark.soak
def test_the_split_into_deliveries_does_not_change_the_frame() -> None:
    shape = Shape(seed=4, sellers=12, events=60)
    rows, pairs = market(shape), pairs_of(shape, MIDNIGHTS[1:4])
    with TemporaryDirectory() as folder:
        once = frame_from(write_accepted(rows, Path(folder) / "once"), pairs, threads=1)
        often = frame_from(write_accepted(rows, Path(folder) / "often", parts=5, seed=1), pairs, threads=2)
    assert frame_bytes(once) == frame_bytes(often)


@pytest.mark.soak
def test_midnights_together_and_alone_give_the_same_frame() -> None:
    shape = Shape(seed=5, sellers=12, events=80)
    with TemporaryDirectory() as folder:
        store = write_accepted(market(shape), Path(folder), parts=2)
        together = frame_from(store, pairs_of(shape, MIDNIGHTS[1:4]), threads=2)
        for day in MIDNIGHTS[1:4]:
            alone = frame_from(store, pairs_of(shape, [day]), threads=1)
            assert frame_bytes(together.loc[alone.index]) == frame_bytes(alone), day
