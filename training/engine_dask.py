"""Training on a Dask cluster through LightGBM's Dask integration: the workers fit each tree together.

Every worker reads its rows from a Parquet file under the same path; only row numbers and outcomes are sent. No other
module imports Dask.
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
"""Environment variable with the address of the cluster's scheduler. Without it, workers start on this machine."""

_LOCAL_WORKERS: Final = 2

_SHARES_PER_WORKER: Final = 4
"""Number of shares of rows per worker. A worker reads one while the next is on its way."""

_ADDRESSES: Final = re.compile(r"^\[(machines|local_listen_port): .*\n", re.MULTILINE)
"""Lines of a model text with the addresses of the workers. They are removed so that the text is reproducible."""

_TIMEOUT: Final = 30
"""Seconds to wait for the scheduler."""


@contextmanager
def cluster() -> Iterator[Client]:
    """Yield a client of the cluster at `SELLERSCORE_DASK_SCHEDULER`, or of local workers that stop afterwards.

    Raises:
        ClusterError: Dask is not installed, or the scheduler does not answer.
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise ClusterError(
            "Dask is not installed. Install sellerscore with the extra `dask`, or train with --engine batches."
        ) from error
    address = os.environ.get(SCHEDULER)
    if address is None:
        with LocalCluster(**_on_this_machine()) as local, Client(local) as client:
            client.run(_silence)
            yield client
        return
    try:
        client = Client(address, timeout=_TIMEOUT)
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"No Dask scheduler answers at {address}. Set {SCHEDULER} to the address of a running scheduler, such as "
            "tcp://10.0.0.5:8786, or unset it to start workers on this machine."
        ) from error
    with client:
        yield client


def boost_on(client: Client, sample: Sample, config: FitConfig, rounds: int) -> lightgbm.Booster:
    """Fit boosted trees to a sample on the workers of a cluster.

    The settings are those of one machine, with two differences: each worker finds the bins of some columns from its
    own rows, and LightGBM supports only the `basic` method of monotone constraints across machines. The model therefore
    differs from that of one machine; it obeys the same signs and ranks as well.

    Args:
        client: client of the cluster.
        sample: rows on disk, under a path that every worker can open.
        config: the settings.
        rounds: number of trees, chosen by an earlier fit; the integration has no early stopping.

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
    shares = list(_shares(stored, sample.bad, workers * _SHARES_PER_WORKER))
    blocks = _blocks(client, shares, len(sample.columns.signs))
    # the classifier is a regressor with the objective `binary`, which first queries the labels
    model = DaskLGBMRegressor(client=client, n_estimators=rounds, **_settings(sample, config))
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):  # it prints messages about ports
            warnings.filterwarnings("ignore", "Parameter n_jobs will be ignored", UserWarning)
            model.fit(*(array.concatenate(block) for block in blocks))
    except (OSError, KilledWorker, CancelledError, LightGBMError) as error:
        message = str(error).partition("\n")[0]
        raise ClusterError(
            f"A worker of the Dask cluster failed ({message}). Check its log, then train again."
        ) from error
    return lightgbm.Booster(model_str=_ADDRESSES.sub("", model.booster_.model_to_string()))


@dataclass(frozen=True)
class _Share:
    """Rows for one worker: row groups of a file, positions in them, and outcomes; small enough to send."""

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
    groups = [(number, inside.astype(np.int32)) for number, inside in stored.groups.by_group(stored.rows)]
    ends = np.cumsum([len(inside) for _, inside in groups])
    # shares have about equal numbers of rows and end with a row group
    last = np.unique(np.searchsorted(ends, len(stored) * np.arange(1, count + 1) / count))
    first = 0
    for end in np.minimum(last, len(groups) - 1) + 1:
        rows = slice(ends[first - 1] if first else 0, ends[end - 1])
        yield _Share(stored.groups.path, stored.groups.columns, tuple(groups[first:end]), bad[rows].astype(np.int8))
        first = end


def _blocks(client: Client, shares: list[_Share], width: int) -> tuple[list[Any], list[Any]]:
    """Return the blocks of the matrix and of the outcomes; each is read by the worker that has its share."""
    from dask import array, delayed

    sent = client.scatter(shares, hash=False)  # in turn to each worker
    matrix, bad = [], []
    for share, height in zip(sent, (len(share.bad) for share in shares), strict=True):
        matrix.append(array.from_delayed(delayed(_Share.matrix)(share), (height, width), np.float64))
        bad.append(array.from_delayed(delayed(_Share.outcomes)(share), (height,), np.float64))
    return matrix, bad


def _settings(sample: Sample, config: FitConfig) -> dict[str, Any]:
    parameters = config.parameters(sample.columns, len(sample.bad), int(sample.bad.sum()))
    del parameters["num_threads"]  # a worker uses the threads that it has
    return parameters | {"monotone_constraints_method": "basic"}


def _workers(client: Client, path: Path) -> int:
    """Return the number of workers.

    Raises:
        ClusterError: there are no workers, or one of them cannot open the file of the rows.
    """
    is_readable = client.run(path.is_file)
    if not is_readable:
        raise ClusterError("The Dask cluster has no workers. Start workers, then train again.")
    failed = sorted(worker for worker, readable in is_readable.items() if not readable)
    if failed:
        raise ClusterError(
            f"{len(failed)} of {len(is_readable)} Dask workers cannot open {path}. The first is {failed[0]}. Put the "
            "state folder (SELLERSCORE_HOME) on storage that all workers reach under the same path."
        )
    return len(is_readable)


def _silence() -> None:
    """Discard standard output of a local worker: LightGBM prints there."""
    with Path(os.devnull).open("wb") as devnull:
        os.dup2(devnull.fileno(), 1)


def _on_this_machine() -> dict[str, Any]:
    return {
        "n_workers": _LOCAL_WORKERS,
        "threads_per_worker": max(1, (os.cpu_count() or 1) // _LOCAL_WORKERS),
        "processes": True,  # LightGBM has one network per process
        "host": "127.0.0.1",
        "dashboard_address": None,
    }
