"""The periods of charts: how long each is, and into how many bars it is divided."""

from datetime import UTC, date, datetime, timedelta
from enum import StrEnum


class Period(StrEnum):
    """The period of statistics; the mobile app uses these words."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


# The length of a bar (a field of Postgres' `date_trunc`), and the number of bars.
BARS: dict[Period, tuple[str, int]] = {
    Period.DAY: ("hour", 24),
    Period.WEEK: ("day", 7),
    Period.MONTH: ("day", 30),
    Period.YEAR: ("month", 12),
}


def bars(period: Period, now: datetime) -> list[datetime]:
    """The start of each bar of a chart in UTC, oldest first; the last bar contains `now`."""
    unit, count = BARS[period]
    hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    match unit:
        case "hour":
            return [hour - timedelta(hours=back) for back in reversed(range(count))]
        case "day":
            return [hour.replace(hour=0) - timedelta(days=back) for back in reversed(range(count))]
    return [_months_before(hour.replace(hour=0, day=1), back) for back in reversed(range(count))]


def _months_before(first: datetime, months: int) -> datetime:
    years, month = divmod(first.year * 12 + first.month - 1 - months, 12)
    return first.replace(year=years, month=month + 1)


class TimeRange(StrEnum):
    """The time range of a workflow's metrics; the mobile app uses these words."""

    HOUR = "1h"
    DAY = "24h"
    WEEK = "7d"
    MONTH = "30d"


# The length of a bar, and the number of bars.
STEPS: dict[TimeRange, tuple[timedelta, int]] = {
    TimeRange.HOUR: (timedelta(minutes=5), 12),
    TimeRange.DAY: (timedelta(hours=1), 24),
    TimeRange.WEEK: (timedelta(days=1), 7),
    TimeRange.MONTH: (timedelta(days=1), 30),
}
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # bars are aligned to it, so that they begin on the hour or the day


def steps(time_range: TimeRange, now: datetime) -> list[datetime]:
    """The start of each bar of a chart in UTC, oldest first; the last bar contains `now`."""
    step, count = STEPS[time_range]
    last = now.astimezone(UTC) - (now - EPOCH) % step
    return [last - back * step for back in reversed(range(count))]


class Grain(StrEnum):
    """The length of a bar in the administrators' charts."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


GRAINS: dict[Grain, int] = {Grain.DAY: 30, Grain.WEEK: 12, Grain.MONTH: 12, Grain.YEAR: 5}  # bars in a chart


def spans(grain: Grain, today: date) -> list[date]:
    """The first day of each bar, oldest first; the last bar contains `today`. Weeks begin on Monday."""
    back = range(GRAINS[grain])[::-1]
    match grain:
        case Grain.DAY:
            return [today - timedelta(days=days) for days in back]
        case Grain.WEEK:
            return [today - timedelta(days=today.weekday() + 7 * weeks) for weeks in back]
        case Grain.YEAR:
            return [date(today.year - years, 1, 1) for years in back]
    first = datetime(today.year, today.month, 1, tzinfo=UTC)
    return [_months_before(first, months).date() for months in back]
