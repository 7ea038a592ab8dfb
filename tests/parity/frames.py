"""Read frames and tiles and compare them: integers exactly, doubles to 1e-9, missing equal to missing."""

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
    """Return a frame of the named features sorted by its keys, after checking the types of its columns."""
    table = ds.dataset(folder, format="parquet").to_table()
    expected = [("seller_id", pa.string()), ("as_of", pa.date32()), *((name, pa.float64()) for name in names)]
    assert [(field.name, field.type) for field in table.schema] == expected
    assert not any(table[name].to_pandas().dropna().map(np.isinf).any() for name in names)
    frame: pd.DataFrame = table.to_pandas().set_index(KEYS).sort_index()
    return frame


def differences(actual: pd.DataFrame, expected: pd.DataFrame) -> list[str]:
    """Return the features that differ between two frames of the same pairs."""
    assert list(actual.index) == list(expected.index)
    assert list(actual.columns) == list(expected.columns)
    return [
        name for name in actual.columns if not _agree(actual[name].to_numpy(), expected[name].to_numpy(), name in WHOLE)
    ]


def _agree(actual: np.ndarray, expected: np.ndarray, whole: bool) -> bool:
    return np.allclose(actual, expected, rtol=0 if whole else 1e-9, atol=0, equal_nan=True)


def tile_rows(paths: Iterable[Path]) -> tuple[dict[str, str], list[tuple[object, ...]]]:
    """Return the types of the columns of tiles, and all rows in a fixed order."""
    parts = [pq.read_table(path) for path in paths]
    types = {field.name: str(field.type) for field in parts[0].schema}
    rows = [tuple(row[name] for name in types) for part in parts for row in part.to_pylist()]
    return types, sorted(rows, key=repr)
