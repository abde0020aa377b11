"""Idempotency-Key: a POST that is sent again with the same key has one effect and gets the first response again.

The response is stored in the transaction of the effect, so there is never one without the other. Errors are not
stored: they had no effect, and the same request may succeed later.
"""

import hashlib
import re
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec
from uuid import UUID

from flask import Response, g, make_response, request
from flask.typing import ResponseReturnValue
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api.auth.authenticate import current_user
from api.http.json import encode
from api.http.session import db
from api.jobs.prefer_wait import awaited, expect
from models.errors import Conflict, FieldError, InvalidInput
from models.tables import IdempotencyKey

KEY = re.compile(r"[\x21-\x7e]{1,255}")
KEPT_HEADERS = ("ETag", "Location", "Retry-After")

P = ParamSpec("P")


class KeyReused(InvalidInput):
    """The Idempotency-Key was used for another request."""

    code = "idempotency_key_reused"


class StillInProgress(Conflict):
    """The first request with this key is still in progress."""

    code = "idempotency_in_progress"


def idempotent(view: Callable[P, ResponseReturnValue]) -> Callable[P, ResponseReturnValue]:
    """Decorate a view to honour `Idempotency-Key`. Put it below `signed_in`, because keys belong to users."""

    @wraps(view)
    def once(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
        key = request.headers.get("Idempotency-Key")
        if key is None:
            return view(*args, **kwargs)
        if not KEY.fullmatch(key):
            field = FieldError("Idempotency-Key", "Must be 1 to 255 printable characters without spaces.")
            raise InvalidInput("The Idempotency-Key cannot be used.", errors=[field])
        if first := _first_response(db(), key):
            return first
        response = make_response(view(*args, **kwargs))
        if response.status_code < 400:
            _remember(db(), key, response)
        return response

    vars(once)["idempotent"] = True  # `wraps` copies this mark to outer decorators
    return once


def effect_key(user_id: UUID) -> str | None:
    """A permanent key for the effect of this request, from its `Idempotency-Key`; None without one."""
    key = request.headers.get("Idempotency-Key")
    return key and hashlib.sha256(f"{user_id}:{request.path}:{key}".encode()).hexdigest()


def once_only(*names: str) -> None:
    """Do not store these fields of this request's response; a repeat gets null for them."""
    g.once_only = names


def _first_response(session: Session, key: str) -> Response | None:
    """The stored response, or None if this request is the first.

    Raises:
        StillInProgress: the first request with this key has not ended.
        KeyReused: the key was used for another request.
    """
    user_id = current_user().id
    lock = func.pg_try_advisory_xact_lock(func.hashtextextended(f"{user_id}:{key}", 0))
    if not session.scalar(select(lock)):
        raise StillInProgress("A request with this Idempotency-Key is still in progress.")
    row = session.get(IdempotencyKey, (user_id, key))
    if row is None:
        return None
    if row.fingerprint != _fingerprint():
        raise KeyReused("This Idempotency-Key was used for another request.")
    if waits_for := row.response.get("waitsFor"):
        expect(UUID(waits_for))  # the job that was accepted may be done by now, and its result is the response
    response = Response(encode(row.response["body"]), row.status, row.response["headers"], mimetype="application/json")
    response.headers["Idempotent-Replayed"] = "true"
    return response


def _remember(session: Session, key: str, response: Response) -> None:
    headers = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
    waits_for = {"waitsFor": str(awaited())} if awaited() else {}
    body = response.get_json()
    hidden = dict.fromkeys(g.get("once_only", ()))
    session.add(
        IdempotencyKey(
            user_id=current_user().id,
            key=key,
            fingerprint=_fingerprint(),
            status=response.status_code,
            response={"body": {**body, **hidden} if hidden else body, "headers": headers, **waits_for},
        )
    )
    session.flush()


def _fingerprint() -> str:
    """The fingerprint of a request: method, path without the prefix, and body."""
    return hashlib.sha256(b"\n".join((request.method.encode(), request.path.encode(), request.get_data()))).hexdigest()
