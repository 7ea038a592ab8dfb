"""Posts a checkpoint to an address: no redirects, a few seconds, and no secret of the address in a message."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Final
from urllib.parse import urlsplit

from api.errors import InputError, OutputError
from api.settings import without_login

TIMEOUT_SECONDS: Final = 10.0
_TRIES: Final = 4
_FIRST_PAUSE: Final = 1.0


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Whoever was named takes the checkpoint, and nobody to whom they point."""

    def redirect_request(self, *_: object) -> None:
        """Follow none; the answer counts as a refusal."""


def host_of(address: str) -> str:
    """Return the host of an address, which is all that is told of it: the rest may hold a secret.

    Raises:
        InputError: it is neither https nor http, or holds a user or password.
    """
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    if parts.scheme not in {"http", "https"} or not host:
        raise InputError("A checkpoint is sent to an address that begins with https:// or http://; give such a one.")
    try:
        without_login(address)
    except ValueError as error:
        raise InputError(f"The address of a checkpoint {error}.") from error
    return host


def post(address: str, content: bytes) -> None:
    """Post a checkpoint once; anything but a success is a refusal, a redirect too.

    Raises:
        InputError: the address is neither https nor http.
        OutputError: it was not taken; the message names the host alone, since an address may hold a secret.
    """
    host = host_of(address)
    request = urllib.request.Request(  # noqa: S310 - its scheme was looked at
        address, content, {"Content-Type": "application/json", "User-Agent": "sellerscore"}, method="POST"
    )
    try:
        opener = urllib.request.build_opener(_NoRedirect)
        with opener.open(request, timeout=TIMEOUT_SECONDS):
            return
    except urllib.error.HTTPError as error:
        error.close()
        reason = f"it answered {error.code}"
    except (OSError, HTTPException, ValueError) as error:
        cause = error.reason if isinstance(error, urllib.error.URLError) else error
        reason = getattr(cause, "strerror", None) or type(cause).__name__
    raise OutputError(f"The checkpoint was not taken by {host} ({reason}); see that it listens, and send again.")


def post_with_patience(address: str, content: bytes, tries: int = _TRIES) -> None:
    """Post a checkpoint, a few times with growing pauses where it is not taken.

    Raises:
        InputError: as `post`.
        OutputError: it was not taken the last time either.
    """
    for number in range(tries - 1):
        try:
            post(address, content)
        except OutputError:
            time.sleep(_FIRST_PAUSE * 2**number)
        else:
            return
    post(address, content)
