"""Makes the scores that are asked for at once: one transaction, one look at each table, one run of the model.

The sellers' keys are held first, then the banks' chains (in this order an erasure and those who append never wait for
one another in a ring), and all else is read after that: whatever a score rests on was committed before it, and a
revocation, an erasure or another use of its key comes before it and is found, or after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby

from sqlalchemy import Connection

from api.consents import repository as consent_rows
from api.consents import service as consents
from api.consents.repository import Consent
from api.database import transaction
from api.errors import ConsentRequired, Problem
from api.idempotency import repository as keys
from api.idempotency.keys import Named
from api.idempotency.repository import Used
from api.ledger.chain import Tip
from api.ledger.service import Seller
from api.reviews import repository as reviews
from api.reviews.corrected import Corrected
from api.reviews.repository import Correction
from api.scores import again
from api.scores.figures import assessed, figures_of
from api.scores.recording import Made, Recorded, keep, recorded
from api.scores.schemas import ScoreRequest
from api.scores.stored import StoredScore
from api.services import Services
from scoring import Assessment


@dataclass(frozen=True)
class Asked:
    """Who asks for a score, under which Idempotency-Key if any, and the parts that the request began with.

    `now` is the moment of the score, None for when it is made.
    """

    services: Services
    bank_id: str
    request: ScoreRequest
    named: Named | None = None
    now: datetime | None = None


@dataclass(frozen=True)
class Answered:
    """A score, and whether it was made before, for the same key."""

    score: StoredScore
    replayed: bool


@dataclass(frozen=True)
class _Held:
    """What the database says of all who ask, while their sellers' keys and their chains are held.

    `now` is read then too: by a moment before, a consent that was renewed while one waited would lie ahead.
    """

    now: datetime

    sellers: Mapping[str, Seller]
    tips: dict[str, Tip]
    used: Mapping[str, Used]
    consents: Mapping[str, Sequence[Consent]]
    corrections: Mapping[str, Sequence[Correction]]


@dataclass(frozen=True)
class _Grounds:
    """What a score is to be made of: whose it is, by which consent, from which figures."""

    asked: Asked
    now: datetime
    seller: Seller
    consent: Consent
    figures: Corrected


def make(asked: Sequence[Asked]) -> list[Answered | Problem]:
    """Return for each who asks the score, committed, or why there is none.

    A key that stands for a score already gets that score. All share database, ledger and vectors; model and signing
    keys are those that each began with.

    Raises:
        DatabaseUnavailable: nothing was stored.
    """
    parts = asked[0].services
    with transaction(parts.engine, writes=True) as connection:
        held = _hold(connection, asked)
        settled = [_settled(connection, each, held) for each in asked]
        grounds = [each for each in settled if isinstance(each, _Grounds)]
        made = _recorded(grounds, held.tips)
        _store(connection, grounds, made)
    scores = iter(made)
    for each, score in zip(grounds, made, strict=True):
        _tell(each, score)
    return [Answered(next(scores).score, replayed=False) if isinstance(each, _Grounds) else each for each in settled]


def _hold(connection: Connection, asked: Sequence[Asked]) -> _Held:
    ledger, sellers = asked[0].services.ledger, sorted({each.request.seller_id for each in asked})
    known = ledger.sellers(connection, sellers)
    tips = {chain: ledger.hold(connection, chain) for chain in sorted({each.bank_id for each in asked})}
    return _Held(
        now=datetime.now(UTC),
        sellers=known,
        tips=tips,
        used=keys.find(connection, [each.named.name for each in asked if each.named is not None]),
        consents=consent_rows.unrevoked(connection, sellers),
        corrections=reviews.corrections_of_all(connection, sellers),
    )


def _settled(connection: Connection, asked: Asked, held: _Held) -> _Grounds | Answered | Problem:
    try:
        now = asked.now or held.now
        used = None if asked.named is None else held.used.get(asked.named.name)
        if asked.named is not None and used is not None and now < used.expires_at:
            return Answered(again.stored(connection, asked.services.ledger, asked.named, used), replayed=True)
        seller_id = asked.request.seller_id
        consented = held.consents.get(seller_id, ())
        consent = consents.required(consented, asked.bank_id, asked.request.purpose, now)
        # who consented has a row in the ledger, and so a key: without one the consent came after the keys were held
        seller = held.sellers.get(seller_id)
        if seller is None:
            raise ConsentRequired
        corrections = held.corrections.get(seller_id, ())
        return _Grounds(asked, now, seller, consent, figures_of(asked.services, seller_id, now.date(), corrections))
    except Problem as refused:
        return refused


def _recorded(grounds: Sequence[_Grounds], tips: dict[str, Tip]) -> list[Recorded]:
    """Return all as they are to be stored, each behind the last of its chain."""
    found = []
    for on, assessment in zip(grounds, _assessed(grounds), strict=True):
        asked, services = on.asked, on.asked.services
        named = {"consent_id": on.consent.id}
        bundle = services.champion.bundle
        made = Made(on.figures, bundle, assessment, asked.bank_id, str(asked.request.purpose), named)
        score = recorded(services, made, on.seller, tips[asked.bank_id], on.now)
        tips[asked.bank_id] = score.row.tip
        found.append(score)
    return found


def _assessed(grounds: Sequence[_Grounds]) -> Iterator[Assessment]:
    """Yield what the models say; it is one model but for the moment in which another takes its place."""
    for _, group in groupby(grounds, lambda on: on.asked.services.champion.bundle.digest):
        same = list(group)
        yield from assessed(same[0].asked.services.champion.bundle, [on.figures for on in same])


def _store(connection: Connection, grounds: Sequence[_Grounds], made: Sequence[Recorded]) -> None:
    keep(connection, made)
    used = [
        again.used(on.asked.named, on.seller, score.index.id, on.now)
        for on, score in zip(grounds, made, strict=True)
        if on.asked.named is not None
    ]
    keys.use(connection, used)
    for owner in sorted({named.owner for named, _ in used}):
        keys.prune(connection, owner, grounds[0].now)


def _tell(on: _Grounds, score: Recorded) -> None:
    services, assessment = on.asked.services, score.made.assessment
    services.counted.scored(str(assessment.outcome))
    if services.shadow is not None:
        services.shadow.offer(score.score.id, on.figures.vector)
