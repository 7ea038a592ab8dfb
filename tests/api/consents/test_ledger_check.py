"""`ledger verify` checks that each score and each view has an active consent, and names each fault with its row."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import pytest
from sqlalchemy import text

from api.consents.ledger_entries import consent_entry, revocation_entry
from api.kit.database import transaction
from api.ledger.chain import EntryKind
from api.ledger.encryption import destroy_key
from api.ledger.records import erase_subject
from scoring.canonical import canonical_json
from tests.api.consents.conftest import DAY, OTHER, PURPOSE, SELLER, TICK, Register
from tests.api.ledger.conftest import NOW
from tests.api.started import RING

pytestmark = pytest.mark.databases

Use = Callable[..., int]
"""Appends a score or a view that names a consent."""

OTHER_SELLER = "卖家-2"
MISSING = "the {} has no earlier consent of its seller for this bank"
REVOKED = "the consent of the {} was revoked before"
INACTIVE = "the consent of the {} was not active at that time"
EXTRA_ROW = (0, "the table of consents has a consent that is not in the ledger")


def score(
    register: Register,
    consent_id: str | None,
    *,
    at: datetime = NOW,
    purpose: str = PURPOSE,
    seller_id: str = SELLER,
) -> int:
    envelope = {"purpose": purpose} | ({} if consent_id is None else {"consent_id": consent_id})
    content = canonical_json({"bundle": "b", "envelope": envelope, "inputs": {}})
    return register.append(EntryKind.SCORE, content, at=at, seller_id=seller_id)


def view(register: Register, consent_id: str, *, at: datetime = NOW, seller_id: str = SELLER) -> int:
    content = canonical_json({"seller_id": seller_id, "consent_id": consent_id, "response_digest": "sha256:0"})
    return register.append(EntryKind.VIEW, content, at=at, seller_id=seller_id)


def execute(register: Register, *statements: str) -> None:
    with transaction(register.engine, writes=True) as connection:
        for statement in statements:
            connection.execute(text(statement))


@pytest.mark.parametrize(("use", "purpose"), [(score, PURPOSE), (view, PURPOSE), (view, OTHER)])
def test_uses_under_a_consent_have_no_fault(register: Register, use: Use, purpose: str) -> None:
    consent = register.grant(at=NOW - DAY, ends=NOW + DAY, purpose=purpose)
    for moment in (NOW - DAY, NOW, NOW + DAY - TICK):
        use(register, consent.id, at=moment)
    register.revoke(consent, NOW + DAY)
    assert register.faults() == []


def replaced(register: Register, use: Use) -> int:
    consent = register.grant()
    register.grant(at=NOW + DAY)
    return use(register, consent.id, at=NOW + DAY)


@pytest.mark.parametrize("use", [score, view])
@pytest.mark.parametrize(
    ("forge", "fault"),
    [
        (lambda register, use: use(register, "no such"), MISSING),
        (lambda register, use: use(register, register.grant().id, seller_id=OTHER_SELLER), MISSING),
        (lambda register, use: use(register, register.grant(bank_id=register.second).id), MISSING),
        (lambda register, use: use(register, register.revoke(register.grant()).id), REVOKED),
        (replaced, REVOKED),
        (lambda register, use: use(register, register.grant().id, at=NOW - TICK), INACTIVE),
        (lambda register, use: use(register, register.grant(ends=DAY).id, at=NOW + DAY), INACTIVE),
    ],
)
def test_a_use_without_an_active_consent_is_a_fault(
    register: Register, forge: Callable[[Register, Use], int], fault: str, use: Use
) -> None:
    position = forge(register, use)
    assert register.faults() == [(position, fault.format(use.__name__))]


def score_before_its_consent(register: Register) -> int:
    consent = register.grant(purpose=OTHER)
    execute(register, "DELETE FROM ledger", "DELETE FROM chains")
    position = score(register, consent.id, purpose=OTHER)
    register.append(EntryKind.CONSENT, consent_entry(consent, None))
    return position


def revocation_of_another_seller(register: Register) -> int:
    content = revocation_entry(register.grant(), "x", None)
    return register.append(EntryKind.REVOCATION, content, seller_id=OTHER_SELLER)


@pytest.mark.parametrize(
    ("forge", "fault"),
    [
        (score_before_its_consent, MISSING.format("score")),
        (lambda register: score(register, None), "the score names no consent"),
        (
            lambda register: score(register, register.grant(purpose=OTHER).id),
            "the consent of the score is for another purpose",
        ),
        (
            lambda register: register.append(EntryKind.CONSENT, consent_entry(register.grant(), None)),
            "the consent is recorded twice",
        ),
        (revocation_of_another_seller, MISSING.format("revocation")),
        (
            lambda register: register.append(EntryKind.CONSENT, b'{"consent_id":["x"]}'),
            "the content is not a valid consent",
        ),
        (lambda register: register.append(EntryKind.VIEW, b'{"seller_id":"x"}'), "the content is not a valid view"),
    ],
)
def test_a_forged_row_is_a_fault(register: Register, forge: Callable[[Register], int], fault: str) -> None:
    position = forge(register)
    assert register.faults() == [(position, fault)]


@pytest.mark.parametrize(
    ("change", "columns"),
    [
        ("revoked_at = NULL", "revoked_at"),
        ("revoked_at = '2026-02-01 09:30:01'", "revoked_at"),
        ("ends_at = '2030-01-01 00:00:00'", "ends_at"),
        ("granted_at = '2020-01-01 00:00:00'", "granted_at"),
        ("recorded_at = '2020-01-01 00:00:00'", "recorded_at"),
        ("recorded_by = 'somebody'", "recorded_by"),
        ("seller_id = '卖家-2', purpose = 'account_review'", "purpose, seller_id"),
    ],
)
def test_a_changed_row_of_the_table_is_found(register: Register, change: str, columns: str) -> None:
    register.revoke(register.grant())
    execute(register, f"UPDATE consents SET {change}")
    assert register.faults() == [(1, f"the table of consents differs from the ledger in {columns}")]


@pytest.mark.parametrize("change", ["id = 'forged'", "bank_id = 'bank-x'"])
def test_a_missing_and_an_extra_row_of_the_table_are_found(register: Register, change: str) -> None:
    register.grant()
    execute(register, f"UPDATE consents SET {change}")
    assert set(register.faults()) == {(1, "the consent is missing in the table of consents"), EXTRA_ROW}


def test_an_erasure_must_delete_the_consents_and_ends_them(register: Register) -> None:
    consent = register.grant()
    score(register, consent.id)
    score(register, register.grant(seller_id=OTHER_SELLER).id, seller_id=OTHER_SELLER)
    with transaction(register.engine, writes=True) as connection:
        erase_subject(connection, RING, SELLER, "requested", NOW)
    assert register.faults() == [EXTRA_ROW]
    execute(register, f"DELETE FROM consents WHERE id = '{consent.id}'")
    assert register.faults() == []
    # a seller who returns gives a new consent; a former one allows no score
    score(register, register.grant().id)
    assert register.faults() == []
    assert (score(register, consent.id), MISSING.format("score")) in register.faults()


def test_a_key_destroyed_without_a_record_is_a_fault(register: Register) -> None:
    register.grant()
    with transaction(register.engine, writes=True) as connection:
        destroy_key(connection, SELLER)
    execute(register, "DELETE FROM consents")
    assert [position for position, _ in register.faults()] == [1]
