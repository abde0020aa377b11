"""Reading what the client sent: JSON within bounds, then a schema. Every refusal names the field."""

import json
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import orjson
from flask import Flask, request
from marshmallow import Schema
from werkzeug.exceptions import BadRequest, HTTPException, RequestEntityTooLarge, UnsupportedMediaType

from models.errors import FieldError, InvalidInput

MAX_BODY_BYTES = 1024 * 1024
MAX_DEPTH = 32
NUL = "\x00"
NO_NUL = "Must not contain NUL characters."


def init_app(app: Flask) -> None:
    """Read every body whole before anything else is done: nobody waits for a slow client with a connection in hand."""

    # Werkzeug refuses bodies that say they are larger, but cuts off those that do not tell: hence one byte more.
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES + 1

    @app.before_request
    def receive() -> None:
        if not (request.environ.get("CONTENT_LENGTH") or request.environ.get("HTTP_TRANSFER_ENCODING")):
            return  # there is none
        if len(_received()) > MAX_BODY_BYTES:
            raise RequestEntityTooLarge


def _received() -> bytes:
    """The body, read and kept. What is no HTTP is refused, whatever the server calls it: each has errors of its own."""
    try:
        return request.get_data(cache=True)
    except HTTPException:
        raise
    except Exception as error:
        raise BadRequest("The body could not be read: it is not sent as HTTP has it.") from error


def body(schema: type[Schema], *, optional: bool = False) -> dict[str, Any]:
    """The request's JSON object as `schema` reads it; `optional` takes no body for an empty one."""
    document = _document(optional)
    if not isinstance(document, dict):
        raise InvalidInput("The body must be a JSON object.", errors=[FieldError("body", "Must be an object.")])
    loaded: dict[str, Any] = _instance(schema).load(document)
    return loaded


def query(schema: type[Schema]) -> dict[str, Any]:
    """The arguments of the address as `schema` reads them; those it does not know are ignored."""
    args = request.args.to_dict()
    if not args:
        return {**_unasked(schema)}
    _refuse(args, lambda value: isinstance(value, str) and NUL in value, NO_NUL)
    loaded: dict[str, Any] = _instance(schema).load(args)
    return loaded


@cache
def _unasked(schema: type[Schema]) -> dict[str, Any]:
    """What an address without arguments asks for."""
    loaded: dict[str, Any] = _instance(schema).load({})
    return loaded


def show(schema: type[Schema], thing: Any, *, many: bool = False) -> Any:
    """`thing` as the client may see it."""
    return _instance(schema).dump(thing, many=many)


def peek(name: str) -> str:
    """A text of the body, or nothing: for counting attempts before anything is validated."""
    try:
        document = orjson.loads(request.get_data(cache=True))
    except orjson.JSONDecodeError:
        return ""
    value = document.get(name) if isinstance(document, dict) else None
    return value if isinstance(value, str) else ""


@cache
def _instance(schema: type[Schema]) -> Schema:
    """Schemas keep no state between calls, and building one costs more than using it."""
    return schema()


def _document(optional: bool) -> Any:
    raw = request.get_data(cache=True)
    if optional and not raw.strip():
        return {}
    if not request.is_json:
        raise UnsupportedMediaType("The body must be sent as application/json.")
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        _blame_field(raw)
        raise BadRequest(f"The body is not valid JSON: {error}.") from None
    if _deeper_than(document, MAX_DEPTH):
        raise BadRequest(f"The body is nested deeper than {MAX_DEPTH} levels.")
    if b"\\u0000" in raw:
        _refuse(document, lambda value: isinstance(value, str) and NUL in value, NO_NUL)
    return document


def _blame_field(raw: bytes) -> None:
    """JSON allows half a surrogate pair and numbers of any size; we cannot store them, and say where they stand."""
    try:
        document = json.loads(raw, parse_constant=_no_constant, parse_int=float)
    except (ValueError, RecursionError):
        return  # not JSON at all
    if not _deeper_than(document, MAX_DEPTH):
        _refuse(document, _is_half_character, "Must be valid Unicode text.")
        _refuse(document, _is_endless, "This number is too large.")


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _is_half_character(value: Any) -> bool:
    return isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value)


def _is_endless(value: Any) -> bool:
    return isinstance(value, float) and value in (float("inf"), float("-inf"))


def _refuse(document: Any, is_bad: Callable[[Any], bool], message: str) -> None:
    errors = [FieldError(path or "body", message) for path, value in _leaves(document, "") if is_bad(value)][:20]
    if errors:
        raise InvalidInput("Some fields are not as they should be.", errors=errors)


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every scalar with its dotted path; a key counts as a text at its own path."""
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


def _deeper_than(document: Any, limit: int) -> bool:
    level = [document] if isinstance(document, dict | list) else []
    for _ in range(limit):
        level = [
            inner
            for holder in level
            for inner in (holder.values() if isinstance(holder, dict) else holder)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True
