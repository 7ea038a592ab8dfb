"""Make a score and read it back. A score is stored, and the storing committed, before anyone sees it."""

from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime

from api import durability
from api.database import transaction
from api.errors import ScoreUnknown
from api.scores import again
from api.scores.making import Answered, Asked, make
from api.scores.schemas import ScoreRequest
from api.scores.stored import StoredScore, find
from api.services import Services


@dataclass(frozen=True)
class Wanted:
    """The score that a bank wants, under which Idempotency-Key if any; `now` is when, None for when it is made."""

    bank_id: str
    request: ScoreRequest
    key: str | None = None
    now: datetime | None = None


async def create(services: Services, wanted: Wanted) -> Answered:
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
        named = services.idempotency.named(bank_id, wanted.key, again.asked(request))
    with nullcontext() if named is None else services.idempotency.at_work(named):
        # where chains can be written side by side, no bank waits for another
        queue = None if durability.has_one_writer(services.engine) else bank_id
        return await services.batches.ask(make, Asked(services, bank_id, request, named, wanted.now), queue)


def get(services: Services, bank_id: str, score_id: str) -> StoredScore:
    """Return the stored score of a bank.

    Raises:
        ScoreUnknown: there is none under the id, or it is another bank's.
        ScoreErased: the seller was erased.
        LedgerDamaged: what is stored is not what was.
        DatabaseUnavailable: the database does not answer.
    """
    with transaction(services.engine) as connection:
        score = find(connection, services.ledger, bank_id, score_id)
    if score is None:
        raise ScoreUnknown
    return score
