"""Artifacts of a run: files, bundles, test predictions, and the approval on the model card."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from training.evidence.card_approval import CardApproval, approve_html, approve_markdown
from training.evidence.model_card import HTML, MARKDOWN
from training.registry.connection import Registry, connected

if TYPE_CHECKING:
    import pandas as pd

    from training.registry.versions import Version

PREDICTIONS: Final = "predictions/test.parquet"
"""The artifact with the test predictions of a run."""

_APPROVE: Final = {MARKDOWN: approve_markdown, HTML: approve_html}


def locate_card(registry: Registry, run_id: str) -> str:
    """Return the path of a run's model card, or the command that downloads it from a tracking server.

    Raises:
        RegistryError: the registry cannot be reached.
    """
    with connected(registry) as client:
        address = urlsplit(client.get_run(run_id).info.artifact_uri)
    if address.scheme in {"", "file"}:
        return str(Path(unquote(address.path)) / HTML)
    return f"mlflow artifacts download --run-id {run_id} --artifact-path {HTML}"


def log_file(path: str, content: bytes) -> None:
    """Log a file to the active run, with this path as its artifact path."""
    import mlflow

    with tempfile.TemporaryDirectory(prefix="sellerscore-") as folder:
        file = Path(folder) / Path(path).name
        file.write_bytes(content)
        mlflow.log_artifact(str(file), str(Path(path).parent))


def log_bundle(files: Mapping[str, bytes], folder: str) -> None:
    """Log the files of a bundle to the active run, in this artifact folder."""
    for name, content in files.items():
        log_file(f"{folder}/{name}", content)


def log_predictions(predictions: pd.DataFrame) -> None:
    """Log test predictions to the active run."""
    content = io.BytesIO()
    predictions.to_parquet(content, index=False)
    log_file(PREDICTIONS, content.getvalue())


def load_predictions(registry: Registry, version: Version) -> pd.DataFrame | None:
    """Return the test predictions of a version; None if its run stored none.

    Raises:
        RegistryError: the registry or its artifacts cannot be reached.
    """
    import mlflow.artifacts
    import pandas as pd

    with tempfile.TemporaryDirectory(prefix="sellerscore-") as folder, connected(registry) as client:
        stored = {item.path for item in client.list_artifacts(version.run_id, str(Path(PREDICTIONS).parent))}
        if PREDICTIONS not in stored:
            return None
        path = mlflow.artifacts.download_artifacts(f"runs:/{version.run_id}/{PREDICTIONS}", dst_path=folder)
        predictions: pd.DataFrame = pd.read_parquet(path)
    return predictions


def write_approval(registry: Registry, version: Version, approval: CardApproval) -> None:
    """Write an approval on the model card of a version, if its run has one.

    Raises:
        RegistryError: the registry or its artifacts cannot be reached.
    """
    import mlflow.artifacts

    with connected(registry) as client:
        stored = {item.path for item in client.list_artifacts(version.run_id)}
        for name, approve in _APPROVE.items():
            if name in stored:
                text = mlflow.artifacts.load_text(f"runs:/{version.run_id}/{name}")
                client.log_text(version.run_id, approve(text, approval), name)
