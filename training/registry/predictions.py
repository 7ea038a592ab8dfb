"""Test predictions of a run, as an artifact: stored with the run, loaded to compare versions."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from training.registry.connection import Registry, connected

if TYPE_CHECKING:
    import pandas as pd

    from training.registry.versions import Version

PREDICTIONS: Final = "predictions/test.parquet"
"""The artifact of a run that holds its test predictions."""


def log_predictions(predictions: pd.DataFrame) -> None:
    """Log test predictions to the active run."""
    content = io.BytesIO()
    predictions.to_parquet(content, index=False)
    log_file(PREDICTIONS, content.getvalue())


def log_file(path: str, content: bytes) -> None:
    """Log a file to the active run, at this path among its artifacts."""
    import mlflow

    with tempfile.TemporaryDirectory(prefix="sellerscore-") as folder:
        place = Path(folder) / Path(path).name
        place.write_bytes(content)
        mlflow.log_artifact(str(place), str(Path(path).parent))


def log_bundle(files: Mapping[str, bytes], folder: str) -> None:
    """Log the files of a bundle to the active run, in this folder among its artifacts."""
    for name, content in files.items():
        log_file(f"{folder}/{name}", content)


def load_predictions(registry: Registry, version: Version) -> pd.DataFrame | None:
    """Return the test predictions of a version; None if its run stored none.

    Raises:
        RegistryError: the registry or its artifacts cannot be reached.
    """
    import mlflow.artifacts
    import pandas as pd

    with tempfile.TemporaryDirectory(prefix="sellerscore-") as folder, connected(registry) as client:
        parent = str(Path(PREDICTIONS).parent)
        if PREDICTIONS not in {item.path for item in client.list_artifacts(version.run_id, parent)}:
            return None
        place = mlflow.artifacts.download_artifacts(f"runs:/{version.run_id}/{PREDICTIONS}", dst_path=folder)
        found: pd.DataFrame = pd.read_parquet(place)
    return found
