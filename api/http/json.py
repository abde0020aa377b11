"""JSON encoding of responses: times in UTC with a Z, ids as text, credits as numbers."""

from decimal import Decimal
from typing import Any

import orjson
from flask import Response
from flask.json.provider import JSONProvider


class OrjsonProvider(JSONProvider):
    """Flask's JSON provider on orjson."""

    def dumps(self, obj: Any, **_: Any) -> str:
        """Encode `obj` as text."""
        return encode(obj).decode()

    def loads(self, s: str | bytes, **_: Any) -> Any:
        """Decode text; request bodies are decoded by `api.http.parsing` instead, which reports errors by field."""
        return orjson.loads(s)

    def response(self, *args: Any, **kwargs: Any) -> Response:
        """Build an `application/json` response."""
        return Response(encode(self._prepare_response_obj(args, kwargs)), mimetype="application/json")


def encode(value: Any) -> bytes:
    """Encode `value` as UTF-8 JSON; decimals as numbers with two decimals."""
    return orjson.dumps(value, default=_encodable, option=orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC)


def _encodable(value: Any) -> Any:
    if isinstance(value, Decimal):
        number = float(round(value, 2))
        whole = int(number)
        return whole if whole == number else number
    raise TypeError(f"{type(value).__name__} has no form in JSON")
