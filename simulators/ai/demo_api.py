"""Endpoints of a small public API for `api_call` nodes: weather, an echo, lists, signatures, any status, redirects."""

import hashlib
import hmac
import json
import zlib
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

Json = Any

SKIES = ("clear", "cloudy", "rain", "snow", "windy")
SECRET = b"demo"
ITEMS = (
    {"id": 1, "name": "Lantern", "price": 24.5, "stock": 12, "tags": ["light", "outdoor"]},
    {"id": 2, "name": "Kettle", "price": 39.0, "stock": 0, "tags": ["kitchen"]},
    {"id": 3, "name": "Backpack", "price": 89.9, "stock": 4, "tags": ["outdoor"]},
    {"id": 4, "name": "Notebook", "price": 6.2, "stock": 140, "tags": ["paper"]},
    {"id": 5, "name": "Compass", "price": 17.0, "stock": 31, "tags": ["outdoor", "travel"]},
)


@dataclass(frozen=True)
class DemoAnswer:
    """A response of the demo API."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def demo(method: str, target: str, headers: dict[str, str], body: bytes) -> DemoAnswer:
    """The response of one demo endpoint; 404 for unknown paths."""
    parts = urlsplit(target)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    match parts.path.strip("/").split("/"):
        case ["demo", "weather"]:
            return _json(200, weather(query.get("city", "Berlin")))
        case ["demo", "echo"] if method != "GET":
            return _json(200, _echo(method, headers, body))
        case ["demo", "items"]:
            return _json(200, _page(query) if "page" in query else list(ITEMS))
        case ["demo", "signed"] if method == "POST":
            return _signed(headers, body)
        case ["demo", "status", code] if code.isdigit() and 200 <= int(code) <= 599:
            return DemoAnswer(int(code), b"") if code in ("204", "304") else _json(int(code), {"status": int(code)})
        case ["demo", "redirect"] if "to" in query:
            status = query.get("status", "302")
            return DemoAnswer(int(status) if status.isdigit() else 302, b"", {"Location": query["to"]})
        case ["health"]:
            return _json(200, {"status": "ok"})
    return _json(404, {"error": {"message": f"There is nothing at {parts.path}."}})


def weather(city: str) -> Json:
    """The same weather for the same city every time."""
    seed = zlib.crc32(city.strip().lower().encode())
    return {
        "city": city,
        "temperature": seed % 35 - 5,
        "humidity": 30 + seed // 7 % 60,
        "condition": SKIES[seed // 11 % len(SKIES)],
    }


def _page(query: dict[str, str]) -> Json:
    """A page of the items; `next` is the number of the one behind it."""
    page, size = (int(given) if given.isdigit() else 1 for given in (query["page"], query.get("size", "2")))
    start, end = max(page - 1, 0) * size, max(page, 1) * size
    return {"items": list(ITEMS[start:end]), "page": page, "next": page + 1 if end < len(ITEMS) else None}


def _signed(headers: dict[str, str], body: bytes) -> DemoAnswer:
    """Takes what `SECRET` has signed: the header `X-Date`, a line break, and the body's SHA-256."""
    signed = f"{headers.get('x-date', '')}\n{hashlib.sha256(body).hexdigest()}"
    expected = hmac.new(SECRET, signed.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(headers.get("x-signature", ""), expected):
        return _json(401, {"error": {"message": "The signature is not that of this request."}})
    return _json(200, {"accepted": True, "order": json.loads(body)})


def _echo(method: str, headers: dict[str, str], body: bytes) -> Json:
    try:
        parsed: Json = json.loads(body) if body else None
    except ValueError:
        parsed = body.decode("utf-8", "replace")
    return {"method": method, "body": parsed, "idempotencyKey": headers.get("idempotency-key")}


def _json(status: int, value: Json) -> DemoAnswer:
    return DemoAnswer(status, json.dumps(value).encode())
