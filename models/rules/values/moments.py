"""Parses texts to times; the only place that does."""

import re
from datetime import UTC, datetime

EXAMPLE = "2027-01-31T09:00:00Z"
# RFC 3339, or a date only; further forms that Python accepts (weeks, offsets with seconds) are rejected.
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?([Zz]|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])?)?"
)


class InvalidMoment(ValueError):
    """The text is not a time; the message has an example of one."""

    def __init__(self, text: str) -> None:
        super().__init__(f"must be a time such as {EXAMPLE}, not `{text[:40]}`.")


def parse_moment(text: str, *, assume_utc: bool = True) -> datetime:
    """Parse a time and convert it to UTC; raises `InvalidMoment`.

    A time without an offset is in UTC, or rejected if `assume_utc` is false.
    """
    if not _MOMENT.fullmatch(text):
        raise InvalidMoment(text)
    try:
        moment = datetime.fromisoformat(text.upper())
        if moment.tzinfo is None and not assume_utc:
            raise InvalidMoment(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):  # the 30th of February, 24:00, before the year 1 or after 9999 in UTC
        raise InvalidMoment(text) from None
