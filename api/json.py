"""JSON on the wire: times in UTC with a Z, ids as text, credits as numbers."""

from decimal import Decimal
from typing import Any

import orjson
from flask import Response
from flask.json.provider import JSONProvider


class OrjsonProvider(JSONProvider):
    """Makes Flask speak JSON through orjson."""

    def dumps(self, obj: Any, **_: Any) -> str:
        """Write `obj` as text."""
        return encode(obj).decode()

    def loads(self, s: str | bytes, **_: Any) -> Any:
        """Read text; request bodies are read by `api.bodies` instead, which says what is wrong with them."""
        return orjson.loads(s)

    def response(self, *args: Any, **kwargs: Any) -> Response:
        """An `application/json` answer."""
        return Response(encode(self._prepare_response_obj(args, kwargs)), mimetype="application/json")


def encode(value: Any) -> bytes:
    """Write `value` as UTF-8 JSON."""
    return orjson.dumps(value, default=_plain, option=orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        number = float(round(value, 2))
        whole = int(number)
        return whole if whole == number else number
    raise TypeError(f"{type(value).__name__} has no form in JSON")
