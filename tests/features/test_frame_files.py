"""Frame files: read in blocks of any size, and a plain sentence for each way in which they can be bad."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import StoreError
from features.store.frame_files import DESCRIPTION, open_frame, write_description

AS_OF = date(2026, 1, 31)
CATALOGUE = "sha256:" + "c" * 64
NAMES = ("orders_90d", "sales_90d", "refunds_90d", "visits_90d", "buyers_90d", "parcels_90d")


@pytest.fixture
def frame(tmp_path: Path) -> Path:
    """Ten sellers in two files; a third of the values is missing."""
    folder = tmp_path / "frame"
    folder.mkdir()
    rng = np.random.default_rng(4)
    for number in range(2):
        values = rng.random((len(NAMES), 5))
        is_missing = rng.random(values.shape) < 0.3
        sellers = [f"S-{number * 5 + row}" for row in range(5)]
        features = {name: pa.array(values[row], mask=is_missing[row]) for row, name in enumerate(NAMES)}
        table = pa.table({"seller_id": sellers, "as_of": [AS_OF] * 5, **features})
        pq.write_table(table, folder / f"part-{number}.parquet")
    write_description(folder, "data-1", CATALOGUE, {"orders": AS_OF})
    return folder


@pytest.mark.parametrize("size", [1, 2, 100])
def test_blocks_have_the_rows_of_all_files_in_order(frame: Path, size: int) -> None:
    found = open_frame(frame, NAMES[::-1], CATALOGUE)
    blocks = list(found.blocks(size))
    assert (found.rows, found.snapshot.as_of, found.snapshot.covers_through) == (10, AS_OF, {"orders": AS_OF})
    assert [seller for block in blocks for seller in block.seller_ids] == [f"S-{row}" for row in range(10)]
    assert max(len(block.values) for block in blocks) == min(size, 5)
    expected = pa.concat_tables([pq.read_table(file) for file in found.files]).to_pandas()
    np.testing.assert_array_equal(np.vstack([block.values for block in blocks]), expected[list(NAMES[::-1])])
    one = open_frame(frame / "part-1.parquet", NAMES, CATALOGUE)
    assert next(one.blocks()).seller_ids == [f"S-{row}" for row in range(5, 10)]


def test_dates_may_be_timestamps_and_numbers_of_other_types(frame: Path) -> None:
    def change(rows: pa.Table) -> pa.Table:
        as_of = pa.array([datetime(2026, 1, 31, tzinfo=UTC)] * len(rows), pa.timestamp("us", tz="UTC"))
        whole = pa.array(range(len(rows)), pa.int32())
        return rows.set_column(1, "as_of", as_of).set_column(2, NAMES[0], whole).append_column("country", pa.nulls(5))

    rewrite(frame / "part-1.parquet", change)
    found = open_frame(frame, NAMES, CATALOGUE)
    assert found.snapshot.as_of == AS_OF
    assert list(found.blocks())[1].values[:, 0].tolist() == [0, 1, 2, 3, 4]


def damage(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def rewrite(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(change(pq.read_table(path)), path)


def infinite(table: pa.Table) -> pa.Table:
    values = [*table["refunds_90d"].to_pylist()[:-1], math.inf]
    return table.set_column(table.column_names.index("refunds_90d"), "refunds_90d", pa.array(values))


DAMAGES: list[tuple[Callable[[Path], object], str]] = [
    (
        lambda file: rewrite(file, lambda rows: rows.drop(["refunds_90d"])),
        "part-1.parquet lacks the columns refunds_90d. Compute",
    ),
    (
        lambda file: rewrite(file, lambda rows: rows.drop(list(NAMES))),
        "orders_90d, sales_90d, refunds_90d, visits_90d, buyers_90d and 1 more. Compute",
    ),
    (lambda file: rewrite(file, lambda rows: rows.drop(["as_of"])), "lacks the columns as_of"),
    (
        lambda file: rewrite(file, infinite),
        "1 values of the frame are infinite; the first is refunds_90d of seller 'S-9'. Use finite",
    ),
    (
        lambda file: rewrite(file, lambda rows: rows.set_column(2, NAMES[0], rows["seller_id"])),
        "has the type string. Use numbers",
    ),
    (
        lambda file: rewrite(file, lambda rows: rows.set_column(0, "seller_id", pa.nulls(len(rows), pa.string()))),
        "5 rows of the frame have no seller_id",
    ),
    (
        lambda file: rewrite(file, lambda rows: rows.set_column(0, "seller_id", rows["sales_90d"])),
        "has the type double. Use text",
    ),
    (
        lambda file: rewrite(file, lambda rows: rows.set_column(1, "as_of", pa.array([date(2025, 12, 1)] * len(rows)))),
        r"several dates \(2025-12-01, 2026-01-31\)",
    ),
    (
        lambda file: rewrite(file, lambda rows: rows.set_column(1, "as_of", pa.nulls(len(rows), pa.date32()))),
        r"several dates \(2026-01-31, none\)",
    ),
    (
        lambda file: rewrite(
            file, lambda rows: rows.set_column(1, "as_of", pa.array([datetime(2026, 1, 31, 9, tzinfo=UTC)] * len(rows)))
        ),
        "not a midnight",
    ),
    (
        lambda file: rewrite(file, lambda rows: rows.set_column(1, "as_of", rows["seller_id"])),
        "has the type string. Use dates",
    ),
    (
        lambda file: damage(file, lambda content: content[:-100]),
        "part-1.parquet cannot be read .*truncated or altered",
    ),
    (lambda file: damage(file, lambda _: b""), "0 bytes.*truncated or altered"),
    (lambda file: damage(file, lambda content: content[:200] + bytes(400) + content[600:]), "truncated or altered"),
    (lambda file: damage(file.with_name(DESCRIPTION), lambda _: b"{}"), "_frame.json is not valid"),
    (lambda file: file.with_name(DESCRIPTION).unlink(), r"_frame.json cannot be read \(No such file"),
    (lambda file: (file.unlink(), os.mkfifo(file)), "named pipe, not a regular file"),
    (lambda file: [each.unlink() for each in file.parent.glob("*.parquet")], "has no Parquet files"),
    (
        lambda file: [rewrite(each, lambda rows: rows.slice(0, 0)) for each in file.parent.glob("*.parquet")],
        "has no rows",
    ),
    (
        lambda file: write_description(file.parent, "data-1", "sha256:" + "d" * 64, {}),
        "the catalogue sha256:dddddddddddd, but the model was trained with sha256:cccccccccccc",
    ),
    (lambda file: write_description(file.parent, "data-1", CATALOGUE, None), "end on different days"),
]


@pytest.mark.parametrize(("change", "message"), DAMAGES, ids=[message[:30] for _, message in DAMAGES])
def test_a_bad_frame_gets_one_sentence(frame: Path, change: Callable[[Path], object], message: str) -> None:
    change(frame / "part-1.parquet")
    with pytest.raises(StoreError, match=message):
        list(open_frame(frame, NAMES, CATALOGUE).blocks())
