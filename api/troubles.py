"""What is wrong and does not stop scoring: told in the log once when it begins, changes and ends, and by readiness."""

from __future__ import annotations

import logging

logger = logging.getLogger(__name__)


class Troubles:
    """At most one trouble a part of the service.

    Example: `troubles.tell("model", "version 7 is refused.")` logs a warning; the same again logs nothing, and
    `troubles.tell("model", None)` that it is over. `troubles.all` is `["model: version 7 is refused."]` meanwhile.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, str]] = {}

    def tell(self, part: str, what: str | None, why: str = "") -> None:
        """Say how a part stands: `what` is for whoever asks, `why` for the log alone; None that all is well."""
        before = self._known.get(part)
        if what is None:
            if self._known.pop(part, None) is not None:
                logger.info("%s: well again", part)
            return
        self._known[part] = (what, why)
        if before != (what, why):
            logger.warning("%s: %s", part, f"{what} {why}".rstrip())

    @property
    def parts(self) -> list[str]:
        """The parts that have a trouble, in order."""
        return sorted(self._known)

    @property
    def all(self) -> list[str]:
        """Every trouble in a sentence, the part before it, in order of part."""
        return [f"{part}: {what}" for part, (what, _) in sorted(self._known.items())]
