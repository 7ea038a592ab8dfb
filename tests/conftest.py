"""Set-up for all tests, in addition to the settings in pyproject.toml."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from features import tiles
from features.festivals import festival_days

MEMORY = Path("/dev/shm")  # noqa: S108 - pytest creates a folder of its own in it
SLOW_FIXTURES = frozenset({"chromium_path", "open_client", "postgres", "registry", "served", "spark", "start", "world"})
"""Fixtures that start a server, a browser, Spark or a training; tests that use one are marked `slow`."""

# the time of an example depends on the load of the machine
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_configure(config: pytest.Config) -> None:
    # Ibis 12 calls DuckDB's fetch_arrow_table, which DuckDB 2 deprecates
    config.addinivalue_line("filterwarnings", r"ignore:fetch_arrow_table\(\) is deprecated:DeprecationWarning")
    # databases wait for the disk at each commit; in memory this is fast
    if os.access(MEMORY, os.W_OK):
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))
    # set before NumPy is imported: on small data, threads that wait for each other take ten times the time
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if SLOW_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish() -> None:
    # imported objects stay; repeated garbage collection of them takes a tenth of the total time
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    # frozen objects are reported as leaks when the process ends
    gc.unfreeze()


@pytest.fixture(scope="session", autouse=True)
def few_festivals() -> Iterator[None]:
    """Use the festivals of 2017 to 2027 only: the query of 111 years takes a second to compile for each fold of tiles.

    `test_tile_store` uses those of all years.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles, "festival_days", lambda first=2017, last=2027: festival_days(first, last))
        yield
