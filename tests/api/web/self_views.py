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
    """The parts of an earlier self view that differ from one of today; None keeps a part. `bundle` is a digest."""

    as_of: date | None = None
    values: tuple[float | None, ...] | None = None
    covers: date | None = None
    bundle: str | None = None


def store_self_view(services: Services, seller_id: str, scored_at: datetime, differs: Differs) -> str:
    """Store a self view of a moment and return its ID."""
    with transaction(services.engine, writes=True) as connection:
        seller = services.ledger.seller(connection, seller_id)
        inputs = self_view.latest_inputs(services, connection, seller_id, scored_at)
        stored, snapshot = inputs.stored, inputs.stored.snapshot
        covers = dict.fromkeys(snapshot.covers_through, differs.covers) if differs.covers else snapshot.covers_through
        snapshot = replace(snapshot, covers_through=covers, as_of=differs.as_of or snapshot.as_of)
        inputs = replace(inputs, stored=replace(stored, snapshot=snapshot, values=differs.values or stored.values))
        draft = self_view.draft(services, inputs)
        if differs.bundle is not None:
            bundle: Any = SimpleNamespace(digest=differs.bundle)
            draft = replace(draft, bundle=bundle)
        return self_view.record(services, connection, seller, draft, scored_at).id
