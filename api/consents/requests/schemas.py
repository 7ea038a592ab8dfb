"""Consent requests on the wire; an answer says nothing of whether there is such a seller."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from api.consents.requests.repository import Request, State
from api.consents.schemas import BANK, ID
from api.ledger.chain import written
from api.scores.schemas import Purpose, SellerId


class ConsentAsked(BaseModel):
    """Whose consent a bank asks for, and what for."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"seller_id": "S-000001", "purpose": "credit_application"}]}
    )

    seller_id: SellerId = Field(description="The platform's id of the seller; printable characters.")
    purpose: Purpose = Field(description="What scores would be for.")


class ConsentRequestShown(BaseModel):
    """A request for a consent, and what became of it."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(description="Id of the request.", examples=["c1d2a9b4-5f7e-4a62-9a51-0f5d6f2b7e80"])
    seller_id: str = Field(description="Whose consent is asked for, as the bank names them.", examples=["S-000001"])
    bank_id: str = Field(description="The bank that asks.", examples=[BANK])
    purpose: Purpose = Field(description="What scores would be for.")
    state: State = Field(description="What became of it; `pending` says nothing of whether there is such a seller.")
    asked_at: str = Field(description="When it was asked, UTC.", examples=["2026-02-01T09:30:00.000000Z"])
    expires_at: str = Field(
        description="Until when it waits, UTC; until then asking once more is answered with it, unless granted.",
        examples=["2026-03-03T09:30:00.000000Z"],
    )
    declined_at: str | None = Field(
        description="When the seller declined, UTC; null where they did not.", examples=["2026-02-02T08:00:00.000000Z"]
    )
    consent_id: str | None = Field(description="The consent that answered it; null where none did.", examples=[ID])

    @classmethod
    def of(cls, request: Request, now: datetime) -> ConsentRequestShown:
        """Show a request as it stands at a moment."""
        return cls(
            id=request.id,
            seller_id=request.seller_id,
            bank_id=request.bank_id,
            purpose=Purpose(request.purpose),
            state=request.state(now),
            asked_at=written(request.asked_at),
            expires_at=written(request.expires_at),
            declined_at=None if request.declined_at is None else written(request.declined_at),
            consent_id=request.consent_id,
        )


class ConsentRequestPage(BaseModel):
    """A page of requests, newest first."""

    model_config = ConfigDict(extra="forbid")

    items: list[ConsentRequestShown] = Field(description="The requests of this page.")
    next_cursor: str | None = Field(
        description="What `cursor` takes for the next page; null on the last.", examples=["WyIyMDI2LTAyLTAx"]
    )
