"""What the tests of training share, and third-party warnings that they meet: each by name, none ours to change."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest

from features.intake import OperatingStore
from features.pipeline import frame
from tests.training.forked import Forks, forking
from training.registry import Registry, require

_FILTERS = (
    # shap sets up its colour maps in matplotlib's older way when it is imported
    "ignore:The (set_bad|set_over|set_under) function will be deprecated:PendingDeprecationWarning",
    # mlflow looks at the type hints of its own classes when its pyfunc is imported
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
def forks() -> Iterator[Forks]:
    """A process that has MLflow imported, to fork others from."""
    with forking() as made:
        yield made


@pytest.fixture(scope="session")
def empty_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a registry that was used for the first time; MLflow takes seconds to make its tables."""
    folder: Path = tmp_path_factory.mktemp("empty-registry")
    require(Registry.on_sqlite(folder))
    return folder


def copied_registry(template: Path, folder: Path) -> Registry:
    """Return the registry of another folder that holds what the template does, and keeps its files with it."""
    shutil.copy(template / "mlflow.db", folder / "mlflow.db")
    return Registry.on_sqlite(folder)


@contextmanager
def remembered_frames() -> Iterator[None]:
    """Compute the features of the same sellers and midnights once: every copy of the world asks for the same ones."""
    known: dict[tuple[str, frozenset[tuple[str, pd.Timestamp]]], pd.DataFrame] = {}

    def remembered(store: OperatingStore, pairs: pd.DataFrame) -> pd.DataFrame:
        key = store.version, frozenset(zip(pairs["seller_id"], pd.to_datetime(pairs["as_of"]), strict=True))
        if key not in known:
            known[key] = frame(store, pairs)
        return known[key].copy()

    with pytest.MonkeyPatch.context() as patch:
        for module in ("training.dataset", "training.monitor.reference", "training.monitor.population"):
            patch.setattr(f"{module}.frame", remembered)
        yield
