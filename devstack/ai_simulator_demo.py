"""Endpoints of a small public API for trying `api_call`: weather, an echo, a list, any status, redirects."""

import json
import zlib
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

Json = Any

SKIES = ("clear", "cloudy", "rain", "snow", "windy")
ITEMS = (
    {"id": 1, "name": "Lantern", "price": 24.5, "stock": 12, "tags": ["light", "outdoor"]},
    {"id": 2, "name": "Kettle", "price": 39.0, "stock": 0, "tags": ["kitchen"]},
    {"id": 3, "name": "Backpack", "price": 89.9, "stock": 4, "tags": ["outdoor"]},
    {"id": 4, "name": "Notebook", "price": 6.2, "stock": 140, "tags": ["paper"]},
    {"id": 5, "name": "Compass", "price": 17.0, "stock": 31, "tags": ["outdoor", "travel"]},
)


@dataclass(frozen=True)
class DemoAnswer:
    """What the demo API answers with."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def demo(method: str, target: str, headers: dict[str, str], body: bytes) -> DemoAnswer:
    """The answer of one demo endpoint; 404 for everything else."""
    parts = urlsplit(target)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    match parts.path.strip("/").split("/"):
        case ["demo", "weather"]:
            return _json(200, weather(query.get("city", "Berlin")))
        case ["demo", "echo"] if method != "GET":
            return _json(200, _echo(method, headers, body))
        case ["demo", "items"]:
            return _json(200, list(ITEMS))
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


def _echo(method: str, headers: dict[str, str], body: bytes) -> Json:
    try:
        parsed: Json = json.loads(body) if body else None
    except ValueError:
        parsed = body.decode("utf-8", "replace")
    return {"method": method, "body": parsed, "idempotencyKey": headers.get("idempotency-key")}


def _json(status: int, value: Json) -> DemoAnswer:
    return DemoAnswer(status, json.dumps(value).encode())
