"""What an access key may do: one table, by resource and, where that is too coarse, by route.

A token of somebody who signed in may do everything that its user may. A key may do what its scopes say, and never
what concerns credentials, sessions, phones or administration. What is not in the table is not for keys.
"""

from flask import request

from models.access_key import Scope
from models.errors import Forbidden

SIGNED_IN = "signed in"  # for people, not for keys
ANYBODY = "anybody"  # for every key

WORKFLOWS = (Scope.WORKFLOWS_READ, Scope.WORKFLOWS_WRITE)
BILLING = (Scope.BILLING_READ, Scope.BILLING_WRITE)

# Blueprint: what reading it takes, and what everything else takes.
RESOURCES: dict[str, tuple[str, str]] = {
    "workflows": WORKFLOWS,
    "workflow_versions": WORKFLOWS,
    "templates": WORKFLOWS,
    "executions": (Scope.EXECUTIONS_READ, Scope.EXECUTIONS_RUN),
    "credits": (Scope.CREDITS_READ, SIGNED_IN),
    "usage": (Scope.CREDITS_READ, Scope.EXECUTIONS_RUN),
    "purchases": BILLING,
    "subscriptions": BILLING,
    "payment_methods": BILLING,
    "invoices": BILLING,
    "stripe_requests": BILLING,
    **dict.fromkeys(("auth", "passwords", "sessions", "access_keys", "api_keys", "devices"), (SIGNED_IN, SIGNED_IN)),
}
ROUTES: dict[str, str] = {
    "auth.me": ANYBODY,
    "workflows.validate": Scope.WORKFLOWS_READ,
    "workflows.execute": Scope.EXECUTIONS_RUN,
    "workflows.runs": Scope.EXECUTIONS_READ,
    "workflows.metrics": Scope.EXECUTIONS_READ,
}


class InsufficientScope(Forbidden):
    """The access key does not allow this."""

    code = "insufficient_scope"


def require(granted: frozenset[str]) -> None:
    """Refuse a key that does not allow the route of this request; raises `InsufficientScope`."""
    needed = needed_for(request.endpoint or "", request.method)
    if needed == SIGNED_IN:
        raise InsufficientScope("This is not for access keys: sign in.")
    if needed != ANYBODY and needed not in granted:
        raise InsufficientScope(f"This access key lacks the scope {needed}.")


def needed_for(endpoint: str, method: str) -> str:
    """The scope that a route takes."""
    reading, writing = RESOURCES.get(endpoint.partition(".")[0], (SIGNED_IN, SIGNED_IN))
    return ROUTES.get(endpoint, reading if method in ("GET", "HEAD") else writing)
