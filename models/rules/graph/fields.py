"""The kinds of config fields: checks and conversions of their values, constant or computed."""

from collections.abc import Iterator, Mapping
from typing import Any

from models.errors import ExpressionFailed
from models.rules.graph.kinds import Field
from models.rules.values.json_values import value_text
from models.serialization import Json

RESERVED_CASES = frozenset({"default", "error"})
MAX_CASES = 100
MAX_CASE_NAME = 64  # characters


def is_number(value: Json) -> bool:
    """Whether `value` is a number; booleans are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def kind_of(value: Json) -> str:
    """The name of a value's type in messages for users."""
    if isinstance(value, bool):
        return "true or false"
    names = ((str, "text"), (Mapping, "an object"), ((list, tuple), "a list"), ((int, float), "a number"))
    return next((name for types, name in names if isinstance(value, types)), "nothing")


def checked(field: Field, value: Json) -> Json:
    """Convert `value` to the kind of the field; raises `ExpressionFailed` that says what it must be."""
    if value is None:
        if field.required:
            raise ExpressionFailed(f"`{field.name}` must not be empty.")
        return None
    match field.kind:
        case "text":
            return value_text(value)
        case "number":
            return _number(field, value)
        case "flag":
            return _boolean(field, value)
        case "choice":
            return _choice(field, value)
        case "object":
            return _of_type(field, value, Mapping, "an object")
        case "list":
            return _of_type(field, value, list | tuple, "a list, or an {{ expression }} that makes one")
        case _:
            return value


def listed_problems(cases: Json) -> Iterator[tuple[str, str]]:
    """The problems of the cases of a decision, as (path below the field, sentence)."""
    if not isinstance(cases, list) or not cases:
        yield "", "`cases` must be a list with at least one {name, condition}."
        return
    if len(cases) > MAX_CASES:
        yield "", f"A decision has at most {MAX_CASES} cases, not {len(cases)}."
        return
    seen = set()
    for index, case in enumerate(cases):
        name = case.get("name") if isinstance(case, Mapping) else None
        if not isinstance(name, str) or not name.strip() or len(name) > MAX_CASE_NAME:
            yield (
                f".{index}.name",
                f"A case needs a name of 1 to {MAX_CASE_NAME} characters; it is the name of its port.",
            )
        elif name in RESERVED_CASES:
            yield f".{index}.name", f"`{name}` is the name of a port that every decision has; choose another."
        elif name in seen:
            yield f".{index}.name", f"Two cases are named `{name}`."
        seen.add(name)
        condition = case.get("condition") if isinstance(case, Mapping) else None
        if not isinstance(condition, str | bool) or condition == "":
            yield f".{index}.condition", "A case needs a condition."


def _number(field: Field, value: Json) -> Json:
    number = value
    if isinstance(value, str):
        try:
            number = float(value) if "." in value or "e" in value.lower() else int(value)
        except ValueError:
            number = None
    if not is_number(number) or number != number or abs(number) > 1e300:
        raise ExpressionFailed(f"`{field.name}` must be a number, not {_shown(value)}.")
    if field.low is not None and number < field.low:
        raise ExpressionFailed(f"`{field.name}` must be at least {field.low:g}, not {number:g}.")
    if field.high is not None and number > field.high:
        raise ExpressionFailed(f"`{field.name}` must be at most {field.high:g}, not {number:g}.")
    if field.whole and number != int(number):
        raise ExpressionFailed(f"`{field.name}` must be a whole number, not {number:g}.")
    return int(number) if field.whole else number


def _boolean(field: Field, value: Json) -> bool:
    flag = {"true": True, "false": False}.get(value) if isinstance(value, str) else value
    if not isinstance(flag, bool):
        raise ExpressionFailed(f"`{field.name}` must be true or false, not {_shown(value)}.")
    return flag


def _choice(field: Field, value: Json) -> str:
    for choice in field.choices:
        if isinstance(value, str) and value.lower() == choice.lower():
            return choice
    raise ExpressionFailed(f"`{field.name}` must be one of {', '.join(field.choices)}, not {_shown(value)}.")


def _of_type(field: Field, value: Json, types: Any, name: str) -> Json:
    if not isinstance(value, types):
        raise ExpressionFailed(f"`{field.name}` must be {name}, not {kind_of(value)}.")
    return value


def _shown(value: Json) -> str:
    return f"`{value[:60]}`" if isinstance(value, str) else str(value) if is_number(value) else kind_of(value)
