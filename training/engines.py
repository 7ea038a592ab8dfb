"""Where training rows lie while a model learns them, and what grows its trees: memory, disk, or a cluster."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from training.engine_names import Engine
from training.fit import Boost, boost
from training.sample import Sample

if TYPE_CHECKING:
    from training.dataset import Dataset


@dataclass(frozen=True)
class TrainingEngine:
    """An engine at work.

    Attributes:
        sample: takes the rows of a dataset to where they are learnt from.
        boost: grows the models of the folds and of all rows; rounds are chosen and settings searched by this process,
            in memory or in batches, since that needs a loss after each tree.
    """

    sample: Callable[[Dataset], Sample] = Sample.of_dataset
    boost: Boost = boost


def _on_disk(dataset: Dataset, folder: Path) -> Sample:
    """Write the rows to a file of their own: a run reads those of the test's model and those of the final fit."""
    from training.sample import stored_sample

    return stored_sample(dataset, folder / f"{uuid4()}.parquet")


@contextmanager
def open_engine(engine: Engine, home: Path) -> Iterator[TrainingEngine]:
    """Set an engine up, and clear away after it.

    Args:
        engine: which one.
        home: the state folder, where rows lie meanwhile; for a cluster of several machines all of them must see it.

    Raises:
        ClusterError: there is no cluster to be had.
    """
    if engine is Engine.MEMORY:
        yield TrainingEngine()
        return
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".training-", dir=home) as folder:
        sample = partial(_on_disk, folder=Path(folder))
        if engine is Engine.BATCHES:
            yield TrainingEngine(sample)
            return
        from training.engine_dask import boost_on, cluster

        with cluster() as client:
            yield TrainingEngine(sample, partial(boost_on, client))
