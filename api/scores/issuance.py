"""Issuance of scores: request, draft, record, response; stored and committed before a caller sees the score.

Concurrent requests share one transaction, one query per table and one run of the model:

1. `_find_consenting` reads which sellers have a consent for the requesting bank. Only their rows are read afterwards:
   the duration of a refusal must not show whether a seller exists or deals with another bank.
2. `_lock` locks the sellers' keys, then the banks' chains. Erasures use the same order, so there is no deadlock. All
   other rows are read after that, so every consent, erasure and key that was committed before is visible.
3. `_prepare` checks each request: idempotency key, consent, feature values. The result is a prepared request, the score
   of an idempotent replay, or a problem.
4. `_draft` assesses the prepared requests: one `ScoreDraft` each.
5. `_record` places the drafts in their chains and signs them: one `ScoreRecord` each.
6. `store_scores` and `_store_keys` write everything, and the transaction commits.
"""

from __future__ import annotations

import hmac
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Final

from sqlalchemy import Connection

from api.consents import repository as consents
from api.consents.repository import Consent
from api.consents.service import require_consent
from api.errors import ConsentRequired, IdempotencyKeyReused, LedgerDamaged, Problem, ScoreErased
from api.kit import database
from api.kit import idempotency as keys
from api.kit.database import transaction
from api.kit.idempotency import RequestKey, UsedKey
from api.ledger import store as ledger_rows
from api.ledger.chain import EntryKind, Row, Tip
from api.ledger.encryption import DecryptionError, SellerKey
from api.ledger.store import EntryDraft, Ledger, build_entry
from api.scores import envelope, inputs, repository
from api.scores.envelope import format_milliseconds
from api.scores.inputs import CorrectedVector, Correction, assess_inputs, load_inputs
from api.scores.repository import ScoreIndexEntry, StoredScore, open_score
from api.scores.schemas import ScoreRequest
from api.services import Services
from scoring import Assessment, Bundle, serialize_assessment
from scoring.canonical import canonical_json

OPERATION: Final = "createScore"


@dataclass(frozen=True)
class IssuanceRequest:
    """A bank's request for a score, with the services at the time of its arrival.

    `now` is the time of the score; None is the time of issuance.
    """

    services: Services
    bank_id: str
    request: ScoreRequest
    key: RequestKey | None = None
    now: datetime | None = None


@dataclass(frozen=True)
class IssuedScore:
    """A stored score; `replayed` if an earlier request with the same key issued it."""

    score: StoredScore
    replayed: bool


@dataclass(frozen=True)
class ScoreDraft:
    """A score before it is stored: input values, bundle and assessment.

    `chain` is the name of the chain: the bank's ID, or `self`. `fields` are additional fields of the envelope. `key` is
    the Idempotency-Key of the request.
    """

    inputs: CorrectedVector
    bundle: Bundle
    assessment: Assessment
    chain: str
    purpose: str
    fields: Mapping[str, str] = field(default_factory=dict)
    key: RequestKey | None = None


@dataclass(frozen=True)
class ScoreRecord:
    """A score as it is stored: ledger row, index entry, the score with the response, and the key of the request."""

    row: Row
    index: ScoreIndexEntry
    score: StoredScore
    used_key: UsedKey | None = None


@dataclass(frozen=True)
class _LockedState:
    """The rows of all requests, read while the sellers' keys and the chains are locked; consents by bank and seller.

    `now` is read after the locks: with an earlier time, a consent that was renewed during the wait would start in the
    future.
    """

    now: datetime
    sellers: Mapping[str, SellerKey]
    tips: dict[str, Tip]
    used_keys: Mapping[str, UsedKey]
    consents: Mapping[str, Mapping[str, Sequence[Consent]]]
    corrections: Mapping[str, Sequence[Correction]]


@dataclass(frozen=True)
class _Prepared:
    """A request that passed all checks."""

    request: IssuanceRequest
    now: datetime
    seller: SellerKey
    consent: Consent
    inputs: CorrectedVector


