"""Ids as paths name them."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import Path

_EXAMPLE = "0b8f3f0e-2f0c-4e0b-9d3c-8a2b6a1f7c55"


def _id(of: str) -> Any:
    return Path(description=f"Id of the {of}, as it was answered.", examples=[_EXAMPLE])


ScoreId = Annotated[UUID, _id("score")]
ConsentId = Annotated[UUID, _id("consent")]
RequestId = Annotated[UUID, _id("consent request")]
ReviewId = Annotated[UUID, _id("review")]
