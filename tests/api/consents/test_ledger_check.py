"""An auditor sees that each score has an active consent; every fault is reported with its row."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from api.consents.ledger_entries import consent_entry, revocation_entry
from api.kit.database import transaction
from api.ledger.chain import EntryKind
from api.ledger.encryption import destroy_key
from api.ledger.records import erase_subject
from scoring.canonical import canonical_json
from tests.api.consents.conftest import DAY, OTHER, PURPOSE, SELLER, Room
from tests.api.ledger.conftest import NOW

pytestmark = pytest.mark.databases

TICK = timedelta(microseconds=1)
REVOKED = "the consent of the score was revoked before"
NONE = "the score has no earlier consent of its seller for this bank"
TIME = "the consent of the score was not active at that time"


def score(
    room: Room, consent_id: str | None, *, at: datetime = NOW, purpose: str = PURPOSE, seller_id: str = SELLER
) -> int:
    """Append a score as one could who has every key."""
    envelope = {"purpose": purpose} | ({} if consent_id is None else {"consent_id": consent_id})
    content = canonical_json({"bundle": "b", "envelope": envelope, "inputs": {}})
    return room.append("score", content, at=at, seller_id=seller_id).header.position


def test_scores_under_a_consent_are_whole(room: Room) -> None:
    consent = room.grant(granted_at=NOW - DAY, ends=NOW + DAY)
    for moment in (NOW - DAY, NOW, NOW + DAY - TICK):
        score(room, consent.id, at=moment)
    room.revoke(consent)
    assert room.faults() == []


def view(room: Room, consent_id: str, *, at: datetime = NOW, seller_id: str = SELLER) -> int:
    """Append a look at a picture, likewise."""
    content = canonical_json({"seller_id": seller_id, "consent_id": consent_id, "response_digest": "sha256:0"})
    return room.append(EntryKind.VIEW, content, at=at, seller_id=seller_id).header.position


def test_looks_under_a_consent_for_whatever_purpose_are_whole(room: Room) -> None:
    consent = room.grant(granted_at=NOW - DAY, ends=NOW + DAY, purpose=OTHER)
    for moment in (NOW - DAY, NOW, NOW + DAY - TICK):
        view(room, consent.id, at=moment)
    room.revoke(consent)
    assert room.faults() == []


@pytest.mark.parametrize("what", ["nobody's", "another seller's", "another bank's", "revoked", "ended", "no look"])
def test_a_look_that_no_consent_allowed_is_named(room: Room, what: str) -> None:
    consent = room.grant(bank_id=room.second) if what == "another bank's" else room.grant(ends=2 * DAY)
    if what == "revoked":
        room.revoke(consent, NOW)
    if what == "no look":
        assert (
            room.append(EntryKind.VIEW, b'{"seller_id":"x"}').header.position,
            "the content is not a valid view",
        ) in room.faults()
        return
    place = view(
        room,
        "no such" if what == "nobody's" else consent.id,
        at=NOW + 2 * DAY if what == "ended" else NOW,
        seller_id="卖家-2" if what == "another seller's" else SELLER,
    )
    says = {"revoked": "was revoked before", "ended": "was not active at that time"}
    ((found, said),) = room.faults()
    assert found == place
    assert "the view " in said
    assert said.endswith(says.get(what, "has no earlier consent of its seller for this bank"))


def before_it(room: Room) -> tuple[int, str]:
    wanted = room.grant(purpose=OTHER)
    with transaction(room.engine, writes=True) as connection:
        connection.execute(text("DELETE FROM ledger"))
        connection.execute(text("DELETE FROM chains"))
    place = score(room, wanted.id, purpose=OTHER)
    room.append("consent", consent_entry(wanted, None))
    return place, NONE


def without_one(room: Room) -> tuple[int, str]:
    return score(room, None), "the score names no consent"


def of_nobody(room: Room) -> tuple[int, str]:
    room.grant()
    return score(room, "no such"), NONE


def of_another_seller(room: Room) -> tuple[int, str]:
    return score(room, room.grant().id, seller_id="卖家-2"), NONE


def for_another_bank(room: Room) -> tuple[int, str]:
    return score(room, room.grant(bank_id=room.second).id), NONE


def for_another_purpose(room: Room) -> tuple[int, str]:
    return score(room, room.grant(purpose=OTHER).id), "the consent of the score is for another purpose"


def revoked_before(room: Room) -> tuple[int, str]:
    consent = room.grant()
    room.revoke(consent, NOW + DAY)
    return score(room, consent.id), REVOKED


def replaced_before(room: Room) -> tuple[int, str]:
    old = room.grant()
    room.grant(at=NOW + DAY)
    return score(room, old.id, at=NOW + DAY), REVOKED


def before_it_was_granted(room: Room) -> tuple[int, str]:
    return score(room, room.grant().id, at=NOW - TICK), TIME


def when_it_had_ended(room: Room) -> tuple[int, str]:
    return score(room, room.grant(ends=DAY).id, at=NOW + DAY), TIME


def twice(room: Room) -> tuple[int, str]:
    consent = room.grant()
    return room.append("consent", consent_entry(consent, None)).header.position, "the consent is recorded twice"


def a_revocation_of_nothing(room: Room) -> tuple[int, str]:
    consent = room.grant()
    row = room.append("revocation", revocation_entry(consent, "x", None), seller_id="卖家-2")
    return row.header.position, "the revocation has no earlier consent of its seller for this bank"


def no_consent_at_all(room: Room) -> tuple[int, str]:
    return room.append("consent", b'{"consent_id":["x"]}').header.position, "the content is not a valid consent"


@pytest.mark.parametrize(
    "forge",
    [
        before_it,
        without_one,
        of_nobody,
        of_another_seller,
        for_another_bank,
        for_another_purpose,
        revoked_before,
        replaced_before,
        before_it_was_granted,
        when_it_had_ended,
        twice,
        a_revocation_of_nothing,
        no_consent_at_all,
    ],
)
def test_what_was_forged_is_named(room: Room, forge: Callable[[Room], tuple[int, str]]) -> None:
    assert forge(room) in room.faults()
    assert len(room.faults()) == 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("revoked_at = NULL", "revoked_at"),
        ("revoked_at = '2026-02-01 09:30:01'", "revoked_at"),
        ("ends_at = '2030-01-01 00:00:00'", "ends_at"),
        ("granted_at = '2020-01-01 00:00:00'", "granted_at"),
        ("recorded_at = '2020-01-01 00:00:00'", "recorded_at"),
        ("recorded_by = 'somebody'", "recorded_by"),
        ("seller_id = '卖家-2', purpose = 'account_review'", "purpose, seller_id"),
        ("bank_id = 'bank-x'", "bank_id"),
    ],
)
def test_a_table_that_was_changed_is_found(room: Room, change: str, says: str) -> None:
    room.revoke(room.grant())
    with transaction(room.engine, writes=True) as connection:
        connection.execute(text(f"UPDATE consents SET {change}"))
    assert room.faults() == [(1, f"the table of consents differs from the ledger in {says}")]


def test_a_table_that_holds_less_or_more_is_found(room: Room) -> None:
    consent = room.grant()
    with transaction(room.engine, writes=True) as connection:
        connection.execute(text("UPDATE consents SET id = 'forged'"))
    assert room.faults() == [
        (1, "the consent is missing in the table of consents"),
        (0, "the table of consents has a consent that is not in the ledger"),
    ]
    assert consent.id != "forged"


def test_an_erasure_takes_the_consents_with_it_and_one_that_left_them_is_found(room: Room) -> None:
    consent = room.grant()
    score(room, consent.id)
    other = room.grant(seller_id="卖家-2")
    score(room, other.id, seller_id="卖家-2")
    with transaction(room.engine, writes=True) as connection:
        erase_subject(connection, SELLER, "asked", NOW)
        assert room.ledger is not None
    assert room.faults() == [(0, "the table of consents has a consent that is not in the ledger")]
    with transaction(room.engine, writes=True) as connection:
        connection.execute(text("DELETE FROM consents WHERE id = :id"), {"id": consent.id})
    assert room.faults() == []
    # who comes back agrees anew: by what they agreed to before nobody is scored
    again = room.grant()
    score(room, again.id)
    assert room.faults() == []
    assert (score(room, consent.id), NONE) in room.faults()


def test_a_key_destroyed_without_a_record_is_still_a_fault(room: Room) -> None:
    room.grant()
    with transaction(room.engine, writes=True) as connection:
        destroy_key(connection, SELLER)
        connection.execute(text("DELETE FROM consents"))
    assert [position for position, _ in room.faults()] == [1]
