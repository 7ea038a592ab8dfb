"""The approval on the model card that a run stores: written when its version is promoted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from training.evidence.card_approval import CardApproval, approve_html, approve_markdown
from training.evidence.model_card import HTML, MARKDOWN
from training.registry.connection import Registry, connected

if TYPE_CHECKING:
    from training.registry.versions import Version

_FILLED: Final = {MARKDOWN: approve_markdown, HTML: approve_html}


def write_approval(registry: Registry, version: Version, approval: CardApproval) -> None:
    """Write an approval on the card of a version; a run without a card has nothing to write on.

    Raises:
        RegistryError: the registry or its artifacts cannot be reached.
    """
    import mlflow.artifacts

    with connected(registry) as client:
        stored = {item.path for item in client.list_artifacts(version.run_id)}
        for name, filled in _FILLED.items():
            if name in stored:
                text = mlflow.artifacts.load_text(f"runs:/{version.run_id}/{name}")
                client.log_text(version.run_id, filled(text, approval), name)
