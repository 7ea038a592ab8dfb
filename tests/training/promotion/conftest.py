"""A registry of three versions to promote, gates that pass or fail, and failing moves of the champion."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.training.conftest import copied_registry
from training.gates import Check, GateVerdict
from training.promotion import Approval, promote
from training.registry import CHAMPION, EXPERIMENT, MODEL_NAME, Registry, Version
from training.registry.connection import connected

if TYPE_CHECKING:
    from mlflow import MlflowClient

Promoted = Callable[..., Registry]
PASSED = Check("sums", GateVerdict.PASSED, "all add up")
FAILED = Check("drift", GateVerdict.FAILED, "PSI of the score: 0.4; limit: at most 0.25")


def lenient(_candidate: Version, _champion: Version | None) -> tuple[Check, ...]:
    return (PASSED,)


def strict(_candidate: Version, _champion: Version | None) -> tuple[Check, ...]:
    return (PASSED, FAILED)


def wei(reason: str = "better on new sellers") -> Approval:
    return Approval.now("Wei Zhang", reason)


def alias_moves(monkeypatch: pytest.MonkeyPatch, move: Callable[[MlflowClient, str], None]) -> None:
    """Replace the move of the champion's alias by `move(client, number)`; other aliases move as usual."""
    from mlflow import MlflowClient

    real = MlflowClient.set_registered_model_alias

    def moved(client: MlflowClient, name: str, alias: str, number: str) -> None:
        if alias == CHAMPION:
            with monkeypatch.context() as patch:
                patch.setattr(MlflowClient, "set_registered_model_alias", real)
                move(client, number)
        else:
            real(client, name, alias, number)

    monkeypatch.setattr(MlflowClient, "set_registered_model_alias", moved)


@pytest.fixture(scope="session")
def template(empty_registry: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry of three versions, each with its own run by Ana, without model files."""
    folder: Path = tmp_path_factory.mktemp("template")
    with connected(copied_registry(empty_registry, folder)) as client:
        experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
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
