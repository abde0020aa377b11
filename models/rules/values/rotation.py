"""Selects the past days that a daily check covers today, so that it covers all of them in rotation."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

DAYS = 28  # in which every past day is covered once

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Day:
    """A day in UTC, by its number since 1970."""

    number: int

    @property
    def begin(self) -> datetime:
        """The first moment of the day."""
        return _EPOCH + self.number * _DAY

    @property
    def end(self) -> datetime:
        """The first moment of the next day."""
        return self.begin + _DAY


def day_of(moment: datetime) -> Day:
    """The day of an aware moment."""
    return Day((moment - _EPOCH) // _DAY)


def days_in_rotation(oldest: datetime, until: datetime, *, last: datetime | None, now: datetime) -> Iterator[Day]:
    """The days to check now, from `oldest` until before `until`; `last` is when the check was last complete.

    A day is due when its number is congruent to today's modulo `DAYS`. After a pause, the missed days are due too.
    """
    today = day_of(now).number
    first = today if last is None else max(min(day_of(last).number + 1, today), today - DAYS + 1)
    due = {number % DAYS for number in range(first, today + 1)}
    return (Day(n) for n in range(day_of(oldest).number, day_of(until).number) if n % DAYS in due)
