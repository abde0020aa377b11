"""The headers of requests and answers, each described once."""

from typing import Any

Json = dict[str, Any]


def _text(words: str, example: str, **schema: Any) -> Json:
    return {"description": words, "schema": {"type": "string", **schema}, "example": example}


def _number(words: str, example: int) -> Json:
    return {"description": words, "schema": {"type": "integer", "minimum": 0}, "example": example}


ANSWERS: dict[str, Json] = {
    "X-Request-ID": _text("Names this request in our logs.", "6f1c0a52b1f34c7d8a9e0b1c2d3e4f50"),
    "RateLimit-Limit": _number("How many requests are allowed in the window.", 60),
    "RateLimit-Remaining": _number("How many of them are left.", 59),
    "RateLimit-Reset": _number("Seconds until the window starts anew.", 42),
    "Retry-After": _number("Seconds to wait before the next try.", 2),
    "Location": _text("Where it is, or where to ask what became of it.", "/api/executions/...", format="uri-reference"),
    "ETag": _text("The version of this answer; send it back as `If-None-Match`.", 'W/"12-running"'),
    "WWW-Authenticate": _text("How to prove who you are.", "Bearer"),
    "Idempotent-Replayed": _text("`true` when this is the answer to an earlier request with the same key.", "true"),
}
USUAL = ("X-Request-ID",)
COUNTED = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")

ASKED: dict[str, Json] = {
    "Idempotency-Key": {
        "description": "Makes a repeat of this request harmless: it is answered with the first answer.",
        "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
        "example": "order-2026-0001",
    },
    "Prefer": {
        "description": "`wait=N` waits at most N seconds (30) for the outcome; `respond-async` not at all.",
        "schema": {"type": "string"},
        "example": "wait=10",
    },
    "If-None-Match": {
        "description": "The `ETag` of the answer that is known already.",
        "schema": {"type": "string"},
        "example": 'W/"12-running"',
    },
    "Last-Event-ID": {
        "description": "The `id` of the last event that was heard; browsers send it by themselves.",
        "schema": {"type": "string", "pattern": "^[0-9]{1,18}$"},
        "example": "41",
    },
    "Stripe-Signature": {
        "description": "Stripe's signature of the raw body.",
        "schema": {"type": "string"},
        "example": "t=1767225600,v1=5257a869e7ecebeda32affa62cdca3fa51cad7e77a0e56ff536d0ce8e108d8bd",
    },
}


def parameters() -> dict[str, Json]:
    """The headers of requests as components."""
    return {name: {"name": name, "in": "header", "required": False, **said} for name, said in ASKED.items()}
