"""Check a score without SellerScore: python verify_receipt.py score.json jwks.json (needs only `cryptography`)."""

import base64
import hashlib
import json
import sys
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def stop(message):  # exit code 2: the score cannot be verified
    print(message, file=sys.stderr)
    sys.exit(2)


def read(path):
    special = path.is_fifo() or path.is_char_device()  # such a file may never end
    try:
        return stop(f"Cannot read {path}: it is not a regular file. Save it as one.") if special else path.read_bytes()
    except OSError as error:
        stop(f"Cannot read {path}: {error.strerror}. Save the score and the key set of the service as files.")


def decoded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def once(pairs):
    return dict(pairs) if len(dict(pairs)) == len(pairs) else sys.exit("NOT genuine: a field occurs twice.")


def check(answer, keys):
    if isinstance(answer, dict) and "assessment" in answer and "receipt" not in answer:
        stop("Cannot check it: there is no receipt, as in the short view (view=summary). Read and save the full score.")
    header, payload, signature = answer.pop("receipt").split(".")
    names = json.loads(decoded(header))
    if names["kid"] not in keys:
        stop(f"Cannot check it with these keys: {names['kid']!r} is missing. Save the current key set and try again.")
    public = {name: keys[names["kid"]][name] for name in ("crv", "kty", "x")}
    content = json.dumps(public, separators=(",", ":"), sort_keys=True).encode()
    thumbprint = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().strip("=")  # RFC 7638
    yield thumbprint == names["kid"], "the ID of a key does not match its key, so the key set was changed"
    key = Ed25519PublicKey.from_public_bytes(decoded(public["x"]))
    key.verify(decoded(signature), f"{header}.{payload}".encode())
    signed, found = (json.dumps(each, sort_keys=True) for each in (json.loads(decoded(payload)), answer))
    explanation = answer["assessment"]["explanation"] or {"base_points": 0, "contributions": []}
    points = explanation["base_points"] + sum(each["points"] for each in explanation["contributions"])
    yield (names["alg"], names["typ"]) == ("Ed25519", "receipt+jws"), "the signature is not that of a score"
    yield base64.urlsafe_b64encode(decoded(signature)).decode().strip("=") == signature, "the signature was changed"
    yield signed == found, "the fields of the score differ from those that were signed"
    yield points == (answer["assessment"]["score"] or 0), "the points do not sum to the score"


if len(sys.argv) != 3:  # noqa: PLR2004 - the script and two files
    stop("Usage: python verify_receipt.py score.json jwks.json\nThe response of POST /v1/scores, and the key set.")
score, jwks = map(read, map(Path, sys.argv[1:]))
try:
    keys = {key["kid"]: key for key in json.loads(jwks)["keys"]}
except (ValueError, TypeError, KeyError):
    stop(f"{sys.argv[2]} is not a key set. Save the response of /.well-known/jwks.json.")
try:
    for holds, fault in check(json.loads(score, object_pairs_hook=once), keys):
        if not holds:
            sys.exit(f"NOT genuine: {fault}.")
except InvalidSignature:
    sys.exit("NOT genuine: the signature does not match the score.")
except Exception as error:  # noqa: BLE001 - what cannot be read is not genuine
    sys.exit(f"NOT genuine: the file is not the response of POST /v1/scores ({type(error).__name__}: {error}).")
print("Genuine: signed by the service, and the points sum to the score.")
