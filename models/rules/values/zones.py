"""Time zones by their names in the IANA database."""

from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

_OF_THE_HOST = frozenset({"localtime", "posixrules", "Factory"})  # names that mean something else on each machine


class UnknownTimeZone(ValueError):
    """There is no time zone of this name."""


def time_zone(name: str) -> ZoneInfo:
    """The time zone with this name; raises `UnknownTimeZone`."""
    if name not in _names():
        raise UnknownTimeZone("Must be the name of a time zone, such as Europe/Berlin or UTC.")
    return ZoneInfo(name)


@lru_cache(maxsize=1)
def _names() -> frozenset[str]:
    return frozenset(available_timezones() - _OF_THE_HOST)
