"""How a score that was made goes into the ledger and its index: one way for banks' scores and sellers' own.

Makes the scores that are asked for at once: one transaction, one look at each table, one run of the model.

The sellers' keys are held first, then the banks' chains (in this order an erasure and those who append never wait for
one another in a ring), and all else is read after that: whatever a score rests on was committed before it, and a
revocation, an erasure or another use of its key comes before it and is found, or after it.

Make a score and read it back. A score is stored, and the storing committed, before anyone sees it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby

from sqlalchemy import Connection

from api.consents import repository as consent_rows
from api.consents import service as consents
from api.consents.repository import Consent
from api.errors import ConsentRequired, Problem
from api.kit import database
from api.kit import idempotency as keys
from api.kit.database import transaction
from api.kit.idempotency import RequestKey, UsedKey
from api.ledger import store as ledger_rows
from api.ledger.chain import EntryKind, Row, Tip
from api.ledger.encryption import SellerKey
from api.ledger.store import EntryDraft, build_entry
from api.scores import envelope as answer
from api.scores import inputs, repository, service
from api.scores.envelope import format_optional_timestamp
from api.scores.inputs import CorrectedVector, Correction, assess_inputs, load_inputs
from api.scores.repository import ScoreIndexEntry, StoredScore
from api.scores.schemas import ScoreRequest
from api.services import Services
from scoring import Assessment, Bundle, serialize_assessment
from scoring.canonical import canonical_json


@dataclass(frozen=True)
class ScoreDraft:
    """A score that is not stored yet: from which figures, by which bundle, and what it says of them.

    `chain` is the id of the bank, and the name of its chain; `named` is what the score's object tells beside.
    """

    figures: CorrectedVector
    bundle: Bundle
    assessment: Assessment
    chain: str
    purpose: str
    named: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ScoreRecord:
    """A score as it is to be stored: its row, its place in the index, and what is answered once both are committed."""

    made: ScoreDraft
    row: Row
    index: ScoreIndexEntry
    score: StoredScore


def record_draft(services: Services, made: ScoreDraft, seller: SellerKey, tip: Tip, now: datetime) -> ScoreRecord:
    """Return what is to be stored of a score, signed by the keys of these services.

    Args:
        services: the parts.
        made: the score.
        seller: whose score it is, as the ledger knows them.
        tip: where the chain stands.
        now: when it was made.
    """
    score_id, seller_id = str(uuid.uuid4()), made.figures.stored.seller_id
    envelope = {
        "id": score_id,
        "seller_id": seller_id,
        "bank_id": made.chain,
        "purpose": made.purpose,
        "scored_at": format_optional_timestamp(now),
        "expires_at": format_optional_timestamp(now + timedelta(days=services.settings.score_validity_days)),
        **made.named,
    }
    # canonical JSON nests: the assessment's part of the answer is its canonical bytes
    parts = {name: canonical_json(value) for name, value in envelope.items()}
    parts["assessment"] = serialize_assessment(made.assessment)
    inputs, digest = made.figures.inputs, made.bundle.digest
    row = build_entry(seller, EntryDraft(made.chain, EntryKind.SCORE, answer.content(digest, parts, inputs), now), tip)
    body, receipt = answer.signed_response(parts, row, services.receipts)
    sealed = answer.seal_receipt(seller.key, score_id, receipt)
    index = ScoreIndexEntry(
        score_id, made.chain, row.header.position, seller.subject, made.purpose, now, digest, sealed
    )
    stored = StoredScore(score_id, made.chain, seller_id, made.purpose, now, digest, inputs, body)
    return ScoreRecord(made, row, index, stored)


def store_scores(connection: Connection, scores: Sequence[ScoreRecord]) -> None:
    """Store scores whose chains are held, each chain's in order."""
    ledger_rows.append_rows(connection, [each.row for each in scores])
    repository.insert_scores(connection, [each.index for each in scores])


@dataclass(frozen=True)
class IssuanceRequest:
    """Who asks for a score, under which Idempotency-Key if any, and the parts that the request began with.

    `now` is the moment of the score, None for when it is made.
    """

    services: Services
    bank_id: str
    request: ScoreRequest
    named: RequestKey | None = None
    now: datetime | None = None


@dataclass(frozen=True)
class IssuedScore:
    """A score, and whether it was made before, for the same key."""

    score: StoredScore
    replayed: bool


@dataclass(frozen=True)
class _Held:
    """What the database says of all who ask, while their sellers' keys and their chains are held.

    `now` is read then too: by a moment before, a consent that was renewed while one waited would lie ahead.
    """

    now: datetime

    sellers: Mapping[str, SellerKey]
    tips: dict[str, Tip]
    used: Mapping[str, UsedKey]
    consents: Mapping[str, Sequence[Consent]]
    corrections: Mapping[str, Sequence[Correction]]


@dataclass(frozen=True)
class _AssessedInputs:
    """What a score is to be made of: whose it is, by which consent, from which figures."""

    asked: IssuanceRequest
    now: datetime
    seller: SellerKey
    consent: Consent
    figures: CorrectedVector


def issue_scores(asked: Sequence[IssuanceRequest]) -> list[IssuedScore | Problem]:
    """Return for each who asks the score, committed, or why there is none.

    A key that stands for a score already gets that score. All share database, ledger and vectors; model and signing
    keys are those that each began with.

    Raises:
        DatabaseUnavailable: nothing was stored.
    """
    parts = asked[0].services
    with transaction(parts.engine, writes=True) as connection:
        held = _lock(connection, asked)
        settled = [_resolve(connection, each, held) for each in asked]
        grounds = [each for each in settled if isinstance(each, _AssessedInputs)]
        made = _record_draft(grounds, held.tips)
        _store(connection, grounds, made)
    scores = iter(made)
    for each, score in zip(grounds, made, strict=True):
        _publish(each, score)
    return [
        IssuedScore(next(scores).score, replayed=False) if isinstance(each, _AssessedInputs) else each
        for each in settled
    ]


