"""Functions from one type to another, and those on times."""

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import cel

from models.rules.cel.meter import ExpressionFailed, Meter, weigh
from models.rules.cel.operators import CelType, compute, finite, is_number, key_text, kind_of, scalar, type_of
from models.rules.cel.signatures import Signature

Json = Any
_INT, _DOUBLE = cel.compile("int(a)"), cel.compile("double(a)")
_TIMESTAMP, _DURATION = cel.compile("timestamp(a)"), cel.compile("duration(a)")
_GETTERS = (
    *("getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear"),
    *("getHours", "getMinutes", "getSeconds", "getMilliseconds"),
)
_LONGEST_DURATION = timedelta(days=106_000)  # what 64 bits of nanoseconds hold
_TRUTHS = {"true": True, "false": False, "1": True, "0": False, "t": True, "f": False}
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(h|ms|us|µs|ns|m|s)")


def to_json(value: Json) -> Json:
    """The result of an expression as JSON: timestamps as ISO 8601, durations as seconds; raises for bytes.

    Raises `ExpressionFailed` when it is too large or nested too deeply.
    """
    if isinstance(value, str | int | float) or value is None:
        return str(value) if isinstance(value, CelType) else finite(value)
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if isinstance(value, Mapping):
        return {key_text(key): to_json(item) for key, item in value.items()}
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
        return int(seconds) if seconds.is_integer() else seconds
    raise ExpressionFailed("The result is bytes, which JSON cannot hold; convert with string(x) or base64.encode(x).")


def iso(moment: datetime) -> str:
    """A time as ISO 8601 in UTC, such as 2026-01-31T12:00:00Z."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def to_text(value: Json) -> str:
    """How a value stands in a text: texts as they are, everything else as JSON (null as `null`)."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    plain = to_json(value)
    if isinstance(plain, str):
        return plain
    return json.dumps(plain, ensure_ascii=False, separators=(", ", ": "))


def _string(meter: Meter, value: Json) -> str:
    if isinstance(value, bytes):
        meter.make_text(len(value))
        return value.decode("utf-8", "replace")
    if isinstance(value, list | tuple | Mapping):
        values, characters = weigh(value, meter.left * 2)
        meter.charge(values // 2)
        meter.make_text(characters)
    text = to_text(value)
    meter.make_text(len(text))
    return text


def _to_json_text(meter: Meter, value: Json) -> str:
    text = _string(meter, value)
    if not isinstance(value, str):
        return text
    meter.make_text(len(text) * 6)
    return json.dumps(text, ensure_ascii=False)


def _int(meter: Meter, value: Json) -> int:
    if isinstance(value, datetime):
        return int(value.timestamp())
    return int(_converted(_INT, value, "int", "a whole number"))


def _double(meter: Meter, value: Json) -> float:
    return float(finite(_converted(_DOUBLE, value, "double", "a number")))


def _converted(program: Any, value: Json, name: str, wanted: str) -> Json:
    if not is_number(value) and not isinstance(value, str):
        raise ExpressionFailed(f"{name}() cannot make {wanted} of {kind_of(value)}.")
    try:
        return compute(program, a=scalar(value.strip()[:400] if isinstance(value, str) else value))
    except ExpressionFailed:
        shown = f" of `{value[:40]}`" if isinstance(value, str) else ""
        raise ExpressionFailed(f"{name}() cannot make {wanted}{shown}.") from None


def _bool(meter: Meter, value: Json) -> bool:
    found = value if isinstance(value, bool) else _TRUTHS.get(value.lower()) if isinstance(value, str) else None
    if found is None:
        raise ExpressionFailed(f"bool() cannot make true or false of {kind_of(value)}.")
    return bool(found)


def _bytes(meter: Meter, value: str) -> bytes:
    meter.make_text(len(value) * 4)
    return value.encode("utf-8", "replace")


def _size(meter: Meter, value: Json) -> int:
    if isinstance(value, str | bytes | list | tuple | Mapping):
        return len(value)
    raise ExpressionFailed(f"size() needs a text, a list or an object, and got {kind_of(value)}.")


def _timestamp(meter: Meter, value: Json) -> datetime:
    if isinstance(value, datetime):
        return value
    try:
        if is_number(value):
            return datetime.fromtimestamp(value, UTC)
        if isinstance(value, str) and isinstance(moment := compute(_TIMESTAMP, a=value[:60]), datetime):
            return moment
    except (ExpressionFailed, OverflowError, ValueError, OSError):
        pass
    raise ExpressionFailed("timestamp() needs a time such as '2026-01-31T12:00:00Z', or seconds since 1970.")


def _duration(meter: Meter, value: Json) -> timedelta:
    if isinstance(value, timedelta):
        return value
    text = value[:60] if isinstance(value, str) else ""
    # The package wraps around silently beyond 292 years, so the length is looked at first.
    seconds = sum(float(number) * _UNITS[unit] for number, unit in _DURATION_PART.findall(text))
    try:
        length = compute(_DURATION, a=text) if seconds <= _LONGEST_DURATION.total_seconds() else None
    except ExpressionFailed:
        length = None
    if isinstance(length, timedelta):
        return length
    raise ExpressionFailed("duration() needs a length of time such as '1h30m' or '90s', of at most 290 years.")


def _getter(name: str) -> Callable[[Meter, Json], int]:
    program = cel.compile(f"a.{name}()")

    def run(meter: Meter, moment: Json) -> int:
        try:
            return int(compute(program, a=moment))
        except ExpressionFailed:
            raise ExpressionFailed(f"{name}() does not work on {kind_of(moment)}.") from None

    return run


def _parse_json(meter: Meter, text: str) -> Json:
    meter.charge(1 + len(text) // 50)
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise ExpressionFailed("parseJson() got a text that is not JSON.") from None
    weigh(value)
    return value


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _encode(meter: Meter, value: Json) -> str:
    if not isinstance(value, str | bytes):
        raise ExpressionFailed(f"base64.encode() needs a text, and got {kind_of(value)}.")
    meter.make_text(len(value) * 2)
    return base64.b64encode(value.encode("utf-8", "replace") if isinstance(value, str) else value).decode()


def _decode(meter: Meter, text: str) -> str:
    meter.make_text(len(text))
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        raise ExpressionFailed("base64.decode() got a text that is not base64.") from None


SIGNATURES = (
    Signature("string", ("any",), _string),
    Signature(
        "toJson", ("any",), lambda meter, value: json.dumps(value) if isinstance(value, str) else _string(meter, value)
    ),
    Signature("parseJson", ("text",), _parse_json),
    Signature("int", ("any",), _int),
    Signature("uint", ("any",), _int),
    Signature("double", ("any",), _double),
    Signature("bool", ("any",), _bool),
    Signature("bytes", ("text",), _bytes),
    Signature("dyn", ("any",), lambda meter, value: value),
    Signature("type", ("any",), lambda meter, value: type_of(value)),
    Signature("size", ("any",), _size),
    Signature("timestamp", ("any",), _timestamp),
    Signature("duration", ("any",), _duration),
    Signature("base64.encode", ("any",), _encode),
    Signature("base64.decode", ("text",), _decode),
    *(Signature(name, ("time",), _getter(name)) for name in _GETTERS),
)
