"""Times of a cron expression in a time zone.

An expression has five fields: minute, hour, day of the month, month and day of the week. `cronsim` parses it, with the
rules of Debian's cron: if both days are restricted, either of them is enough.

When clocks are set forward or back, an expression of every hour goes on by the time that passes. Any other one names
times of a day: a time that does not exist is replaced by the next one that does, and one that exists twice counts once,
the first time.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import cached_property
from itertools import islice, pairwise

from cronsim import CronSim, CronSimError

from models.rules.values.zones import time_zone

MAX_LENGTH = 100  # characters of an expression
FIELDS = 5
DAY_MINUTES = 24 * 60
_HOURS = set(range(24))
_ANY_DAY = datetime(2024, 1, 1, tzinfo=UTC)


class InvalidCron(ValueError):
    """The text is no cron expression; the message says which field is wrong."""


class CronExpression:
    """A valid cron expression.

    Raises `InvalidCron` also for one whose time never comes, such as the 30th of February.
    """

    def __init__(self, text: str) -> None:
        self.text = " ".join(text.split())
        if len(self.text) > MAX_LENGTH:
            raise InvalidCron(f"Must have at most {MAX_LENGTH} characters.")
        if len(self.text.split()) != FIELDS:
            raise InvalidCron(
                "Must have five fields: minute, hour, day of the month, month and day of the week, such as 0 7 * * 1."
            )
        try:
            self._parsed = CronSim(self.text, _ANY_DAY)
            next(CronSim(self.text, _ANY_DAY))
        except CronSimError as error:
            wrong = str(error).removeprefix("Bad ").replace("-", " ")
            raise InvalidCron(f"Must be a cron expression; the field of the {wrong} is not valid.") from None
        except StopIteration:
            raise InvalidCron("Must name a time that comes: no day is like this.") from None

    @property
    def description(self) -> str:
        """The expression in English, without its time zone."""
        return self._parsed.explain()

    @property
    def min_interval_seconds(self) -> int:
        """The shortest time between two times, as if all days had them."""
        times = sorted(hour * 60 + minute for hour in self._parsed.hours for minute in self._parsed.minutes)
        gaps = [later - earlier for earlier, later in pairwise([*times, times[0] + DAY_MINUTES])]
        return min(gaps) * 60

    def after(self, moment: datetime, zone: str) -> Iterator[datetime]:
        """Yield the times after `moment` in UTC, at least one, for as long as there are any in the next 50 years.

        Raises `UnknownTimeZone`.
        """
        for found in CronSim(self._normalized, moment.astimezone(time_zone(zone))):
            if (time := found.astimezone(UTC)) > moment:  # while an hour is repeated, times of its first turn come up
                yield time

    def next_times(self, moment: datetime, zone: str, number: int) -> Sequence[datetime]:
        """The next `number` times after `moment`, in UTC."""
        return list(islice(self.after(moment, zone), number))

    @cached_property
    def _normalized(self) -> str:
        """The expression with `*` or numbers as hours, by which `cronsim` decides what to do when clocks are set."""
        minute, _, *days = self.text.split()
        if self._parsed.hours == _HOURS:
            return " ".join([minute, "*", *days])
        numbers = (",".join(map(str, sorted(values))) for values in (self._parsed.minutes, self._parsed.hours))
        return " ".join([*numbers, *days])
