"""The `--output table|json` option that all commands share."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated

import typer


class Output(StrEnum):
    """The format in which a command prints its result."""

    TABLE = "table"
    JSON = "json"


OutputOption = Annotated[Output, typer.Option("--output", help="Print text for people, or JSON for programs.")]


def print_json(value: object) -> None:
    """Print a value as JSON; dates become ISO 8601 text.

    Example: `print_json({"rows": 12, "as_of": date(2026, 1, 1)})`.
    """
    typer.echo(json.dumps(value, indent=2, default=str, ensure_ascii=False))
