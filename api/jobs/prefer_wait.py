"""Prefer: wait. A call that needs Stripe is accepted and committed, and its response then waits for the result.

A waiting request holds nothing: no thread, no transaction, no connection. The client gets the 202 that was committed if
it does not want to wait, if too many requests wait already, if the database is unavailable or the process overloaded.
"""

import re
import time
from uuid import UUID

import structlog
from flask import Response, g, make_response, request
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from api.auth.authenticate import current_credential, current_user
from api.http import errors
from api.http.session import settle
from api.http.wait import Waits
from api.jobs.stripe_responses import stripe_response
from api.limits.concurrency import Overloaded
from api.live.long_poll import notifier
from models.db import session_scope
from models.errors import ForgeError, NotAuthenticated
from models.services.stripe import stripe_requests

log = structlog.get_logger(__name__)

DEFAULT_SECONDS, MAX_SECONDS = 10, 30
RETRY_SECONDS = "1"

_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?([0-9]{1,6})\"?\s*(?:[,;]|$)", re.IGNORECASE)
_ASYNC = re.compile(r"(?:^|[,;\s])respond-async\s*(?:[,;]|$)", re.IGNORECASE)


def accepted(
    request_id: UUID, address: str, body: dict[str, object], wait: int = DEFAULT_SECONDS
) -> ResponseReturnValue:
    """202 with the address to poll; after the commit the result replaces it if it comes within `wait` seconds.

    A caller's `Prefer` header takes precedence over `wait`.
    """
    expect(request_id, wait)
    return body, 202, {"Location": address, "Retry-After": RETRY_SECONDS}


def expect(request_id: UUID, wait: int = DEFAULT_SECONDS) -> None:
    """Let the response of this request wait for the result of that Stripe request."""
    g.awaited = request_id
    g.prefer_wait = wait


def awaited() -> UUID | None:
    """The id of the Stripe request that this request's response waits for."""
    request_id: UUID | None = g.get("awaited")
    return request_id


def preferred_wait(header: str | None, default: int) -> int:
    """Seconds to wait at most by a `Prefer: wait=N` header (RFC 7240); other headers leave the `default`."""
    if header is None:
        return default
    if found := _WAIT.search(header):
        return min(int(found[1]), MAX_SECONDS)
    return 0 if _ASYNC.search(header) else default


def await_result(response: Response) -> Response | Waits[Response]:
    """The response after its view: one that waits for a Stripe request is committed, and its result may replace it."""
    if awaited() is None or response.status_code != 202:
        return response
    return _result_of(response)


def _result_of(accepted: Response) -> Waits[Response]:
    request_id, response = awaited(), settle(accepted)
    if request_id is None or response.status_code != 202:
        return response
    seconds = preferred_wait(", ".join(request.headers.getlist("Prefer")) or None, g.prefer_wait)
    try:
        end = yield from _end_of(request_id, seconds)
    except (OperationalError, InterfaceError, PoolTimeout, Overloaded) as error:
        log.warning("prefer_wait.ended", stripe_request_id=str(request_id), error=type(error).__name__)
        return response
    if end is not None and "Idempotent-Replayed" in response.headers:
        end.headers["Idempotent-Replayed"] = response.headers["Idempotent-Replayed"]
    return end or response


def _end_of(request_id: UUID, seconds: int) -> Waits[Response | None]:
    """The final response, or None if there is none within `seconds`."""
    end = _read(request_id)
    if end is None and seconds:
        end = yield from _wait(request_id, seconds)
    return end


def _wait(request_id: UUID, seconds: int) -> Waits[Response | None]:
    until = time.monotonic() + seconds
    with notifier().subscribe(
        current_user().id, current_credential(), [request_id], stripe_requests.finish_times
    ) as subscription:
        end = _read(request_id)
        while end is None and subscription and not subscription.is_closed and (left := until - time.monotonic()) > 0:
            yield subscription.changed({request_id: None}, left)
            subscription.take_wake()
            end = _read(request_id)
        if end is None and subscription and subscription.is_signed_out:
            return errors.response(NotAuthenticated("Your session or access key is over: sign in again."))
        return end


def _read(request_id: UUID) -> Response | None:
    with session_scope() as session:
        try:
            response = stripe_response(stripe_requests.get(session, current_user(), request_id))
        except ForgeError as error:
            return errors.response(error)
        return None if response is None else make_response(response)
