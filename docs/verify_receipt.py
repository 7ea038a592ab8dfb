"""Check a score without SellerScore: python verify_receipt.py score.json jwks.json (needs only `cryptography`)."""

import base64
import json
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def decoded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def require(holds, otherwise):
    if not holds:
        sys.exit(f"NOT genuine: {otherwise}")


def check(answer, keys):
    header, payload, signature = answer.pop("receipt").split(".")
    names = json.loads(decoded(header))
    require((names["alg"], names["typ"]) == ("Ed25519", "receipt+jws"), "it is signed as something else")
    key = next(key for key in keys if key["kid"] == names["kid"])
    Ed25519PublicKey.from_public_bytes(decoded(key["x"])).verify(decoded(signature), f"{header}.{payload}".encode())
    require(json.loads(decoded(payload)) == answer, "what stands beside the receipt is not what was signed")
    require(base64.urlsafe_b64encode(decoded(signature)).decode().strip("=") == signature, "the signature was altered")
    explanation = answer["assessment"]["explanation"] or {"base_points": None, "contributions": []}
    points = [each["points"] for each in explanation["contributions"]]
    total = explanation["base_points"] + sum(points) if points else explanation["base_points"]
    require(total == answer["assessment"]["score"], "the points do not sum to the score")


try:
    with open(sys.argv[1], "rb") as score, open(sys.argv[2], "rb") as jwks:
        check(json.load(score), json.load(jwks)["keys"])
except (AttributeError, InvalidSignature, KeyError, StopIteration, TypeError, ValueError) as error:
    sys.exit(f"NOT genuine: {error or type(error).__name__}")
print("Genuine: signed by the service, and the points sum to the score.")
