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
    troubles: list[str] = Field(
        description="What is wrong and does not stop scoring, each in a sentence that names the part; empty where all "
        "is well. The log says more.",
        examples=[["model: the registry's champion cannot be taken; version 3 serves on."]],
    )
    data_through: str = Field(
        description="The midnight (UTC) up to which the latest vectors use data.", examples=["2026-01-31"]
    )
    data_age_days: int = Field(
        description="Days from data_through to today (UTC). Where the data are older than the model allows, the "
        "service is not ready: every score would be `stale_data`.",
        examples=[1],
    )
