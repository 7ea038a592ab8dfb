"""Check a score without SellerScore: python verify_receipt.py score.json jwks.json (needs only `cryptography`)."""

import base64
import json
import sys

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def decoded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def once(pairs):
    return dict(pairs) if len(dict(pairs)) == len(pairs) else sys.exit("NOT genuine: a name is given twice")


def check(answer, keys):
    header, payload, signature = answer.pop("receipt").split(".")
    names = json.loads(decoded(header))
    key = next(key for key in keys if key["kid"] == names["kid"])
    Ed25519PublicKey.from_public_bytes(decoded(key["x"])).verify(decoded(signature), f"{header}.{payload}".encode())
    signed, found = (json.dumps(each, sort_keys=True) for each in (json.loads(decoded(payload)), answer))
    explanation = answer["assessment"]["explanation"] or {"base_points": 0, "contributions": []}
    points = explanation["base_points"] + sum(each["points"] for each in explanation["contributions"])
    yield (names["alg"], names["typ"]) == ("Ed25519", "receipt+jws"), "it is signed as something else"
    yield base64.urlsafe_b64encode(decoded(signature)).decode().strip("=") == signature, "the signature was altered"
    yield signed == found, "what stands beside the receipt is not what was signed"
    yield points == (answer["assessment"]["score"] or 0), "the points do not sum to the score"


try:
    with open(sys.argv[1], "rb") as score, open(sys.argv[2], "rb") as jwks:
        checks = list(check(json.load(score, object_pairs_hook=once), json.load(jwks)["keys"]))
except Exception as error:  # noqa: BLE001 - whatever cannot be checked is not genuine
    sys.exit(f"NOT genuine: {type(error).__name__} {error}")
for said in (said for holds, said in checks if not holds):
    sys.exit(f"NOT genuine: {said}")
print("Genuine: signed by the service, and the points sum to the score.")
