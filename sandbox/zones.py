"""Packs the time zones of the pinned `tzdata` for the prelude: one line per zone, complete from 1970 to 2099.

A line is `names|offsets|changes`: names separated by spaces, offsets in minutes, and for each change the minutes since
the previous one (or since 1970) and the index of its offset, both in base 36.
"""

import struct
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import resources
from io import BytesIO
from zoneinfo import ZoneInfo

FIRST, LAST = 0, int(datetime(2100, 1, 1, tzinfo=UTC).timestamp())
_HEADER = struct.Struct(">4sc15x6l")
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_STEP = 86_400 * 7  # no offset lasts for less than a week


def packed_zones() -> list[str]:
    """The lines of all zones; identical zones share one."""
    lines: dict[str, list[str]] = {}
    package = resources.files("tzdata")
    for name in package.joinpath("zones").read_text().split():
        data = package.joinpath("zoneinfo", *name.split("/")).read_bytes()
        lines.setdefault(_packed(data), []).append(name)
    return [f"{' '.join(names)}|{rules}" for rules, names in lines.items()]


@cache
def _packed(data: bytes) -> str:
    changes = _changes(data)
    offsets = list(dict.fromkeys(offset for _, offset in changes))
    entries, before = [], 0
    for moment, offset in changes[1:]:
        entries.append(base36(moment // 60 - before) + _DIGITS[offsets.index(offset)])
        before = moment // 60
    return f"{' '.join(str(offset) for offset in offsets)}|{' '.join(entries)}"


def base36(number: int) -> str:
    """Encode a number of at least 0 in base 36."""
    digits = ""
    while number or not digits:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits


def _changes(data: bytes) -> list[tuple[int, int]]:
    """The times (seconds since 1970) at which an offset (minutes) begins; the first one is 1970."""
    written, rule = _written(data)
    found = [(moment, offset) for moment, offset in written if FIRST < moment < LAST]
    start = [offset for moment, offset in written if moment <= FIRST][-1]
    if "," in rule:  # with daylight saving time
        found += _ruled(data, found[-1][0] if found else FIRST)
    changes = [(FIRST, start)]
    for moment, offset in found:
        if offset != changes[-1][1]:
            changes.append((moment, offset))
    return changes


def _written(data: bytes) -> tuple[list[tuple[int, int]], str]:
    """The changes listed in a TZif file of version 2 or later, and its rule for later ones. Source: RFC 8536."""
    start = _HEADER.size + _length(_HEADER.unpack_from(data), 4)
    header = _HEADER.unpack_from(data, start)
    _, _, _, _, _, times, types, _ = header
    at = start + _HEADER.size
    moments = struct.unpack_from(f">{times}q", data, at)
    kinds = data[at + 8 * times : at + 9 * times]
    offsets = [struct.unpack_from(">l", data, at + 9 * times + 6 * kind)[0] for kind in range(types)]
    rule = data[at + _length(header, 8) :].strip(b"\n").decode()
    changes = [(-(2**62), offsets[0] // 60)]
    changes += [(moment, offsets[kind] // 60) for moment, kind in zip(moments, kinds, strict=True)]
    return changes, rule


def _length(header: tuple[int, ...], size: int) -> int:
    """The bytes of the block after a header, whose times have `size` bytes."""
    _, _, utc_flags, standard_flags, leaps, times, types, characters = header
    return times * (size + 1) + types * 6 + characters + leaps * (size + 4) + standard_flags + utc_flags


def _ruled(data: bytes, after: int) -> list[tuple[int, int]]:
    """The changes by the rule of a zone from `after` to 2099."""
    zone = ZoneInfo.from_file(BytesIO(data))
    found, at = [], after
    while at < LAST:
        following = at + _STEP
        if _offset(zone, at) != _offset(zone, following):
            low, high = at, following
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if _offset(zone, middle) == _offset(zone, at) else (low, middle)
            found.append((high, _offset(zone, high)))
        at = following
    return found


def _offset(zone: ZoneInfo, moment: int) -> int:
    offset = datetime.fromtimestamp(moment, zone).utcoffset() or timedelta()
    return int(offset.total_seconds()) // 60
