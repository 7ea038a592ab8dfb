"""Artifacts of a run: files, bundles, test predictions, and the approval on the model card."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from training.evidence.card_approval import CardApproval, approve_html, approve_markdown
from training.evidence.model_card import HTML, MARKDOWN
from training.registry.connection import Registry, connected

if TYPE_CHECKING:
    import pandas as pd

    from training.registry.versions import Version

PREDICTIONS: Final = "predictions"
"""The artifact folder with the test predictions of a run."""

TEST: Final = "test.parquet"

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


def log_files(folder: str, files: Mapping[str, bytes]) -> None:
    """Log files to the active run, in this artifact folder."""
    import mlflow

    with write_files(folder, files) as written:
        mlflow.log_artifacts(str(written), folder)


@contextmanager
def write_files(folder: str, files: Mapping[str, bytes]) -> Iterator[Path]:
    """Write files to a temporary folder of this name, and yield its path."""
    with tempfile.TemporaryDirectory(prefix="sellerscore-") as parent:
        path = Path(parent) / folder
        path.mkdir()
        for name, content in files.items():
            (path / name).write_bytes(content)
        yield path


def load_predictions(registry: Registry, version: Version) -> pd.DataFrame | None:
    """Return the test predictions of a version; None if its run stored none.

    Raises:
        RegistryError: the registry or its artifacts cannot be reached.
    """
    import mlflow.artifacts
    import pandas as pd

    with tempfile.TemporaryDirectory(prefix="sellerscore-") as folder, connected(registry) as client:
        if not client.list_artifacts(version.run_id, PREDICTIONS):
            return None
        path = mlflow.artifacts.download_artifacts(f"runs:/{version.run_id}/{PREDICTIONS}/{TEST}", dst_path=folder)
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
