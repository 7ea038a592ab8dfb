"""What `sellerscore score` shows of a seller: the score, what changed since the snapshot before, what would help."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from api.errors import SellerUnknown
from api.model_store import load_champion
from api.settings import Settings
from api.vectors import example_vector, to_vector
from features.store.vectors import VectorStore
from scoring import Advice, Assessment, Changes, advise, assess, changes


@dataclass(frozen=True)
class Looked:
    """A seller's assessment; `changed` is none where there is no earlier score to compare with."""

    seller_id: str
    assessment: Assessment
    changed: Changes | None
    advice: Advice

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a program."""
        return {
            "seller_id": self.seller_id,
            "assessment": self.assessment.to_dict(),
            "changes": asdict(self.changed) if self.changed else None,
            "advice": asdict(self.advice),
        }


def look(settings: Settings, seller_id: str | None, requested_on: date, band: str | None = None) -> Looked:
    """Score a seller of the latest snapshot with the champion, and the snapshot before beside; nothing is stored.

    Args:
        settings: where vectors and models are.
        seller_id: whom to look at; the first who has a score if none.
        requested_on: the day of the score (UTC), against which the age of the data is measured.
        band: what advice aims at; the next better band if none.

    Raises:
        SellerUnknown: the latest snapshot does not hold the seller.
        StoreError: no snapshot is stored.
        StartError: there is no champion.
        ScoringError: the vectors do not meet the bundle, or it has no such band.
    """
    vectors = VectorStore(settings.vectors_path)
    # looked up before the model, so that what is refused has fetched and written nothing
    stored = next(vectors.all_latest(), None) if seller_id is None else vectors.latest(seller_id)
    if stored is None:
        raise SellerUnknown(_no_vector(seller_id))
    bundle = load_champion(settings).bundle
    if seller_id is None:
        stored = example_vector(vectors, bundle, requested_on) or stored
    vector, earlier = to_vector(stored, requested_on), vectors.earlier(stored)
    now = assess(bundle, [vector])[0]
    # the earlier score as it was when its data were new
    before = assess(bundle, [to_vector(earlier)])[0] if earlier else None
    return Looked(
        seller_id or stored.seller_id, now, changes(before, now) if before else None, advise(bundle, vector, band)
    )


def _no_vector(seller_id: str | None) -> str:
    if seller_id is None:
        return "The latest feature snapshot holds no seller; run `sellerscore ingest` with some."
    return f'No operating data of the seller "{seller_id}" is in the latest feature snapshot; check the seller_id.'
