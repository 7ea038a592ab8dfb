"""Replace and list a bank's products, and hold products against a stored score, within the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection

from api.products import repository
from api.products.grounds import Told, grounds_of, told
from api.products.repository import Version
from api.scores.assessed import require_current
from api.scores.replay import bundle_of
from api.scores.stored import StoredScore
from api.services import Services
from scoring import Eligibility, EligibilityInputs, Product, eligibility
from scoring.bands import Bands


@dataclass(frozen=True)
class Offer:
    """A bank's product, and whether a scored seller may have it; `grounds` are in the product's currency."""

    bank_id: str
    bank_name: str
    product_id: str
    version: int
    product: Product
    grounds: EligibilityInputs
    eligibility: Eligibility


def replace(connection: Connection, bank_id: str, given: Mapping[str, Product], now: datetime | None = None) -> None:
    """Let a bank have these products by id from now on, and no others.

    One that is as it was stays the version that it is. Nothing is lost: what held before is kept with its time.
    """
    repository.lock(connection, bank_id)
    # read once the lock is held; a clock that was set back must not end what has not begun
    last = repository.last_change(connection, bank_id)
    moment = max(each for each in (now or datetime.now(UTC), last) if each is not None)
    held = {each.product_id: each.product for each in repository.held(connection, bank_id)}
    repository.end(connection, bank_id, [name for name in held if given.get(name) != held[name]], moment)
    versions = repository.last_versions(connection, bank_id)
    for name, product in given.items():
        if held.get(name) != product:
            repository.add(connection, Version(bank_id, name, versions.get(name, 0) + 1, moment, None, product))


def offers(connection: Connection, services: Services, score: StoredScore, now: datetime | None = None) -> list[Offer]:
    """Hold a stored score against the products of all banks, in order of the banks' names and the products' ids.

    Example: `offers(connection, services, score)` of a seller's own score of purpose `self_view`.

    Raises:
        BundleNotKept: the bundle that made the score is gone or damaged.
        LedgerDamaged: what is stored is no score.
    """
    at = now or datetime.now(UTC)
    return held_against(services, score, repository.everyones(connection, at), at)[1]


def offers_of_bank(
    connection: Connection, services: Services, score: StoredScore, bank_name: str, at: datetime
) -> tuple[Told, list[Offer]]:
    """Hold a bank's score against its own products as they were at a moment, and return what the score tells too.

    Raises:
        ScoreOfEarlierFormat: the score was stored by an earlier version.
        BundleNotKept: the bundle that made the score is gone or damaged.
        LedgerDamaged: what is stored is no score.
    """
    own = [(bank_name, each) for each in repository.held(connection, score.bank_id, at)]
    return held_against(services, score, own, at)


def held_against(
    services: Services, score: StoredScore, versions: Iterable[tuple[str, Version]], at: datetime
) -> tuple[Told, list[Offer]]:
    """Hold a stored score against products, each after its bank's name, at a moment.

    Raises:
        ScoreOfEarlierFormat: it was stored by an earlier version.
        BundleNotKept: the bundle that made it is gone or damaged.
        LedgerDamaged: what is stored is no score.
    """
    require_current(score.body)
    bundle = bundle_of(services, score.bundle)
    known = told(score, bundle)
    return known, [_offer(known, name, each, (bundle.policy.bands, at)) for name, each in versions]


def _offer(known: Told, bank_name: str, version: Version, by: tuple[Bands, datetime]) -> Offer:
    bands, at = by
    product = version.product
    grounds = grounds_of(known, product.currency, at)
    found = eligibility(product, grounds, bands)
    return Offer(version.bank_id, bank_name, version.product_id, version.version, product, grounds, found)