async def issue_score(
    services: Services, bank_id: str, request: ScoreRequest, *, key: str | None = None, now: datetime | None = None
) -> IssuedScore:
    """Score a seller for a bank from the latest vector and store the score.

    Concurrent requests share a transaction. A waiting request occupies no thread. A request with a used Idempotency-Key
    returns the stored score. `now` is the time of the score; None is the current time.

    Raises:
        IdempotencyKeyInFlight: another request with the key is in progress.
        IdempotencyKeyReused: the key belongs to another request.
        ScoreErased: the key belongs to a score of an erased seller.
        ConsentRequired: no active consent for the bank and purpose. This is checked first, so an unknown seller gives
            the same response.
        SellerUnknown: the latest snapshot does not contain the seller.
        VectorsUnavailable: there is no snapshot, or it cannot be read.
        VectorsDoNotFitModel: the feature catalogue of the vectors differs from the model's.
        ScoreNotExplained: the contributions do not sum to the score.
        LedgerDamaged: the stored score of the key does not match its commitment.
        DatabaseUnavailable: the score could not be stored.
    """
    request_key = None
    if key is not None:
        request_key = services.idempotency.key_for(bank_id, key, canonical_request(request))
    with nullcontext() if request_key is None else services.idempotency.in_progress(request_key):
        # on a database with several writers, banks do not wait for each other
        queue = None if database.has_single_writer(services.engine) else bank_id
        pending = IssuanceRequest(services, bank_id, request, request_key, now)
        return await services.batcher.submit(issue_scores, pending, queue)


def issue_scores(requests: Sequence[IssuanceRequest]) -> list[IssuedScore | Problem]:
    """Return for each request the committed score, or the problem.

    All requests share database, ledger and vectors. Model and signing keys are those of each request.

    Raises:
        DatabaseUnavailable: nothing was stored.
    """
    services = requests[0].services
    with transaction(services.engine, writes=True) as connection:
        state = _lock(connection, requests, _find_consenting(connection, requests))
        results = [_prepare(connection, request, state) for request in requests]
        prepared = [result for result in results if isinstance(result, _Prepared)]
        drafts = _draft(prepared)
        records = _record(prepared, drafts, state.tips)
        store_scores(connection, records)
        _store_keys(connection, records, state.now)
    for item, draft, record in zip(prepared, drafts, records, strict=True):
        services = item.request.services
        services.metrics.record_score(str(draft.assessment.outcome))
        if services.shadow is not None:
            services.shadow.offer(record.score.id, item.inputs.vector)
    issued = iter(records)
    return [
        IssuedScore(next(issued).score, replayed=False) if isinstance(result, _Prepared) else result
        for result in results
    ]


def _find_consenting(connection: Connection, requests: Sequence[IssuanceRequest]) -> dict[str, list[str]]:
    """Return for each bank the requested sellers that have an unrevoked consent for it."""
    by_bank = defaultdict[str, set[str]](set)
    for request in requests:
        by_bank[request.bank_id].add(request.request.seller_id)
    return {bank: sorted(consents.unrevoked(connection, bank, sorted(by_bank[bank]))) for bank in sorted(by_bank)}


def _lock(
    connection: Connection, requests: Sequence[IssuanceRequest], consenting: Mapping[str, Sequence[str]]
) -> _LockedState:
    ledger = requests[0].services.ledger
    seller_ids = sorted({seller for each in consenting.values() for seller in each})
    sellers = ledger.sellers(connection, seller_ids)
    names = [request.key.name for request in requests if request.key is not None]
    tips = {bank: ledger.lock_chain(connection, bank) for bank in consenting}
    return _LockedState(
        now=datetime.now(UTC),
        sellers=sellers,
        tips=tips,
        used_keys=keys.find_used_keys(connection, names),
        consents={bank: consents.unrevoked(connection, bank, each) for bank, each in consenting.items()},
        corrections=inputs.corrections_of_all(connection, seller_ids),
    )


def _prepare(
    connection: Connection, request: IssuanceRequest, state: _LockedState
) -> _Prepared | IssuedScore | Problem:
    now, key, seller_id = request.now or state.now, request.key, request.request.seller_id
    try:
        used = None if key is None else state.used_keys.get(key.name)
        if key is not None and used is not None and now < used.expires_at:
            return IssuedScore(_find_replay(connection, request.services.ledger, key, used), replayed=True)
        consent = require_consent(state.consents[request.bank_id].get(seller_id, ()), request.request.purpose, now)
        # a consent creates the seller's key; without a key, the consent came after the keys were locked
        seller = state.sellers.get(seller_id)
        if seller is None:
            raise ConsentRequired
        vector = load_inputs(request.services, seller_id, now.date(), state.corrections.get(seller_id, ()))
        return _Prepared(request, now, seller, consent, vector)
    except Problem as problem:
        return problem


