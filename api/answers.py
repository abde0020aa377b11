"""The few answers that are more than a body: accepted for later, and unchanged since last time."""

from collections.abc import Callable
from typing import Any

from flask import Response, request, url_for
from flask.typing import ResponseReturnValue

from api.json import encode
from models.execution import Execution

POLL_SECONDS = "2"


def accepted(execution: Execution, **more: Any) -> ResponseReturnValue:
    """202, and where to look for what becomes of it; `more` is told besides."""
    status_url = url_for("executions.get", execution_id=execution.id)
    body = {
        "id": execution.id,
        "executionId": execution.id,
        "status": execution.status,
        "statusUrl": status_url,
        "eventsUrl": f"{status_url}/events",
        "cancelUrl": f"{status_url}/cancel",
    }
    return body | more, 202, {"Location": status_url, "Retry-After": POLL_SECONDS}


def unless_known(tag: str, make: Callable[[], Any]) -> Response:
    """304 when the client has this version already, otherwise what `make` returns, with its tag."""
    known = request.if_none_match.contains_weak(tag)
    response = Response(status=304) if known else Response(encode(make()), mimetype="application/json")
    response.set_etag(tag, weak=True)
    response.headers["Cache-Control"] = "private, no-cache"
    return response
