"""Scopes of access keys: one table by resource and, where that is too coarse, by route.

A session token allows everything that its user may do. An access key allows what its scopes say, and never routes for
credentials, sessions, devices or administration. Routes that are not in the table are closed to access keys.

A scope to write does not include reading: where a route responds with the object that it changed, a key without the
scope to read it gets only the fields that it needs to go on.
"""

from collections.abc import Mapping
from typing import Any

from flask import Response, request

from api.http.json import encode
from models.errors import Forbidden
from models.tables import KeyScope

MISSING_SCOPE = "Missing-Scope"  # a header
SIGNED_IN = "signed in"  # needs a session token; closed to access keys
ANYBODY = "anybody"  # open to every access key

WORKFLOWS = (KeyScope.WORKFLOWS_READ, KeyScope.WORKFLOWS_WRITE)
BILLING = (KeyScope.BILLING_READ, KeyScope.BILLING_WRITE)

# By blueprint: the scope for reading, and the scope for everything else.
RESOURCES: dict[str, tuple[str, str]] = {
    "workflows": WORKFLOWS,
    "workflow_versions": WORKFLOWS,
    "schedules": WORKFLOWS,
    "templates": WORKFLOWS,
    **dict.fromkeys(
        ("executions", "bulk_executions", "trials", "steps", "expressions", "events"),
        (KeyScope.EXECUTIONS_READ, KeyScope.EXECUTIONS_RUN),
    ),
    "credits": (KeyScope.CREDITS_READ, SIGNED_IN),
    "usage": (KeyScope.CREDITS_READ, KeyScope.EXECUTIONS_RUN),
    "purchases": BILLING,
    "subscriptions": BILLING,
    "payment_methods": BILLING,
    "invoices": BILLING,
    "stripe_requests": BILLING,
    **dict.fromkeys(
        (
            "auth",
            "addresses",
            "passwords",
            "sessions",
            "account",
            "data_exports",
            "two_factor",
            "access_keys",
            "api_keys",
            "devices",
            "notifications",
        ),
        (SIGNED_IN, SIGNED_IN),
    ),
}
ROUTES: dict[str, str] = {
    "expressions.evaluate": KeyScope.EXECUTIONS_READ,
    "auth.me": ANYBODY,
    "workflows.validate": KeyScope.WORKFLOWS_READ,
    "workflows.execute": KeyScope.EXECUTIONS_RUN,
    "workflows.runs": KeyScope.EXECUTIONS_READ,
    "workflows.metrics": KeyScope.EXECUTIONS_READ,
    "schedules.preview": KeyScope.WORKFLOWS_READ,
}

# A trial runs a graph of the caller's own with data of the caller's own, so it takes the right to change workflows too;
# and a schedule starts runs.
ALSO: dict[str, str] = {
    "trials.start": KeyScope.WORKFLOWS_WRITE,
    "schedules.create": KeyScope.EXECUTIONS_RUN,
    "schedules.update": KeyScope.EXECUTIONS_RUN,
}

# The scope for reading the response of a route that responds with an object of another blueprint.
READ_BY_ROUTE: dict[str, str] = {"workflows.execute": KeyScope.EXECUTIONS_READ}

# Fields of a response for a key without the scope to read the object: its id, its status, and where to go on.
ALWAYS_VISIBLE = frozenset(
    (
        *("id", "status", "version", "executionId", "statusUrl", "eventsUrl", "cancelUrl", "clientSecret"),
        *("success", "creditsCharged"),
    )
)

# Error codes whose documents quote a stored object, and the scope for reading that.
QUOTING: dict[str, str] = {
    "invalid_graph": KeyScope.WORKFLOWS_READ,
    "confirmation_required": KeyScope.EXECUTIONS_READ,
    "precondition_failed": KeyScope.WORKFLOWS_READ,
}
QUOTES = frozenset({"errors", "workflow", "schedule"})  # the members that quote it
# Routes whose requests may contain the whole graph, which then is the caller's own and not a stored one.
SAVING = frozenset({"workflows.create", "workflows.update", "trials.start"})
GRAPH = frozenset({"nodes", "connections"})


class InsufficientScope(Forbidden):
    """The access key lacks the scope for this."""

    code = "insufficient_scope"


def require(granted: frozenset[str]) -> None:
    """Check that an access key allows the route of this request; raises `InsufficientScope`."""
    needed = needed_for(request.endpoint or "", request.method)
    if needed == SIGNED_IN:
        raise InsufficientScope("Access keys cannot be used here: sign in and use that token.")
    also = ALSO.get(request.endpoint or "", needed)
    if missing := sorted({needed, also} - {ANYBODY} - granted):
        raise InsufficientScope(f"This access key lacks the scope {missing[0]}.")


def reduce(response: Response, granted: frozenset[str]) -> None:
    """Remove from the response to a change what these scopes do not allow to read, and name the missing scope."""
    if response.status_code >= 400:
        _reduce_error(response, granted)
        return
    needed = read_by(request.endpoint or "")
    if request.method in ("GET", "HEAD", "OPTIONS") or needed in granted:
        return
    document = response.get_json(silent=True)
    if document is not None:
        response.set_data(encode(_visible_fields(document)))
        response.headers[MISSING_SCOPE] = needed


def _reduce_error(response: Response, granted: frozenset[str]) -> None:
    """Remove the sentence and the fields that quote a stored object, and name the scope for reading them."""
    problem = response.get_json(silent=True) or {}
    needed = QUOTING.get(problem.get("code", ""))
    if needed is None or needed in granted or _sent_by_caller(problem["code"]):
        return
    sentence = f"{problem['title']}. The access key needs the scope {needed} to see the details."
    kept = {name: value for name, value in problem.items() if name not in QUOTES}
    response.set_data(encode(kept | {"detail": sentence, "message": sentence}))
    response.headers[MISSING_SCOPE] = needed


def _sent_by_caller(code: str) -> bool:
    if code != "invalid_graph":
        return False
    body = request.get_json(silent=True)
    return request.endpoint in SAVING and isinstance(body, dict) and body.keys() >= GRAPH


def read_by(endpoint: str) -> str:
    """The scope for reading the response of a route after a change."""
    reading, _ = RESOURCES.get(endpoint.partition(".")[0], (SIGNED_IN, SIGNED_IN))
    return READ_BY_ROUTE.get(endpoint, reading)


def _visible_fields(document: Any) -> Any:
    """Keep the fields in `ALWAYS_VISIBLE`, of the document and of the objects in it."""
    if isinstance(document, list):
        return [_visible_fields(item) for item in document]
    if not isinstance(document, Mapping):
        return None
    visible = {name: value for name, value in document.items() if name in ALWAYS_VISIBLE}
    objects = {name: _visible_fields(value) for name, value in document.items() if isinstance(value, Mapping)}
    return visible | {name: value for name, value in objects.items() if value}


def needed_for(endpoint: str, method: str) -> str:
    """The scope that a route needs; `SIGNED_IN` if it is closed to access keys."""
    reading, writing = RESOURCES.get(endpoint.partition(".")[0], (SIGNED_IN, SIGNED_IN))
    return ROUTES.get(endpoint, reading if method in ("GET", "HEAD") else writing)
