"""Ask for a consent, and decline; granting one is `api.consents.service.grant`, which answers what was asked."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from api.consents.requests import repository
from api.consents.requests.repository import Request, State
from api.errors import ConsentRequestClosed, ConsentRequestUnknown

OPEN: Final = timedelta(days=30)
"""How long a request waits for the seller, and how long one that was declined keeps the bank from asking again."""


def ask(connection: Connection, bank_id: str, seller_id: str, purpose: str, now: datetime) -> Request:
    """Record that a bank asks for a seller's consent, whether there is such a seller or not.

    A request that is still open, or was declined and would be open by now, is the answer to asking once more.
    """
    repository.lock_bank(connection, bank_id)
    before = repository.ungranted(connection, (seller_id, bank_id, purpose), now)
    if before is not None:
        return before
    request = Request(str(uuid.uuid4()), seller_id, bank_id, purpose, now, now + OPEN)
    repository.add(connection, request)
    return request


def find(connection: Connection, bank_id: str | None, request_id: str) -> Request:
    """Return a request, a bank's own where it is a bank that wants it.

    Raises:
        ConsentRequestUnknown: there is none under the id, or it is another bank's.
    """
    request = repository.find(connection, request_id)
    if request is None or bank_id not in {None, request.bank_id}:
        raise ConsentRequestUnknown
    return request


def decline(connection: Connection, request_id: str, now: datetime) -> Request:
    """Record that the seller declines; once more changes nothing.

    Raises:
        ConsentRequestUnknown: there is none under the id.
        ConsentRequestClosed: it was granted, or has expired.
    """
    find(connection, None, request_id)
    declined = repository.answer(connection, request_id, now, None)
    request = find(connection, None, request_id)
    if not declined and request.state(now) is not State.DECLINED:
        raise ConsentRequestClosed
    return request
