"""Fixtures that tests of training share, and warnings of libraries that we cannot change."""

from __future__ import annotations

import multiprocessing
import shutil
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from tests.world import World, shared_world
from training.registry import Registry, require

_FILTERS = (
    # shap sets up its colour maps in matplotlib's older way when it is imported
    "ignore:The (set_bad|set_over|set_under) function will be deprecated:PendingDeprecationWarning",
    # mlflow inspects the type hints of its own classes when its pyfunc is imported
    "ignore:.*Any type hint is inferred as AnyType:UserWarning",
    # mlflow compares a frame's columns with a range
    "ignore:Operation with range is deprecated",
    # mlflow's own tables use what SQLAlchemy 2.1 deprecates
    "ignore:The ``noload`` loader strategy is deprecated",
)


def pytest_configure(config: pytest.Config) -> None:
    for line in _FILTERS:
        config.addinivalue_line("filterwarnings", line)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return shared_world(tmp_path_factory)


@pytest.fixture(scope="session")
def processes() -> ForkServerContext:
    """Starts processes that have MLflow and `tests.training.processes` imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mlflow", "tests.training.processes"])
    return context


@pytest.fixture(scope="session")
def empty_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a registry that was used for the first time; MLflow takes seconds to create its tables."""
    folder: Path = tmp_path_factory.mktemp("empty-registry")
    require(Registry.on_sqlite(folder))
    return folder


def copied_registry(template: Path, folder: Path) -> Registry:
    """Return the registry of another folder that holds what the template does, and keeps its files with it."""
    shutil.copy(template / "mlflow.db", folder / "mlflow.db")
    return Registry.on_sqlite(folder)
