"""A registry of three versions to promote."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.conftest import copied_registry
from training.registry import MODEL_NAME, Registry
from training.registry.connection import connected


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry of three versions, each of a run of its own by Ana, without any model files."""
    folder: Path = tmp_path_factory.mktemp("template")
    with connected(Registry.on_sqlite(folder)) as client:
        experiment = client.create_experiment("sellerscore")
        client.create_registered_model(MODEL_NAME)
        for _ in range(3):
            run = client.create_run(experiment, tags={"trained_by": "Ana Silva"}).info.run_id
            client.create_model_version(MODEL_NAME, f"{folder}/nothing", run)
    return folder


@pytest.fixture
def registry(template: Path, tmp_path: Path) -> Registry:
    return copied_registry(template, tmp_path)
