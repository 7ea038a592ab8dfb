"""What the health endpoints answer."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Alive(BaseModel):
    """The process answers."""

    model_config = ConfigDict(extra="forbid")

    status: Literal["live"] = Field(description="Always `live`.", examples=["live"])


class Ready(BaseModel):
    """Every part that scoring needs is there."""

    model_config = ConfigDict(extra="forbid")

    status: Literal["ready"] = Field(description="Always `ready`; otherwise the answer is a problem.")
    model: str = Field(description="Name and version of the model in force.", examples=["sellerscore/3"])
    bundle: str = Field(description="Digest of its bundle.", examples=["sha256:9b02"])
    vectors_as_of: str = Field(description="The midnight of the latest vectors.", examples=["2026-01-31"])
