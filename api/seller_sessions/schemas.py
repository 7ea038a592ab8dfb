"""Seller sessions on the wire."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from api.scores.schemas import SellerId
from scoring.formatting import Language


class SessionWanted(BaseModel):
    """Whom to log in."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"seller_id": "S-000001", "language": "zh"}]}
    )

    seller_id: SellerId = Field(description="The platform's id of the seller, whom the platform has logged in.")
    language: Language | None = Field(
        default=None, description="The language that the pages begin in; the browser's where left out."
    )


class SessionLink(BaseModel):
    """A link that logs the seller in once; hand it to the seller's browser and keep no copy."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(
        description="Where to send the seller's browser.",
        examples=["https://score.example/seller/login/aL0pZ3v6Jx2mQ8sT1uW4yB7cD9eF5gH0iK3lN6oR2sU"],
    )
    expires_at: str = Field(description="Until when it can be used, UTC.", examples=["2026-02-01T09:40:00.000000Z"])
