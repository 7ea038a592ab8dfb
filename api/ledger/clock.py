"""The clock of commands: a row with a time in the future would stop the service until then."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Engine

from api.errors import ClockError
from api.kit.database import transaction
from api.ledger.store import newest_time

MAX_LEAP: Final = timedelta(hours=25)
"""How much later than the newest row the clock may be. A daily command must pass, even if nothing else runs."""

_LONG_HOURS: Final = 48


def require_plausible_clock(engine: Engine, now: datetime) -> None:
    """Check that the clock is not much later than the newest row of the ledger.

    Example: on 2027-03-01, a ledger whose newest row is from 2026-02-01 raises.

    Raises:
        ClockError: The clock is more than 25 hours later.
        DatabaseUnavailable: The database does not respond.
    """
    with transaction(engine) as connection:
        newest = newest_time(connection)
    if newest and now > datetime.fromisoformat(newest) + MAX_LEAP:
        row = datetime.fromisoformat(newest)
        hours = (now - row) // timedelta(hours=1)
        later = f"{hours} hours" if hours < _LONG_HOURS else f"{hours // 24:,} days"
        raise ClockError(
            f"The clock of this computer shows {now:%Y-%m-%d %H:%M} UTC, {later} after the newest row "
            f"of the ledger ({row:%Y-%m-%d %H:%M} UTC). If the clock is wrong, set it: after a row with a time in the "
            "future, the service issues no scores until then. If the clock is right and the service was not used "
            "since, run the command again with --clock-is-right."
        )
