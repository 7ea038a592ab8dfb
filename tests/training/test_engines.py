"""Training engines: rows on disk equal rows in memory, and give the same model."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import training.sample
from tests.counts import repeat
from tests.training.datasets import INFORMATIVE, dataset, small_scorecard
from training.columns import Columns
from training.config import FeatureConfig, TrainConfig
from training.dataset import Dataset
from training.engines import Engine, open_engine
from training.fit import FitConfig, boost, fit_sample
from training.refits import RefitConfig
from training.run import train
from training.sample import RowGroups, Sample, StoredRows, stored_sample, write_rows
from training.search import SearchConfig

pytestmark = pytest.mark.slow

CONFIG = FitConfig(learning_rate=0.1, max_rounds=40, patience=8, origins=1, folds=2, threads=1)


@pytest.fixture(scope="module")
def loans() -> Dataset:
    return dataset(900, 300)


@pytest.fixture(scope="module", autouse=True)
def small_groups() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training.sample, "ROWS_AT_ONCE", 128)
        yield


@pytest.fixture(scope="module")
def stored(loans: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return stored_sample(loans, tmp_path_factory.mktemp("rows") / "rows.parquet")


def test_the_same_model_and_margins_as_from_memory(loans: Dataset, stored: Sample) -> None:
    """Features selected, the recipe chosen, margins by folds, and the model of all rows: each to the last bit."""
    samples = [each.select_columns(range(20)) for each in (stored, Sample.of_dataset(loans))]
    ours, theirs = (fit_sample(each, CONFIG) for each in samples)
    assert isinstance(stored.matrix, StoredRows)
    assert stored.matrix.groups.starts.tolist() == [*range(0, 897, 128), 900]
    assert ours.recipe == theirs.recipe
    assert ours.recipe.rounds > 1
    assert ours.features == theirs.features
    assert ours.booster.model_to_string() == theirs.booster.model_to_string()
    assert ours.out_of_fold.tobytes() == theirs.out_of_fold.tobytes()
    repeated = np.sort(np.random.default_rng(3).integers(0, 900, 900))
    texts = [boost(each.take(repeated), CONFIG, 5).model_to_string() for each in samples]
    assert texts[0] == texts[1]


def test_a_whole_run_from_disk_is_the_one_from_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With 60 rows and more before the origin: of fewer LightGBM takes other bins from a file."""
    monkeypatch.setattr(training.sample, "ROWS_AT_ONCE", 300)
    monkeypatch.setattr("training.run.STUDIES", {})
    monkeypatch.setattr("training.run.fit_scorecard", small_scorecard)
    monkeypatch.setattr("training.refits.fit_scorecard", small_scorecard)
    loans = dataset(1_800, 600)
    features = FeatureConfig(tuple(INFORMATIVE))
    config = TrainConfig(features=features, fit=CONFIG, search=SearchConfig(1), refits=RefitConfig(1))
    with open_engine(Engine.BATCHES, tmp_path) as batches:
        assert train(loans, config, engine=batches).files == train(loans, config).files


@pytest.mark.repeated
@settings(max_examples=repeat(20, 60), deadline=None)
@given(st.data())
def test_any_rows_from_disk_equal_those_in_memory(loans: Dataset, stored: Sample, data: st.DataObject) -> None:
    """Views of views, rising or not, doubled or not; then a row and a slice of them."""
    ours, theirs = stored.matrix, Sample.of_dataset(loans).matrix
    for _ in range(data.draw(st.integers(0, 2))):
        places = np.array(data.draw(st.lists(st.integers(0, len(theirs) - 1), min_size=1, max_size=300)))
        ours, theirs = ours[places], theirs[places]
    assert len(ours) == len(theirs)
    row = data.draw(st.integers(0, len(theirs) - 1))
    end = data.draw(st.integers(row + 1, len(theirs)))
    assert ours[row].tobytes() == theirs[row].tobytes()
    assert ours[row:end].tobytes() == np.ascontiguousarray(theirs[row:end]).tobytes()


def test_frames_of_any_size_are_appended(tmp_path: Path) -> None:
    frames = [pd.DataFrame({"a": np.arange(size, dtype=float), "b": np.nan}) for size in (1, 300, 2)]
    write_rows(iter(frames), tmp_path / "rows.parquet")
    columns = Columns(("a", "b"), (0, 1), (1, -1))
    read = StoredRows(RowGroups(tmp_path / "rows.parquet", columns))[0:303]
    assert read[:, 0].tolist() == [0.0, *range(300), 0.0, 1.0]
    assert (read[:, 1] == -1e30).all()


@dataclass(frozen=True)
class FewForBins(FitConfig):
    """Bins found on few rows: LightGBM's 200,000 would be all of a test's."""

    def parameters(self, columns: Columns, rows: int, bad: int) -> dict[str, Any]:
        return {**super().parameters(columns, rows, bad), "bin_construct_sample_cnt": 500}


def peak(work: Callable[[], object]) -> int:
    """Return the most bytes that numpy, pandas and Arrow held at once, beyond those before."""
    usual = pa.default_memory_pool()
    counted = pa.proxy_memory_pool(usual)
    pa.set_memory_pool(counted)
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] + counted.max_memory()
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(usual)


def test_memory_use_is_one_row_group_for_any_number_of_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the numbers, that is: LightGBM's own bins are a byte or two for a value, see docs/scale.md."""
    monkeypatch.setattr(training.sample, "ROWS_AT_ONCE", 500)
    rows, wide = 30_000, 40
    names = [f"free_{number}" for number in range(wide // 2)]
    block = pd.DataFrame(np.random.default_rng(1).normal(size=(3_000, wide // 2)), columns=names)
    write_rows((block for _ in range(rows // 3_000)), tmp_path / "rows.parquet")
    columns, numbers = Columns.of(names), rows * wide * 8
    known = (np.arange(rows) % 5 == 0).astype(float), np.arange(rows), None

    def learn(whole: bool) -> None:
        stored = StoredRows(RowGroups(tmp_path / "rows.parquet", columns))
        boost(Sample(columns, stored[0:rows] if whole else stored, *known), FewForBins(threads=1), 1)

    assert peak(lambda: learn(whole=True)) > numbers
    assert peak(lambda: learn(whole=False)) < numbers / 3


def test_an_engine_deletes_its_files(loans: Dataset, tmp_path: Path) -> None:
    with open_engine(Engine.BATCHES, tmp_path / "state") as batches:
        sample = batches.sample(loans)
        assert sample.matrix.groups.path.is_file()
        assert len(sample.matrix) == len(loans.rows)
    assert list((tmp_path / "state").iterdir()) == []
    with open_engine(Engine.MEMORY, tmp_path / "none") as memory:
        assert isinstance(memory.sample(loans).matrix, np.ndarray)
    assert not (tmp_path / "none").exists()
