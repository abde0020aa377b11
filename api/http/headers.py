"""Headers of every response: the request id, safe defaults for browsers, and CORS for the configured origins."""

import re
import time
from uuid import uuid4

import structlog
from flask import Flask, Response, current_app, g, request

from settings import Settings
from telemetry import tracing

log = structlog.get_logger(__name__)

SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
EXPOSED = (
    "ETag, Idempotent-Replayed, Location, Missing-Scope, Retry-After, X-Request-ID, "
    "RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset"
)
ALLOWED = (
    "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, Prefer, "
    "Two-Factor-Code, X-Request-ID"
)
METHODS = "GET, POST, PUT, DELETE, OPTIONS"


def init_app(app: Flask, settings: Settings) -> None:
    """Give every request an id, log it, and set our headers on its response."""
    origins = frozenset(settings.cors_origins)
    production = settings.environment == "production"

    @app.before_request
    def number() -> None:
        requested = request.headers.get("X-Request-ID", "")
        g.request_id = requested if SANE_ID.fullmatch(requested) else uuid4().hex
        g.started = time.perf_counter()
        _begin_span()
        bind_request_id(g.request_id)

    app.before_request(_respond_to_preflight)

    @app.after_request
    def decorate(response: Response) -> Response:
        response.headers["X-Request-ID"] = g.get("request_id", "")
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers.setdefault("Cache-Control", "no-store")
        if production:
            response.headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
        if origins:
            _allow(response, origins)
        _log(response)
        _end_span(response)
        return response

    app.teardown_request(unbind_request_id)


def bind_request_id(request_id: str) -> None:
    """Put the request's id into the events that this thread logs, until the request ends or pauses."""
    structlog.contextvars.bind_contextvars(request_id=request_id)
    tracing.enter(g.span.traceparent if "span" in g else None)


def unbind_request_id(_: BaseException | None = None) -> None:
    """Leave the request's id out of events again."""
    structlog.contextvars.unbind_contextvars("request_id")
    tracing.enter(None)


def _begin_span() -> None:
    """Begin the span of this request, in the trace of its client if that names one; health checks have none."""
    if request.blueprint != "health":
        route = request.url_rule.rule if request.url_rule else "none"
        facts = {"http.request.method": request.method, "http.route": route, "agentforge.request_id": g.request_id}
        name, parent = f"{request.method} {route}", request.headers.get(tracing.HEADER)
        g.span = tracing.begin(name, "server", parent=parent, attributes=facts)


def _end_span(response: Response) -> None:
    if "span" in g:
        g.span.set({"http.response.status_code": response.status_code})
        if response.status_code >= 500:
            g.span.fail(str(response.status_code))
        g.span.end()


def _respond_to_preflight() -> Response | None:
    """Respond to a CORS preflight before authentication and limits, because browsers send it without a token."""
    is_preflight = request.method == "OPTIONS" and request.url_rule is not None
    return current_app.make_default_options_response() if is_preflight else None


def _allow(response: Response, origins: frozenset[str]) -> None:
    """Set the CORS headers for listed origins; without credentials, because tokens are sent in a header."""
    response.vary.add("Origin")
    origin = request.headers.get("Origin")
    if origin not in origins:
        return
    response.headers["Access-Control-Allow-Origin"] = origin
    response.headers["Access-Control-Expose-Headers"] = EXPOSED
    if request.method == "OPTIONS":
        response.headers["Access-Control-Allow-Methods"] = METHODS
        response.headers["Access-Control-Allow-Headers"] = ALLOWED
        response.headers["Access-Control-Max-Age"] = "600"


def _log(response: Response) -> None:
    """Log one event for the request, with its route instead of its path, and without its body."""
    if request.blueprint == "health":
        return
    fields = {
        "method": request.method,
        "route": request.url_rule.rule if request.url_rule else None,
        "status": response.status_code,
        "ms": round((time.perf_counter() - g.get("started", time.perf_counter())) * 1000, 1),
        "user_id": g.get("user_id"),
        **({"access_key_id": g.access_key_id} if "access_key_id" in g else {}),
    }
    taken = {"event", "request_id", *fields}
    # Only values that look like ids are logged, because an unauthenticated caller can put any text in a path.
    ids = {name: value for name, value in (request.view_args or {}).items() if SANE_ID.fullmatch(str(value))}
    renamed = {f"route_{name}" if name in taken else name: value for name, value in ids.items()}
    log.info("request.served", **fields, **renamed)
