"""Schemas of consents and consent requests. Requests reject unknown fields; response fields have no defaults."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from api.consents.repository import Consent, ConsentRequest, ConsentRequestState, ConsentState
from api.consents.service import LONGEST, ConsentTerms
from api.kit.fields import Moment, Purpose, ResponseModel, SellerId, Timestamp

ID = "4a6f0d62-9d3f-4d8e-8a57-4f1f6b0f3c11"
BANK = "bank-3f9c2a7d5e1b0846"


class ConsentCreate(BaseModel):
    """A consent that a seller has given; either `ends_at` or `days` sets its end."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"seller_id": "S-000001", "bank_id": BANK, "purpose": "credit_application", "days": 90}]
        },
    )

    seller_id: SellerId = Field(description="The platform's ID of the seller; printable characters.")
    bank_id: str = Field(min_length=1, max_length=60, description="The bank that may score the seller.")
    purpose: Purpose = Field(description="Allowed purpose of scores.")
    granted_at: Moment | None = Field(
        default=None,
        description="When the seller gave the consent, with a time zone. The time of this call if left out.",
    )
    ends_at: Moment | None = Field(
        default=None,
        description=f"End of the consent, at most {LONGEST.days} days after granted_at.",
    )
    days: int | None = Field(
        default=None,
        ge=1,
        le=LONGEST.days,
        strict=True,
        description="Instead of ends_at: days from granted_at.",
    )

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if (self.ends_at is None) is (self.days is None):
            raise PydanticCustomError("one_end", "Send either ends_at or days, not both")
        return self

    @property
    def terms(self) -> ConsentTerms:
        """The terms to record."""
        ends: datetime | timedelta = self.ends_at or timedelta(days=self.days or 0)
        return ConsentTerms(self.seller_id, self.bank_id, str(self.purpose), ends, self.granted_at)


class ConsentResponse(ResponseModel):
    """A consent. It is active from granted_at until ends_at (exclusive), unless it is revoked before."""

    id: str = Field(description="ID of the consent. Scores refer to it.", examples=[ID])
    seller_id: str = Field(description="The seller who gave the consent.", examples=["S-000001"])
    bank_id: str = Field(description="The bank that may score the seller.", examples=[BANK])
    purpose: Purpose = Field(description="Allowed purpose of scores.")
    state: ConsentState = Field(description="Current state.")
    granted_at: Timestamp = Field(
        description="When the seller gave the consent, UTC.", examples=["2026-02-01T09:30:00.000000Z"]
    )
    ends_at: Timestamp = Field(
        description="End of the consent (exclusive), UTC.", examples=["2026-05-02T09:30:00.000000Z"]
    )
    revoked_at: Timestamp | None = Field(
        description="When the consent was revoked, UTC; null if it was not.", examples=["2026-03-01T12:00:00.000000Z"]
    )
    recorded_at: Timestamp = Field(
        description="When the consent was recorded, UTC.", examples=["2026-02-01T09:30:02.250000Z"]
    )

    @classmethod
    def of(cls, consent: Consent, now: datetime) -> ConsentResponse:
        """Return the response of a consent at a time."""
        return cls.from_record(consent, state=consent.state(now))


class ConsentPage(ResponseModel):
    """A page of consents, newest first."""

    items: list[ConsentResponse] = Field(description="The consents of this page.")
    next_cursor: str | None = Field(
        description="Cursor of the next page; null on the last page.", examples=["WyIyMDI2LTAyLTAx"]
    )


class ConsentRequestCreate(BaseModel):
    """The seller and the purpose of a consent request."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"seller_id": "S-000001", "purpose": "credit_application"}]}
    )

    seller_id: SellerId = Field(description="The platform's ID of the seller; printable characters.")
    purpose: Purpose = Field(description="Requested purpose of scores.")


class ConsentRequestResponse(ResponseModel):
    """A bank's request for a seller's consent, and its state."""

    id: str = Field(description="ID of the request.", examples=["c1d2a9b4-5f7e-4a62-9a51-0f5d6f2b7e80"])
    seller_id: str = Field(description="The seller, as the bank named them.", examples=["S-000001"])
    bank_id: str = Field(description="The requesting bank.", examples=[BANK])
    purpose: Purpose = Field(description="Requested purpose of scores.")
    state: ConsentRequestState = Field(description="Current state. `pending` does not mean that the seller exists.")
    asked_at: Timestamp = Field(
        description="When the bank sent the request, UTC.", examples=["2026-02-01T09:30:00.000000Z"]
    )
    expires_at: Timestamp = Field(
        description="When the request expires, UTC. Until then a new request returns this one, unless it is granted.",
        examples=["2026-03-03T09:30:00.000000Z"],
    )
    declined_at: Timestamp | None = Field(
        description="When the seller declined, UTC; null if they did not.", examples=["2026-02-02T08:00:00.000000Z"]
    )
    consent_id: str | None = Field(
        description="The consent that granted the request; null if there is none.", examples=[ID]
    )

    @classmethod
    def of(cls, request: ConsentRequest, now: datetime) -> ConsentRequestResponse:
        """Return the response of a request at a time."""
        return cls.from_record(request, state=request.state(now))


class ConsentRequestPage(ResponseModel):
    """A page of requests, newest first."""

    items: list[ConsentRequestResponse] = Field(description="The requests of this page.")
    next_cursor: str | None = Field(
        description="Cursor of the next page; null on the last page.", examples=["WyIyMDI2LTAyLTAx"]
    )
