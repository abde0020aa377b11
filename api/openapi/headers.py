"""Descriptions of the headers of requests and responses."""

from typing import Any

from models.serialization import JsonObject


def _text(description: str, example: str, **schema: Any) -> JsonObject:
    return {"description": description, "schema": {"type": "string", **schema}, "example": example}


def _number(description: str, example: int) -> JsonObject:
    return {"description": description, "schema": {"type": "integer", "minimum": 0}, "example": example}


RESPONSE_HEADERS: dict[str, JsonObject] = {
    "X-Request-ID": _text("Names this request in our logs.", "6f1c0a52b1f34c7d8a9e0b1c2d3e4f50"),
    "RateLimit-Limit": _number("How many requests are allowed in the window.", 60),
    "RateLimit-Remaining": _number("How many of them are left.", 59),
    "RateLimit-Reset": _number("Seconds until the next window begins.", 42),
    "Retry-After": _number("Seconds to wait before the next try.", 2),
    "Location": _text(
        "The address of the object, or the one at which to poll for the result.",
        "/api/executions/...",
        format="uri-reference",
    ),
    "ETag": _text(
        "The version of this response; send it as `If-None-Match`, or with a change that takes it as `If-Match`.",
        'W/"12-running"',
    ),
    "WWW-Authenticate": _text("The scheme of authentication.", "Bearer"),
    "Missing-Scope": _text(
        "The scope that the access key lacks to read this whole response. The response then has only the fields `id`,"
        " `status`, `version`, `executionId`, `statusUrl`, `eventsUrl`, `cancelUrl`, `clientSecret`, `success` and"
        " `creditsCharged`, and the objects that contain them.",
        "workflows:read",
    ),
    "Idempotent-Replayed": _text("`true` when this is the response to an earlier request with the same key.", "true"),
}
USUAL = ("X-Request-ID",)
COUNTED = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")

REQUEST_HEADERS: dict[str, JsonObject] = {
    "Idempotency-Key": {
        "description": "Makes repeating this request safe: the repeat has no effect and gets the first response.",
        "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
        "example": "order-2026-0001",
    },
    "Prefer": {
        "description": "`wait=N` waits at most N seconds (up to 30) for the result; `respond-async` does not wait.",
        "schema": {"type": "string"},
        "example": "wait=10",
    },
    "If-Match": {
        "description": "The `ETag` of the object to change, a list of them, or `*`: 412 if it has another by now.",
        "schema": {"type": "string"},
        "example": '"5f0c8a5271f34c7d8a9e0b1c2d3e4f50"',
    },
    "If-None-Match": {
        "description": "The `ETag` of the response that the client has already.",
        "schema": {"type": "string"},
        "example": 'W/"12-running"',
    },
    "Last-Event-ID": {
        "description": "The `id` of the last event that was received; browsers send it on reconnecting.",
        "schema": {"type": "string", "pattern": "^[0-9]{1,18}$"},
        "example": "41",
    },
    "Stripe-Signature": {
        "description": "Stripe's signature of the raw body.",
        "schema": {"type": "string"},
        "example": "t=1767225600,v1=5257a869e7ecebeda32affa62cdca3fa51cad7e77a0e56ff536d0ce8e108d8bd",
    },
}


def parameters() -> dict[str, JsonObject]:
    """The headers of requests as components of the document."""
    return {
        name: {"name": name, "in": "header", "required": False, **header} for name, header in REQUEST_HEADERS.items()
    }
