"""Consents on the wire: requests that allow nothing unknown, answers in which no field has a default.

Consent requests on the wire; an answer says nothing of whether there is such a seller.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from api.consents.repository import Consent, ConsentRequest, ConsentRequestState, ConsentState
from api.consents.service import LONGEST, ConsentTerms
from api.kit.fields import Moment, Purpose, SellerId, format_timestamp

ID = "4a6f0d62-9d3f-4d8e-8a57-4f1f6b0f3c11"


BANK = "bank-3f9c2a7d5e1b0846"


class ConsentCreate(BaseModel):
    """What a seller agreed to, and when; `ends_at` or `days` says until when."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"seller_id": "S-000001", "bank_id": BANK, "purpose": "credit_application", "days": 90}]
        },
    )

    seller_id: SellerId = Field(description="The platform's id of the seller; printable characters.")
    bank_id: str = Field(min_length=1, max_length=60, description="The bank that may score the seller.")
    purpose: Purpose = Field(description="What scores may be for.")
    granted_at: Moment | None = Field(
        default=None,
        description="When the seller acted, with a time zone; the moment of this call where left out.",
    )
    ends_at: Moment | None = Field(
        default=None,
        description=f"The moment from which it holds no more, at most {LONGEST.days} days after granted_at.",
    )
    days: int | None = Field(
        default=None,
        ge=1,
        le=LONGEST.days,
        strict=True,
        description="In place of ends_at: days from granted_at.",
    )

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if (self.ends_at is None) is (self.days is None):
            raise PydanticCustomError("one_end", "Give either ends_at or days")
        return self

    @property
    def terms(self) -> ConsentTerms:
        """What is to be recorded."""
        ends: datetime | timedelta = self.ends_at or timedelta(days=self.days or 0)
        return ConsentTerms(self.seller_id, self.bank_id, str(self.purpose), ends, self.granted_at)


class ConsentResponse(BaseModel):
    """A consent: it holds from granted_at up to, and not at, ends_at, unless it is revoked before."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(description="Id of the consent; scores name it.", examples=[ID])
    seller_id: str = Field(description="Who agreed.", examples=["S-000001"])
    bank_id: str = Field(description="The bank that may score the seller.", examples=[BANK])
    purpose: Purpose = Field(description="What scores may be for.")
    state: ConsentState = Field(description="Whether it holds now.")
    granted_at: str = Field(description="When the seller acted, UTC.", examples=["2026-02-01T09:30:00.000000Z"])
    ends_at: str = Field(description="From when it holds no more, UTC.", examples=["2026-05-02T09:30:00.000000Z"])
    revoked_at: str | None = Field(
        description="When it was revoked, UTC; null where it was not.", examples=["2026-03-01T12:00:00.000000Z"]
    )
    recorded_at: str = Field(description="When it was recorded, UTC.", examples=["2026-02-01T09:30:02.250000Z"])

    @classmethod
    def of(cls, consent: Consent, now: datetime) -> ConsentResponse:
        """Show a consent as it stands at a moment."""
        return cls(
            id=consent.id,
            seller_id=consent.seller_id,
            bank_id=consent.bank_id,
            purpose=Purpose(consent.purpose),
            state=consent.state(now),
            granted_at=format_timestamp(consent.granted_at),
            ends_at=format_timestamp(consent.ends_at),
            revoked_at=None if consent.revoked_at is None else format_timestamp(consent.revoked_at),
            recorded_at=format_timestamp(consent.recorded_at),
        )


class ConsentPage(BaseModel):
    """A page of consents, newest first."""

    model_config = ConfigDict(extra="forbid")

    items: list[ConsentResponse] = Field(description="The consents of this page.")
    next_cursor: str | None = Field(
        description="What `cursor` takes for the next page; null on the last.", examples=["WyIyMDI2LTAyLTAx"]
    )


class ConsentRequestCreate(BaseModel):
    """Whose consent a bank asks for, and what for."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"seller_id": "S-000001", "purpose": "credit_application"}]}
    )

    seller_id: SellerId = Field(description="The platform's id of the seller; printable characters.")
    purpose: Purpose = Field(description="What scores would be for.")


class ConsentRequestResponse(BaseModel):
    """A request for a consent, and what became of it."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(description="Id of the request.", examples=["c1d2a9b4-5f7e-4a62-9a51-0f5d6f2b7e80"])
    seller_id: str = Field(description="Whose consent is asked for, as the bank names them.", examples=["S-000001"])
    bank_id: str = Field(description="The bank that asks.", examples=[BANK])
    purpose: Purpose = Field(description="What scores would be for.")
    state: ConsentRequestState = Field(
        description="What became of it; `pending` says nothing of whether there is such a seller."
    )
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
    def of(cls, request: ConsentRequest, now: datetime) -> ConsentRequestResponse:
        """Show a request as it stands at a moment."""
        return cls(
            id=request.id,
            seller_id=request.seller_id,
            bank_id=request.bank_id,
            purpose=Purpose(request.purpose),
            state=request.state(now),
            asked_at=format_timestamp(request.asked_at),
            expires_at=format_timestamp(request.expires_at),
            declined_at=None if request.declined_at is None else format_timestamp(request.declined_at),
            consent_id=request.consent_id,
        )


class ConsentRequestPage(BaseModel):
    """A page of requests, newest first."""

    model_config = ConfigDict(extra="forbid")

    items: list[ConsentRequestResponse] = Field(description="The requests of this page.")
    next_cursor: str | None = Field(
        description="What `cursor` takes for the next page; null on the last.", examples=["WyIyMDI2LTAyLTAx"]
    )
