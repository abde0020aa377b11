"""Parsing of requests: JSON within size limits, then a schema. Every error names its field.

The size of a body is checked before its values are visited one by one.
"""

import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from itertools import islice
from typing import Any

import orjson
from flask import Flask, request
from marshmallow import Schema
from werkzeug.exceptions import BadRequest, HTTPException, RequestEntityTooLarge, UnsupportedMediaType

from models.errors import FieldError, InvalidInput
from models.rules.values.json_values import read_json

MAX_BODY_BYTES = 1024 * 1024
MAX_SMALL_BODY_BYTES = 64 * 1024  # for blueprints other than `LARGE`, also from unauthenticated callers
LARGE = frozenset(
    {"workflows", "trials", "templates", "executions", "expressions", "webhooks"}
)  # blueprints that take graphs or inputs
MAX_DEPTH = 32
MAX_FIELDS = 100  # of the outermost object; no schema has half as many
MAX_VALUES = 250_000  # of the whole body, objects and lists included
MAX_NAMED = 20  # of the fields with text or numbers that cannot be stored
NUL = "\x00"
NO_NUL = "Must not contain NUL characters."
_HALF = re.compile("[\ud800-\udfff]")


def init_app(app: Flask) -> None:
    """Read every body completely before anything else, so that a slow client holds no connection and no slot."""

    # Werkzeug rejects a body whose Content-Length is larger, but truncates one without it: hence one byte more.
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES + 1

    @app.before_request
    def receive() -> None:
        if not (request.environ.get("CONTENT_LENGTH") or request.environ.get("HTTP_TRANSFER_ENCODING")):
            return  # there is none
        max_bytes = MAX_BODY_BYTES if request.blueprint in LARGE else MAX_SMALL_BODY_BYTES
        request.max_content_length = max_bytes + 1
        if (request.content_length or 0) > max_bytes or len(_received()) > max_bytes:
            raise RequestEntityTooLarge


def max_body_bytes(path: str) -> int:
    """The size of a body that is worth receiving for this path; its route may allow less."""
    return MAX_BODY_BYTES if LARGE.intersection(path.split("/")) else MAX_SMALL_BODY_BYTES


def _received() -> bytes:
    """Read the body and keep it; raises `BadRequest` for invalid HTTP, for which each server has its own errors."""
    try:
        return request.get_data(cache=True)
    except HTTPException:
        raise
    except Exception as error:
        raise BadRequest("The body could not be read: it was not sent as HTTP requires.") from error


def body(schema: type[Schema], *, optional: bool = False, lenient: bool = False) -> dict[str, Any]:
    """Load the request's JSON object by `schema`.

    Args:
        schema: the schema of the body.
        optional: whether a missing body counts as an empty object.
        lenient: whether values that cannot be stored exactly are replaced (see `json_values`) instead of rejected.

    Raises:
        BadRequest: the body is not JSON, too deep or too large.
        UnsupportedMediaType: the body is not sent as JSON.
        InvalidInput: the body is not an object, or contains values that cannot be stored.
        ValidationError: the body does not match the schema.
    """
    document = _document(optional, lenient)
    if not isinstance(document, dict):
        raise InvalidInput("The body must be a JSON object.", errors=[FieldError("body", "Must be an object.")])
    if len(document) > MAX_FIELDS:
        message = f"Must have at most {MAX_FIELDS} fields; this one has {len(document):,}."
        raise InvalidInput("The body has too many fields.", errors=[FieldError("body", message)])
    loaded: dict[str, Any] = _instance(schema).load(document)
    return loaded


def query(schema: type[Schema]) -> dict[str, Any]:
    """Load the query string by `schema`, which ignores unknown arguments; raises as `body` does."""
    args = request.args.to_dict()
    if not args:
        return {**_default_query(schema)}
    _reject(args, lambda value: isinstance(value, str) and NUL in value, NO_NUL)
    loaded: dict[str, Any] = _instance(schema).load(args)
    return loaded


@cache
def _default_query(schema: type[Schema]) -> dict[str, Any]:
    """The result for an empty query string."""
    loaded: dict[str, Any] = _instance(schema).load({})
    return loaded


def show(schema: type[Schema], thing: Any, *, many: bool = False) -> Any:
    """Dump `thing` by `schema`, as the client may see it."""
    return _instance(schema).dump(thing, many=many)


def peek(name: str) -> str:
    """The text in a field of the body, or "" without one; for counting attempts before the body is validated."""
    try:
        document = orjson.loads(request.get_data(cache=True))
    except orjson.JSONDecodeError:
        return ""
    value = document.get(name) if isinstance(document, dict) else None
    return value if isinstance(value, str) else ""


@cache
def _instance(schema: type[Schema]) -> Schema:
    """The one instance of a schema: it keeps no state between calls, and building it costs more than using it."""
    return schema()


def _document(optional: bool, lenient: bool) -> Any:
    raw = request.get_data(cache=True)
    if optional and not raw.strip():
        return {}
    if not request.is_json:
        raise UnsupportedMediaType("The body must be sent as application/json.")
    try:
        document = read_json(raw) if lenient else orjson.loads(raw)
    except ValueError as error:
        _blame_field(raw)
        raise BadRequest(f"The body is not valid JSON: {error}.") from None
    _check_size(document)
    if b"\\u0000" in raw and not lenient:
        _reject(document, lambda value: isinstance(value, str) and NUL in value, NO_NUL)
    return document


def _blame_field(raw: bytes) -> None:
    """Raise `InvalidInput` with the fields that are valid JSON but cannot be stored: lone surrogates, huge numbers."""
    try:
        document = json.loads(raw, parse_constant=_no_constant, parse_int=float)
    except (ValueError, RecursionError):
        return  # not JSON at all
    _check_size(document)
    _reject(document, _is_half_character, "Must be valid Unicode text.")
    _reject(document, _is_endless, "This number is too large.")


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _is_half_character(value: Any) -> bool:
    return isinstance(value, str) and not value.isascii() and _HALF.search(value) is not None


def _is_endless(value: Any) -> bool:
    return isinstance(value, float) and value in (float("inf"), float("-inf"))


def _reject(document: Any, is_bad: Callable[[Any], bool], message: str) -> None:
    bad = (path for path, value in _leaves(document, "") if is_bad(value))
    errors = [FieldError(path or "body", message) for path in islice(bad, MAX_NAMED)]
    if errors:
        raise InvalidInput("Some fields have invalid values.", errors=errors)


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every scalar with its dotted path; a key counts as text at its own path."""
    if isinstance(value, dict):
        for key, inner in value.items():
            step = f"{path}.{_printable(key)}" if path else _printable(key)
            yield step, key
            yield from _leaves(inner, step)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{path}.{index}" if path else str(index))
    else:
        yield path, value


def _printable(key: str) -> str:
    return key.encode("ascii", "backslashreplace").decode().replace(NUL, "\\u0000")[:100]


def _check_size(document: Any) -> None:
    """Raise `BadRequest` if the document is nested too deeply or has too many values."""
    level, count = [document] if isinstance(document, dict | list) else [], 1
    for _ in range(MAX_DEPTH):
        count += sum(map(len, level))
        if count > MAX_VALUES:
            raise BadRequest(f"The body has more than {MAX_VALUES:,} values.")
        level = [
            inner
            for holder in level
            for inner in (holder.values() if isinstance(holder, dict) else holder)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise BadRequest(f"The body is nested deeper than {MAX_DEPTH} levels.")
