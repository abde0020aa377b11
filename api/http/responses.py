"""Responses with special statuses: 202 Accepted and 304 Not Modified."""

from collections.abc import Callable
from typing import Any

from flask import Response, request, url_for
from flask.typing import ResponseReturnValue

from api.http.json import encode
from models.tables import Execution

POLL_SECONDS = "2"


def accepted(execution: Execution, **more: Any) -> ResponseReturnValue:
    """202 with the addresses of the run; `more` is added to the body."""
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


def unless_known(tag: str, make: Callable[[], Any], *, weak: bool = True) -> Response:
    """304 if the client has the version `tag` already, otherwise the result of `make` with that ETag."""
    known = request.if_none_match.contains_weak(tag)
    response = Response(status=304) if known else Response(encode(make()), mimetype="application/json")
    response.set_etag(tag, weak=weak)
    response.headers["Cache-Control"] = "private, no-cache"
    return response
