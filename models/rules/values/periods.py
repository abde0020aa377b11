"""The periods of charts: how long each is, and into how many bars it is divided."""

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum


class Period(StrEnum):
    """The period of statistics; the mobile app uses the first four words."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"  # 30 days
    YEAR = "year"
    THIS_MONTH = "this_month"  # the calendar month so far


def bars(period: Period, now: datetime, zone: tzinfo = UTC) -> list[datetime]:
    """The start of each bar of a chart, oldest first; the last bar contains `now`.

    Bars are hours, days or months of `zone`; their starts are times in UTC.
    """
    local = now.astimezone(zone)
    today = local.date()
    match period:
        case Period.DAY:
            hour = local.replace(minute=0, second=0, microsecond=0).astimezone(UTC)
            return [hour - timedelta(hours=back) for back in reversed(range(24))]
        case Period.YEAR:
            first = today.replace(day=1)
            days = [_months_before(first, back) for back in reversed(range(12))]
        case _:
            count = {Period.WEEK: 7, Period.MONTH: 30}.get(period, today.day)
            days = [today - timedelta(days=back) for back in reversed(range(count))]
    return [datetime.combine(day, time(), zone).astimezone(UTC) for day in days]


def _months_before(first: date, months: int) -> date:
    years, month = divmod(first.year * 12 + first.month - 1 - months, 12)
    return date(years, month + 1, 1)


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
    return [_months_before(today.replace(day=1), months) for months in back]
