"""The database's time, by which leases expire, timers are due and events are dated.

A worker reads it with every claim and counts on by its monotonic clock, so a host whose own clock is wrong or is
adjusted meanwhile shifts no timer and no event of a run.
"""

import time
from datetime import UTC, datetime, timedelta

_known: tuple[datetime, float] | None = None  # the database's time, and our monotonic time when we read it


def sync(moment: datetime) -> None:
    """Set the clock to `moment`, the database's time now."""
    global _known
    _known = (moment, time.monotonic())


def now() -> datetime:
    """The database's time; this host's until the first `sync`."""
    if _known is None:
        return datetime.now(UTC)
    moment, since = _known
    return moment + timedelta(seconds=time.monotonic() - since)


def seconds_until(moment: datetime) -> float:
    """Seconds from now until `moment`; 0 once it has passed."""
    return max(0.0, (moment - now()).total_seconds())
