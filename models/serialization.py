"""JSON: the type of its values, and how they are written as text for the database."""

from typing import Any

import orjson

Json = Any  # what JSON can hold; the checkers know no narrower type that is practical
JsonObject = dict[str, Any]


def to_json(value: Any) -> str:
    """Write `value` as JSON; keys and values may be enums, UUIDs, times and numbers too.

    Raises `TypeError` for types without an unambiguous form in JSON, such as `Decimal`: convert them first.
    """
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # not tried first, because the option takes 50% longer and nearly all keys are text
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()
