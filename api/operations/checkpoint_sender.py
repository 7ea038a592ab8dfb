"""Sends a signed checkpoint of all chains to an address outside the database, at intervals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

from starlette.datastructures import State

from api.errors import DatabaseUnavailable, OutputError
from api.kit.background import RepeatingTask
from api.kit.database import snapshot
from api.ledger.checkpoints import SentCheckpoint, make_checkpoint, post
from api.services import Services

_FIRST_PAUSE: Final = 1.0


_MAX_DOUBLINGS: Final = 20


class CheckpointSender:
    """Sends a checkpoint of all chains now and then, by the keys that are in force then.

    Example: `Sender(app.state, "https://notary.example/checkpoints").send()` returns the seconds until the next one.
    """

    def __init__(self, state: State, address: str) -> None:
        self._state = state
        self._address = address
        self._failed = 0

    def send(self) -> float:
        """Send one; after a failure the next follows soon, then with growing pauses up to the usual one."""
        services: Services = self._state.services
        usual = 60.0 * services.settings.checkpoint_minutes
        now, latest = datetime.now(UTC), services.sent.latest
        try:
            with snapshot(services.engine) as connection:
                content = make_checkpoint(connection, services.receipts, now)
            post(self._address, content)
        except (OutputError, DatabaseUnavailable) as error:
            since = "the service began" if latest is None else f"{latest.at:%Y-%m-%d %H:%M} UTC"
            services.troubles.tell("checkpoints", f"none was taken since {since}.", str(error))
            self._failed += 1
            return min(_FIRST_PAUSE * 2.0 ** min(self._failed, _MAX_DOUBLINGS), usual)
        self._failed = 0
        services.sent.latest = SentCheckpoint(now, sum(each["position"] for each in json.loads(content)["chains"]))
        services.troubles.tell("checkpoints", None)
        return usual


@contextmanager
def send_checkpoints(state: State) -> Iterator[None]:
    """Send checkpoints while the block runs, in a thread, where an address is set; the first at once."""
    address = state.services.settings.checkpoint_url
    thread = None if address is None else RepeatingTask("checkpoints", CheckpointSender(state, address).send)
    try:
        yield
    finally:
        if thread is not None:
            thread.close()
