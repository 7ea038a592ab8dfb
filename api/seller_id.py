"""The platform's id of a seller, as every request holds it: what is shown to people must be seen by them."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

PATTERN: Final = (
    r"^[^\x00-\x1f\x7f-\xa0\xad\u061c\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000"
    r"\ue000-\uf8ff\ufeff\ufff0-\uffff]+$"
)
"""No control characters, no spaces but the plain one, nothing invisible, no private letters.

In the syntax that Python, ECMA 262 and Rust share, so that the OpenAPI document says exactly what is checked.
"""

_PRINTABLE: Final = re.compile(PATTERN)


def _printable(text: str) -> str:
    if not _PRINTABLE.fullmatch(text):
        raise PydanticCustomError("printable", "Only printable characters are allowed")
    return text


SellerId = Annotated[
    str,
    Field(
        min_length=1,
        max_length=200,
        description="The platform's id of the seller; printable characters.",
        examples=["S-000001"],
        json_schema_extra={"pattern": PATTERN},
    ),
    AfterValidator(_printable),
]
"""The type of a field or parameter that names a seller."""
