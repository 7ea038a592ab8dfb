"""Training on a Dask cluster, by LightGBM's own integration: workers read their rows, and grow each tree together.

Rows lie in a Parquet file that every worker can open under the same name; what travels is which rows, and outcomes.
The one module that names Dask.
"""

from __future__ import annotations

import io
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from training.errors import ClusterError
from training.sample import RowGroups, StoredRows

if TYPE_CHECKING:
    import lightgbm
    from distributed import Client

    from training.columns import Columns
    from training.fit import FitConfig
    from training.sample import Sample

SCHEDULER: Final = "SELLERSCORE_DASK_SCHEDULER"
"""The environment variable that names the scheduler of a cluster; without it, workers are started on this machine."""

_LOCAL_WORKERS: Final = 2

_SHARES_A_WORKER: Final = 4
"""Rows are handed out in so many shares a worker, so that a worker reads one while it waits for the next."""

_ADDRESSES: Final = re.compile(r"^\[(machines|local_listen_port): .*\n", re.MULTILINE)
"""Lines of a model's text that tell where it was made, and would make it another at each making."""

_PATIENCE: Final = 30
"""Seconds until an address at which nobody answers is given up."""


@contextmanager
def cluster() -> Iterator[Client]:
    """Yield a client of the cluster that `SELLERSCORE_DASK_SCHEDULER` names, or of workers started here meanwhile.

    Raises:
        ClusterError: Dask is not installed, or nobody answers at the address.
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise ClusterError(
            "Dask is not installed; install sellerscore with its extra `dask`, or train with --engine batches."
        ) from error
    address = os.environ.get(SCHEDULER)
    if address is None:
        with LocalCluster(**_on_this_machine()) as local, Client(local) as client:
            client.run(_say_nothing)
            yield client
        return
    try:
        client = Client(address, timeout=_PATIENCE)
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"No Dask scheduler answers at {address}; {SCHEDULER} takes the address of one that runs, such as "
            "tcp://10.0.0.5:8786, and without it workers are started on this machine."
        ) from error
    with client:
        yield client


def boost_on(client: Client, sample: Sample, config: FitConfig, rounds: int) -> lightgbm.Booster:
    """Return a model of a sample's columns that the workers of a cluster grew together.

    The settings are those of one machine, but for two things: each worker finds the bins of some columns from its own
    rows, and across machines LightGBM keeps monotone signs by its `basic` method alone. So the model is not that of one
    machine to the letter; it obeys the same signs and ranks as well.

    Args:
        client: of the cluster.
        sample: rows that lie on disk, under a name that every worker can open.
        config: the settings.
        rounds: how many trees, as an earlier fit chose them; the integration knows no early stopping.

    Raises:
        ClusterError: there are no workers, one of them cannot open the file, or one was lost.
    """
    import lightgbm
    from dask import array
    from distributed import KilledWorker
    from distributed.utils import CancelledError
    from lightgbm.basic import LightGBMError
    from lightgbm.dask import DaskLGBMRegressor

    stored = cast(StoredRows, sample.matrix)
    workers = _workers(client, stored.groups.path)
    shares = list(_shares(stored, sample.bad, workers * _SHARES_A_WORKER))
    blocks = _blocks(client, shares, len(sample.columns.signs))
    # a regression with the objective `binary` is what the classifier does, once that has asked which labels there are
    model = DaskLGBMRegressor(client=client, n_estimators=rounds, **_settings(sample, config))
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):  # it prints that it looks for ports
            warnings.filterwarnings("ignore", "Parameter n_jobs will be ignored", UserWarning)  # nobody set it
            model.fit(*(array.concatenate(each) for each in blocks))
    except (OSError, KilledWorker, CancelledError, LightGBMError) as error:
        said = str(error).partition("\n")[0]
        raise ClusterError(
            f"A worker of the Dask cluster failed ({said}); look at its log, then train again."
        ) from error
    return lightgbm.Booster(model_str=_ADDRESSES.sub("", model.booster_.model_to_string()))


@dataclass(frozen=True)
class _Share:
    """Rows that one worker reads: row groups of a file, the places within them, and outcomes, small enough to send."""

    path: Path
    columns: Columns
    groups: tuple[tuple[int, NDArray[np.int32]], ...]
    bad: NDArray[np.int8]

    def matrix(self) -> NDArray[np.float64]:
        stored = RowGroups(self.path, self.columns)
        return np.concatenate([stored.matrix(number)[inside] for number, inside in self.groups])

    def outcomes(self) -> NDArray[np.float64]:
        return self.bad.astype(np.float64)


def _shares(stored: StoredRows, bad: NDArray[np.float64], count: int) -> Iterator[_Share]:
    groups = [(number, inside.astype(np.int32)) for number, inside in stored.by_group()]
    ends = np.cumsum([len(inside) for _, inside in groups])
    # each share ends where its part of the rows does, to the nearest row group
    last = np.unique(np.searchsorted(ends, len(stored) * np.arange(1, count + 1) / count))
    first = 0
    for end in np.minimum(last, len(groups) - 1) + 1:
        rows = slice(ends[first - 1] if first else 0, ends[end - 1])
        yield _Share(stored.groups.path, stored.groups.columns, tuple(groups[first:end]), bad[rows].astype(np.int8))
        first = end


def _blocks(client: Client, shares: list[_Share], width: int) -> tuple[list[Any], list[Any]]:
    """Return the blocks of the matrix and of the outcomes, each to be read where its share was sent."""
    from dask import array, delayed

    sent = client.scatter(shares, hash=False)  # in turn to each worker
    heights = [len(share.bad) for share in shares]
    matrix = [
        array.from_delayed(delayed(_Share.matrix)(share), (height, width), np.float64)
        for share, height in zip(sent, heights, strict=True)
    ]
    bad = [
        array.from_delayed(delayed(_Share.outcomes)(share), (height,), np.float64)
        for share, height in zip(sent, heights, strict=True)
    ]
    return matrix, bad


def _settings(sample: Sample, config: FitConfig) -> dict[str, Any]:
    chosen = config.parameters(sample.columns, len(sample.bad), int(sample.bad.sum())) | {
        "monotone_constraints_method": "basic"
    }
    return {name: value for name, value in chosen.items() if name != "num_threads"}  # a worker uses those it has


def _workers(client: Client, path: Path) -> int:
    """Count the workers, each of which must be able to open the rows."""
    sees = client.run(path.is_file)
    if not sees:
        raise ClusterError("The Dask cluster has no workers; start some, then train again.")
    blind = sorted(worker for worker, there in sees.items() if not there)
    if blind:
        raise ClusterError(
            f"{len(blind)} of {len(sees)} Dask workers cannot open {path}, the first is {blind[0]}; put the state "
            "folder (SELLERSCORE_HOME) on storage that all of them see under one name."
        )
    return len(sees)


def _say_nothing() -> None:
    """Let go of what LightGBM prints in a worker started here, which would stand among our own output."""
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)


def _on_this_machine() -> dict[str, Any]:
    return {
        "n_workers": _LOCAL_WORKERS,
        "threads_per_worker": max(1, (os.cpu_count() or 1) // _LOCAL_WORKERS),
        "processes": True,  # LightGBM has one network a process
        "host": "127.0.0.1",
        "dashboard_address": None,
    }