def _lock(connection: Connection, asked: Sequence[IssuanceRequest]) -> _Held:
    ledger, sellers = asked[0].services.ledger, sorted({each.request.seller_id for each in asked})
    known = ledger.sellers(connection, sellers)
    tips = {chain: ledger.lock_chain(connection, chain) for chain in sorted({each.bank_id for each in asked})}
    return _Held(
        now=datetime.now(UTC),
        sellers=known,
        tips=tips,
        used=keys.find_used_key(connection, [each.named.name for each in asked if each.named is not None]),
        consents=consent_rows.unrevoked(connection, sellers),
        corrections=inputs.corrections_of_all(connection, sellers),
    )


def _resolve(connection: Connection, asked: IssuanceRequest, held: _Held) -> _AssessedInputs | IssuedScore | Problem:
    try:
        now = asked.now or held.now
        used = None if asked.named is None else held.used.get(asked.named.name)
        if asked.named is not None and used is not None and now < used.expires_at:
            return IssuedScore(
                service.find_idempotent_replay(connection, asked.services.ledger, asked.named, used), replayed=True
            )
        seller_id = asked.request.seller_id
        consented = held.consents.get(seller_id, ())
        consent = consents.require_consent(consented, asked.bank_id, asked.request.purpose, now)
        # who consented has a row in the ledger, and so a key: without one the consent came after the keys were held
        seller = held.sellers.get(seller_id)
        if seller is None:
            raise ConsentRequired
        corrections = held.corrections.get(seller_id, ())
        return _AssessedInputs(
            asked, now, seller, consent, load_inputs(asked.services, seller_id, now.date(), corrections)
        )
    except Problem as refused:
        return refused


def _record_draft(grounds: Sequence[_AssessedInputs], tips: dict[str, Tip]) -> list[ScoreRecord]:
    """Return all as they are to be stored, each behind the last of its chain."""
    found = []
    for on, assessment in zip(grounds, _assess(grounds), strict=True):
        asked, services = on.asked, on.asked.services
        named = {"consent_id": on.consent.id}
        bundle = services.champion.bundle
        made = ScoreDraft(on.figures, bundle, assessment, asked.bank_id, str(asked.request.purpose), named)
        score = record_draft(services, made, on.seller, tips[asked.bank_id], on.now)
        tips[asked.bank_id] = score.row.tip
        found.append(score)
    return found


def _assess(grounds: Sequence[_AssessedInputs]) -> Iterator[Assessment]:
    """Yield what the models say; it is one model but for the moment in which another takes its place."""
    for _, group in groupby(grounds, lambda on: on.asked.services.champion.bundle.digest):
        same = list(group)
        yield from assess_inputs(same[0].asked.services.champion.bundle, [on.figures for on in same])


def _store(connection: Connection, grounds: Sequence[_AssessedInputs], made: Sequence[ScoreRecord]) -> None:
    store_scores(connection, made)
    used = [
        service.stored_score(on.asked.named, on.seller, score.index.id, on.now)
        for on, score in zip(grounds, made, strict=True)
        if on.asked.named is not None
    ]
    keys.store_used_key(connection, used)
    for owner in sorted({named.owner for named, _ in used}):
        keys.prune_used_keys(connection, owner, grounds[0].now)


def _publish(on: _AssessedInputs, score: ScoreRecord) -> None:
    services, assessment = on.asked.services, score.made.assessment
    services.metrics.record_score(str(assessment.outcome))
    if services.shadow is not None:
        services.shadow.offer(score.score.id, on.figures.vector)


@dataclass(frozen=True)
class ScoreWanted:
    """The score that a bank wants, under which Idempotency-Key if any; `now` is when, None for when it is made."""

    bank_id: str
    request: ScoreRequest
    key: str | None = None
    now: datetime | None = None


async def issue_score(services: Services, wanted: ScoreWanted) -> IssuedScore:
    """Score a seller for a bank from the latest vector and store the score; under a key, once.

    Those who ask at once share a transaction; no thread is held while one waits.

    Raises:
        IdempotencyKeyInFlight: another request with the key is being worked on.
        IdempotencyKeyReused: the key stands for another request.
        ScoreErased: the key stands for the score of a seller who was erased.
        ConsentRequired: no consent of the seller for the bank and purpose is in force; looked at before all else, so
            that sellers who do not exist are answered alike.
        SellerUnknown: the latest snapshot does not hold the seller.
        VectorsUnavailable: there is no snapshot, or it cannot be read.
        VectorsDoNotFitModel: the vectors were made by another catalogue than the model's.
        ScoreNotExplained: the model's contributions do not add up.
        LedgerDamaged: what the key stands for is not what was stored.
        DatabaseUnavailable: the score could not be stored, so there is none.
    """
    bank_id, request = wanted.bank_id, wanted.request
    named = None
    if wanted.key is not None:
        named = services.idempotency.key_for(bank_id, wanted.key, service.request_key(request))
    with nullcontext() if named is None else services.idempotency.in_progress(named):
        # where chains can be written side by side, no bank waits for another
        queue = None if database.has_single_writer(services.engine) else bank_id
        return await services.batcher.submit(
            issue_scores, IssuanceRequest(services, bank_id, request, named, wanted.now), queue
        )
