"""A registry of three versions to promote."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.training.conftest import copied_registry
from tests.training.promotion.builders import lenient, wei
from training.promotion import promote
from training.registry import MODEL_NAME, Registry
from training.registry.connection import connected

Promoted = Callable[..., Registry]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry of three versions, each with its own run by Ana, without model files."""
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


@pytest.fixture(scope="session")
def promotions(template: Path) -> dict[tuple[str, ...], Path]:
    """Folders of registries by the versions promoted in them, in order."""
    return {(): template}


@pytest.fixture
def promoted(
    promotions: dict[tuple[str, ...], Path], tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> Promoted:
    """Return a registry in which Wei has promoted these versions; each sequence is created once and copied."""

    def create(*versions: str) -> Path:
        if versions not in promotions:
            folder: Path = tmp_path_factory.mktemp("promoted")
            promote(copied_registry(create(*versions[:-1]), folder), versions[-1], wei(), lenient)
            promotions[versions] = folder
        return promotions[versions]

    return lambda *versions: copied_registry(create(*versions), tmp_path)
