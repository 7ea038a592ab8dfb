"""What to say when the model registry cannot be read: one plain sentence with what to do, and no password in it."""

from __future__ import annotations

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError


def told(error: BaseException, uri: str) -> str:
    """Return the sentence for a failure of the registry.

    Example: `told(error, "http://anna:secret@127.0.0.1:9")` of a server that is not there is `The MLflow registry at
    http://anna:***@127.0.0.1:9 does not answer; start it, or set MLFLOW_TRACKING_URI to where it is.`

    Args:
        error: what MLflow, its database or the network raised.
        uri: the address of the registry.
    """
    place = f"The MLflow registry at {shown(uri)}"
    if isinstance(error, ImportError):
        return (
            f"{place} needs the Python package {error.name}, which is not installed; install it, or set "
            "MLFLOW_TRACKING_URI to the address of an MLflow server."
        )
    if _unanswered(error):
        return f"{place} does not answer; start it, or set MLFLOW_TRACKING_URI to where it is."
    lines = str(error).strip().splitlines() or [type(error).__name__]
    reason = lines[0].replace(uri, shown(uri)).rstrip(".")
    return f"{place} failed: {reason}; mend it, or set MLFLOW_TRACKING_URI to where another is."


def shown(uri: str) -> str:
    """Return an address for people to read: a password in it is hidden."""
    try:
        return make_url(uri).render_as_string()
    except ArgumentError:
        return uri


def _unanswered(error: BaseException) -> bool:
    """Return whether nobody answered over the network: MLflow tells it as a failure of its own, for that reason."""
    from requests.exceptions import ConnectionError as NoConnectionError
    from requests.exceptions import Timeout

    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, NoConnectionError | Timeout):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
