"""What makes a receipt good: a signature over the very answer, and points that sum to its score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from api.errors import SignatureError
from api.scores.answer import RECEIPT
from api.signed import read_object


@dataclass(frozen=True)
class Receipt:
    """What a genuine receipt says."""

    score_id: str
    seller_id: str
    scored_at: str
    outcome: str
    score: int | None
    chain: str
    position: int
    head: str


def verify(answer: bytes, jwks: Mapping[str, Any]) -> Receipt:
    """Return what an answer says whose receipt is genuine.

    Example: `verify(response.content, jwks).score` is 625.

    Raises:
        SignatureError: it is altered, unsigned or signed by no key of the set, or the points do not sum.
    """
    fields = read_object(answer, "receipt", RECEIPT, jwks)
    try:
        assessment, place = fields["assessment"], fields["ledger"]
        explanation = assessment["explanation"]
        if explanation is not None:
            points = sum(each["points"] for each in explanation["contributions"])
            if explanation["base_points"] + points != assessment["score"]:
                raise SignatureError("It is signed, but its points do not sum to its score; report it.")
        said = (fields["id"], fields["seller_id"], fields["scored_at"], assessment["outcome"], assessment["score"])
        return Receipt(*said, place["chain"], place["position"], place["head"])
    except (KeyError, TypeError) as error:
        raise SignatureError("It is signed, but is no score; give an answer of POST /v1/scores.") from error
