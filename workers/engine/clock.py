"""The time of the database, which alone decides: when a lease has run out, when a timer is due, what happened when.

A worker hears it with every claim and counts on by its monotonic clock, so a host whose own clock is wrong, or is
stepped while it drives, moves no timer and no line of a run's history.
"""

import time
from datetime import UTC, datetime, timedelta

_known: tuple[datetime, float] | None = None  # a moment of the database, and ours when we heard of it


def heard(moment: datetime) -> None:
    """The database says that it is `moment` now."""
    global _known
    _known = (moment, time.monotonic())


def now() -> datetime:
    """The time of the database, as well as we know it; before it was ever heard, this host's."""
    if _known is None:
        return datetime.now(UTC)
    moment, since = _known
    return moment + timedelta(seconds=time.monotonic() - since)
