"""The option `--output table|json` that the commands of this package share."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class Output(StrEnum):
    """Formats of a command's output on standard output."""

    TABLE = "table"
    JSON = "json"


OutputOption = Annotated[Output, typer.Option("--output", help="Output format: a table for people, JSON for programs.")]
