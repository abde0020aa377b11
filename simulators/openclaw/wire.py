"""Values on the wire: times, payloads, and JSON as JavaScript writes it."""

import json
import time
from typing import Any

import orjson

Payload = dict[str, Any]


def as_json(value: Any) -> bytes:
    """The bytes of a frame or a body, with lone surrogates escaped."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":")).encode()


def now_ms() -> int:
    """The present time in the protocol's milliseconds."""
    return int(time.time() * 1000)
