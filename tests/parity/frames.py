"""Frames and tiles as files, read back to be compared: integers exactly, doubles to 1e-9, missing as missing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from features.catalogue import CATALOGUE
from tests.properties.test_features_oracle import WHOLE

NAMES = [feature.name for feature in CATALOGUE]
KEYS = ["seller_id", "as_of"]


def read_frame(folder: Path, names: Sequence[str] = NAMES) -> pd.DataFrame:
    """Return a frame of the named features in order of its keys, after a look at the types of its columns."""
    table = ds.dataset(folder, format="parquet").to_table()
    expected = [("seller_id", pa.string()), ("as_of", pa.date32()), *((name, pa.float64()) for name in names)]
    assert [(field.name, field.type) for field in table.schema] == expected
    assert not any(table[name].to_pandas().dropna().map(np.isinf).any() for name in names)
    frame: pd.DataFrame = table.to_pandas().set_index(KEYS).sort_index()
    return frame


def differences(found: pd.DataFrame, expected: pd.DataFrame) -> list[str]:
    """Return the features of which two frames of the same pairs say different things."""
    assert list(found.index) == list(expected.index)
    assert list(found.columns) == list(expected.columns)
    return [
        name for name in found.columns if not _agree(found[name].to_numpy(), expected[name].to_numpy(), name in WHOLE)
    ]


def _agree(found: np.ndarray, expected: np.ndarray, whole: bool) -> bool:
    return np.allclose(found, expected, rtol=0 if whole else 1e-9, atol=0, equal_nan=True)


def tile_rows(paths: Iterable[Path]) -> tuple[dict[str, str], list[tuple[object, ...]]]:
    """Return the columns of tiles by their types, and all rows in one order."""
    parts = [pq.read_table(path) for path in paths]
    kinds = {field.name: str(field.type) for field in parts[0].schema}
    rows = [tuple(row[name] for name in kinds) for part in parts for row in part.to_pylist()]
    return kinds, sorted(rows, key=repr)
