"""What the operators of CEL do with values: numbers, texts and times are computed by the `cel` package.

One deviation, because JSON does not tell 2 from 2.0: arithmetic of a whole and a broken number uses broken ones.
"""

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import cel

from models.rules.cel.meter import ExpressionFailed, Meter

Json = Any
_PROGRAMS = {op: cel.compile(f"a {op} b") for op in ("+", "-", "*", "/", "%", "<", "<=", ">", ">=")}
_NUMBERS = (int, float)
LARGEST = 2**63 - 1


class CelType(str):
    """A type as a value: what `type(1)` answers and what `int` means."""

    __slots__ = ()


TYPES = {
    name: CelType(name)
    for name in ("int", "uint", "double", "string", "bool", "bytes", "list", "map", "null_type", "type")
} | {"timestamp": CelType("timestamp"), "duration": CelType("duration")}


def kind_of(value: Json) -> str:
    """How a person calls a value of this type."""
    if isinstance(value, bool):
        return "true or false"
    for types, name in (
        (_NUMBERS, "a number"),
        (CelType, "a type"),
        (str, "a text"),
        ((list, tuple), "a list"),
        (Mapping, "an object"),
        (datetime, "a timestamp"),
        (timedelta, "a duration"),
        (bytes, "bytes"),
    ):
        if isinstance(value, types):
            return name
    return "null" if value is None else type(value).__name__


def type_of(value: Json) -> CelType:
    """The CEL type of `value`."""
    if isinstance(value, bool):
        return TYPES["bool"]
    names = {"a text": "string", "a list": "list", "an object": "map", "null": "null_type", "a type": "type"}
    names |= {"a timestamp": "timestamp", "a duration": "duration", "bytes": "bytes"}
    name = names.get(kind_of(value)) or ("int" if isinstance(value, int) else "double")
    return TYPES[name]


def is_number(value: Json) -> bool:
    """Whether `value` is a number; true and false are none."""
    return isinstance(value, _NUMBERS) and not isinstance(value, bool)


def scalar(value: Json) -> Json:
    """`value` as the `cel` package takes it: whole numbers beyond 64 bits become broken ones."""
    if type(value) is int and not -LARGEST - 1 <= value <= LARGEST:
        return _double(value)
    return value


def compute(program: Any, **values: Json) -> Json:
    """Run a program of the package over scalars; whatever goes wrong becomes `ExpressionFailed` with its sentence."""
    try:
        return program.execute(values)
    except ZeroDivisionError:
        raise ExpressionFailed("A number cannot be divided by zero.") from None
    except OverflowError:
        raise ExpressionFailed("The number is too large; a whole number has at most 64 bits.") from None
    except BaseException as error:  # a panic inside the package is not an Exception
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        raise ExpressionFailed(str(error).split("\n")[0][:200]) from None


def arithmetic(operator: str, left: Json, right: Json, meter: Meter) -> Json:
    """`left operator right` for + - * / %."""
    if is_number(left) and is_number(right):
        left, right = scalar(left), scalar(right)
        if type(left) is not type(right):
            left, right = _double(left), _double(right)
        if operator == "%" and isinstance(left, float):
            raise ExpressionFailed("`%` needs whole numbers; write int(x).")
        return finite(compute(_PROGRAMS[operator], a=left, b=right))
    if operator == "+" and isinstance(left, str) and isinstance(right, str):
        meter.make_text(len(left) + len(right))
        return left + right
    if operator == "+" and isinstance(left, list | tuple) and isinstance(right, list | tuple):
        meter.charge((len(left) + len(right)) // 20)
        return [*left, *right]
    if isinstance(left, datetime | timedelta) and isinstance(right, datetime | timedelta) and operator in "+-":
        return compute(_PROGRAMS[operator], a=left, b=right)
    raise _mismatch(operator, left, right, "combine")


def compare(operator: str, left: Json, right: Json) -> bool:
    """`left operator right` for < <= > >=."""
    comparable = (
        (is_number(left) and is_number(right))
        or (isinstance(left, str) and isinstance(right, str))
        or (isinstance(left, bool) and isinstance(right, bool))
        or (isinstance(left, datetime) and isinstance(right, datetime))
        or (isinstance(left, timedelta) and isinstance(right, timedelta))
    )
    if not comparable:
        raise _mismatch(operator, left, right, "compare")
    return bool(compute(_PROGRAMS[operator], a=scalar(left), b=scalar(right)))


def equal(left: Json, right: Json, meter: Meter) -> bool:
    """CEL's equality: 1 equals 1.0, and true equals neither."""
    if not isinstance(left, list | tuple | Mapping) or not isinstance(right, list | tuple | Mapping):
        return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)
    meter.read(left)
    meter.read(right)
    pending = [(left, right)]
    while pending:
        a, b = pending.pop()
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            if a.keys() != b.keys():
                return False
            pending.extend((a[key], b[key]) for key in a)
        elif isinstance(a, list | tuple) and isinstance(b, list | tuple):
            if len(a) != len(b):
                return False
            pending.extend(zip(a, b, strict=True))
        elif isinstance(a, bool) != isinstance(b, bool) or a != b:
            return False
    return True


def contains(container: Json, wanted: Json, meter: Meter) -> bool:
    """`wanted in container`: an item of a list, or a key of an object."""
    if isinstance(container, Mapping):
        return isinstance(wanted, str | int | float) and key_text(wanted) in container
    if isinstance(container, list | tuple):
        meter.charge(len(container) // 4)
        return any(equal(item, wanted, meter) for item in container)
    raise ExpressionFailed(
        f"`in` looks into a list or an object, not into {kind_of(container)}"
        + ("; write text.contains(part)." if isinstance(container, str) else ".")
    )


def key_text(key: Json) -> str:
    """A key as JSON has it."""
    if isinstance(key, bool):
        return "true" if key else "false"
    if isinstance(key, float) and key.is_integer():
        return str(int(key))
    return str(key)


def negate(value: Json) -> Json:
    """`-value`."""
    if not is_number(value):
        raise ExpressionFailed(f"`-` needs a number, and got {kind_of(value)}.")
    return finite(-scalar(value)) if value != -LARGEST - 1 else _double(2**63)


def truth(value: Json, where: str) -> bool:
    """`value` when it is true or false; CEL knows no other truth."""
    if isinstance(value, bool):
        return value
    raise ExpressionFailed(f"{where} must be true or false, and is {kind_of(value)}.")


def finite(value: Json) -> Json:
    """`value`, unless it is a number that JSON cannot hold."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ExpressionFailed("The result is not a finite number.")
    return value


def _double(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        raise ExpressionFailed("The number is too large.") from None


def _mismatch(operator: str, left: Json, right: Json, verb: str) -> ExpressionFailed:
    hint = ""
    if {isinstance(left, str), isinstance(right, str)} == {True, False} and (is_number(left) or is_number(right)):
        hint = "; convert with string(x) or double(x)"
    return ExpressionFailed(f"`{operator}` cannot {verb} {kind_of(left)} and {kind_of(right)}{hint}.")
