"""Cleans JSON from outside, so that the database can store its texts and whole numbers stay exact.

It is used for responses of APIs and models, the input of runs, and the results of expressions.
"""

import json
import re

import orjson

from models.errors import ExpressionFailed
from models.serialization import Json

EXACT = 2**53 - 1  # the largest whole number that every reader of JSON keeps exactly
MAX_TEXT = 1024 * 1024  # characters of a text that is made of values
REPLACEMENT = "\ufffd"
_LONG_NUMBER = re.compile(rb"[0-9]{16}")


def clean_text(text: str) -> str:
    """Replace NUL and lone surrogates, which the database cannot store, by U+FFFD."""
    if "\x00" in text:
        text = text.replace("\x00", REPLACEMENT)
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:  # surrogates that form a pair become one character
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def clean(value: Json) -> Json:
    """Clean all texts and names of a JSON value, and turn whole numbers beyond 64 bits into text."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, dict):
        return {clean_text(name) if isinstance(name, str) else name: clean(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean(item) for item in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return str(value)
    return value


def read_json(body: bytes | str) -> Json:
    """Parse JSON and clean it; whole numbers beyond 2^53 become texts with the same digits.

    Raises:
        ValueError: it is not JSON, or nested too deeply.
    """
    raw = clean_text(body).encode() if isinstance(body, str) else body
    if not _LONG_NUMBER.search(raw):
        try:
            value = orjson.loads(raw)
        except orjson.JSONDecodeError:  # also for lone surrogates, which the parser below accepts
            pass
        else:
            return clean(value) if b"\\u0000" in raw else value
    try:
        return clean(json.loads(raw.decode("utf-8", "replace"), parse_int=_integer, parse_constant=_reject))
    except RecursionError:
        raise ValueError("The JSON is nested too deeply.") from None


def value_text(value: Json) -> str:
    """A value as it stands in a text; raises `ExpressionFailed` when that would be too long."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))  # as people write it
    try:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    except (TypeError, ValueError, RecursionError):
        raise ExpressionFailed("The value cannot be written as text.") from None
    if len(text) > MAX_TEXT:
        raise ExpressionFailed(f"The text would be longer than {MAX_TEXT:,} characters.")
    return text


def _integer(digits: str) -> int | str:
    """A whole number, or its digits if not every JSON parser would keep it exactly."""
    if len(digits) > 17:
        return digits
    number = int(digits)
    return number if abs(number) <= EXACT else digits


def _reject(name: str) -> None:
    raise ValueError(f"{name} is not JSON.")
