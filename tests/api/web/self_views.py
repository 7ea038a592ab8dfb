"""Earlier self views of a seller, stored as the service stores them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime
from types import SimpleNamespace
from typing import Any

from api.kit.database import transaction
from api.scores import self_view
from api.services import Services


@dataclass(frozen=True)
class Differs:
    """The parts of an earlier self view that differ from one of today; None keeps a part."""

    as_of: date | None = None
    values: tuple[float | None, ...] | None = None
    covers: date | None = None
    bundle: str | None = None


def store_self_view(services: Services, seller_id: str, scored_at: datetime, differs: Differs) -> str:
    """Store a self view of a moment and return its ID; a bundle is only a digest, the model itself stays the same."""
    with transaction(services.engine, writes=True) as connection:
        seller = services.ledger.seller(connection, seller_id)
        figures = self_view.latest_inputs(services, connection, seller_id, scored_at)
        stored = figures.stored
        snapshot = stored.snapshot
        if differs.covers is not None:
            snapshot = replace(snapshot, covers_through=dict.fromkeys(snapshot.covers_through, differs.covers))
        snapshot = replace(snapshot, as_of=differs.as_of or snapshot.as_of)
        figures = replace(figures, stored=replace(stored, snapshot=snapshot, values=differs.values or stored.values))
        made = self_view.draft(services, figures)
        if differs.bundle is not None:
            other: Any = SimpleNamespace(digest=differs.bundle)
            made = replace(made, bundle=other)
        return self_view.record(services, connection, seller, made, scored_at).id
