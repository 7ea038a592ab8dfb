"""Training engines: where the training data are kept (memory, disk or a Dask cluster) and what fits the trees."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:
    from training.dataset import Dataset
    from training.fit import Boost
    from training.sample import Sample


class Engine(StrEnum):
    """Name of a training engine. This module imports no heavy library, so that `--help` stays fast."""

    MEMORY = "memory"
    BATCHES = "batches"
    DASK = "dask"


@dataclass(frozen=True)
class TrainingEngine:
    """An open training engine.

    Attributes:
        sample: stores the rows of a dataset and returns them as a sample.
        boost: fits the trees of the folds and of the final model. The number of rounds and the settings are chosen in
            this process, because early stopping needs the loss after each tree.
    """

    sample: Callable[[Dataset], Sample]
    boost: Boost


def memory_engine() -> TrainingEngine:
    """Return the engine that keeps the training data in memory."""
    from training.fit import boost
    from training.sample import Sample

    return TrainingEngine(Sample.of_dataset, boost)


@contextmanager
def open_engine(engine: Engine, home: Path) -> Iterator[TrainingEngine]:
    """Open a training engine; on exit, delete its files and disconnect from its cluster.

    Args:
        engine: the engine to open.
        home: the state folder, which receives the temporary files. All machines of a cluster must be able to read it.

    Raises:
        ClusterError: the cluster cannot be reached.
    """
    if engine is Engine.MEMORY:
        yield memory_engine()
        return
    from training.fit import boost

    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".training-", dir=home) as folder:
        sample = partial(_store_sample, folder=Path(folder))
        if engine is Engine.BATCHES:
            yield TrainingEngine(sample, boost)
            return
        from training.engine_dask import boost_on, cluster

        with cluster() as client:
            yield TrainingEngine(sample, partial(boost_on, client))


def _store_sample(dataset: Dataset, folder: Path) -> Sample:
    """Write the rows to a new file: one run stores the rows of the tested model and those of the final fit."""
    from training.sample import stored_sample

    return stored_sample(dataset, folder / f"{uuid4()}.parquet")