def canonical_request(request: ScoreRequest) -> tuple[str, bytes]:
    """Return the operation and the canonical request of an Idempotency-Key."""
    return OPERATION, canonical_json(request.model_dump(mode="json"))


def _find_replay(connection: Connection, ledger: Ledger, key: RequestKey, used: UsedKey) -> StoredScore:
    """Return the stored score of a used key, if it is the key of the same request."""
    if used.operation != OPERATION:
        raise IdempotencyKeyReused
    row = repository.select_score(connection, key.owner, used.resource_id)
    if row is None:
        raise LedgerDamaged
    if row.key is None:
        raise ScoreErased
    try:
        mac = key.mac(ledger.unwrapped(row.key))
    except DecryptionError as error:
        raise LedgerDamaged from error
    if not hmac.compare_digest(mac, used.request):
        raise IdempotencyKeyReused
    if repository.read_key_name(ledger, row) != key.name:
        raise LedgerDamaged
    return open_score(ledger, row)


def _draft(prepared: Sequence[_Prepared]) -> list[ScoreDraft]:
    """Assess all requests, one run per bundle. There are two bundles only while a new model replaces the old one."""
    drafts = []
    for _, group in groupby(prepared, lambda item: item.request.services.champion.bundle.digest):
        items = list(group)
        bundle = items[0].request.services.champion.bundle
        assessments = assess_inputs(bundle, [item.inputs for item in items])
        drafts += [
            ScoreDraft(
                inputs=item.inputs,
                bundle=bundle,
                assessment=assessment,
                chain=item.request.bank_id,
                purpose=str(item.request.request.purpose),
                fields={"consent_id": item.consent.id},
                key=item.request.key,
            )
            for item, assessment in zip(items, assessments, strict=True)
        ]
    return drafts


def _record(prepared: Sequence[_Prepared], drafts: Sequence[ScoreDraft], tips: dict[str, Tip]) -> list[ScoreRecord]:
    records = []
    for item, draft in zip(prepared, drafts, strict=True):
        record = record_draft(item.request.services, draft, item.seller, tips[draft.chain], item.now)
        tips[draft.chain] = record.row.tip
        records.append(record)
    return records


def record_draft(services: Services, draft: ScoreDraft, seller: SellerKey, tip: Tip, now: datetime) -> ScoreRecord:
    """Return the record of a draft after the tip of its locked chain, signed with the receipt key of the services."""
    score_id, seller_id = str(uuid.uuid4()), draft.inputs.stored.seller_id
    fields = {
        "id": score_id,
        "seller_id": seller_id,
        "bank_id": draft.chain,
        "purpose": draft.purpose,
        "scored_at": format_milliseconds(now),
        "expires_at": format_milliseconds(now + timedelta(days=services.settings.score_validity_days)),
        **draft.fields,
    }
    # canonical JSON nests: the bytes of the assessment are part of the bytes of the response
    members = {name: canonical_json(value) for name, value in fields.items()}
    members["assessment"] = serialize_assessment(draft.assessment)
    vector, digest = draft.inputs.inputs, draft.bundle.digest
    used = None if draft.key is None else draft.key.use(seller.key, score_id, now)
    content = envelope.content(digest, members, vector, None if used is None else used.recorded)
    row = build_entry(seller, EntryDraft(draft.chain, EntryKind.SCORE, content, now), tip)
    body, receipt = envelope.signed_response(members, row, services.receipts)
    sealed = envelope.seal_receipt(seller.key, score_id, receipt)
    index = ScoreIndexEntry(
        score_id, draft.chain, row.header.position, seller.subject, draft.purpose, now, digest, sealed
    )
    score = StoredScore(score_id, draft.chain, seller_id, draft.purpose, now, digest, vector, body)
    return ScoreRecord(row, index, score, used)


def store_scores(connection: Connection, records: Sequence[ScoreRecord]) -> None:
    """Store scores in chain order; their chains are locked."""
    ledger_rows.append_rows(connection, [record.row for record in records])
    repository.insert_scores(connection, [record.index for record in records])


def _store_keys(connection: Connection, records: Sequence[ScoreRecord], now: datetime) -> None:
    used = [record.used_key for record in records if record.used_key is not None]
    keys.store_used_keys(connection, used)
    for owner in sorted({each.owner for each in used}):
        keys.prune_used_keys(connection, owner, now)
