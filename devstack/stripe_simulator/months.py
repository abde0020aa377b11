"""Months of a calendar, and the lengths of shorter times in seconds."""

from calendar import monthrange
from datetime import UTC, datetime

HOUR, DAY = 3600, 24 * 3600


def add_months(start: int, months: int) -> int:
    """The same day and time so many months later, or the month's last day."""
    moment = datetime.fromtimestamp(start, UTC)
    index = moment.month - 1 + months
    year, month = moment.year + index // 12, index % 12 + 1
    day = min(moment.day, monthrange(year, month)[1])
    return int(moment.replace(year=year, month=month, day=day).timestamp())
