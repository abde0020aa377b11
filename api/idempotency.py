"""Idempotency-Key: a POST that is sent again gets its first answer again, and acts once.

The answer is stored in the transaction of the effect, so there is never one without the other. Refusals are not
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

from api.auth import current_user
from api.json import encode
from api.session import db
from api.waiting import awaited, expect
from models.errors import Conflict, FieldError, InvalidInput
from models.idempotency import IdempotencyKey

KEY = re.compile(r"[\x21-\x7e]{1,255}")
KEPT_HEADERS = ("Location", "Retry-After")

P = ParamSpec("P")


class KeyReused(InvalidInput):
    """The same key came with another request."""

    code = "idempotency_key_reused"


class StillInProgress(Conflict):
    """The first request with this key has not been answered yet."""

    code = "idempotency_in_progress"


def idempotent(view: Callable[P, ResponseReturnValue]) -> Callable[P, ResponseReturnValue]:
    """The view honours `Idempotency-Key`; it stands below `signed_in`, because keys belong to users."""

    @wraps(view)
    def once(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
        key = request.headers.get("Idempotency-Key")
        if key is None:
            return view(*args, **kwargs)
        if not KEY.fullmatch(key):
            field = FieldError("Idempotency-Key", "Must be 1 to 255 printable characters without spaces.")
            raise InvalidInput("The Idempotency-Key cannot be used.", errors=[field])
        if first := _first_answer(db(), key):
            return first
        answer = make_response(view(*args, **kwargs))
        if answer.status_code < 400:
            _remember(db(), key, answer)
        return answer

    once.idempotent = True  # type: ignore[attr-defined]  # a mark that `wraps` hands on
    return once


def effect_key(user_id: UUID) -> str | None:
    """Names what this request does by its `Idempotency-Key`, for good; None without one."""
    key = request.headers.get("Idempotency-Key")
    return key and hashlib.sha256(f"{user_id}:{request.path}:{key}".encode()).hexdigest()


def once_only(*names: str) -> None:
    """Keep these fields of this request's answer out of what is stored: a repeat gets null in their place."""
    g.once_only = names


def _first_answer(session: Session, key: str) -> Response | None:
    """The stored answer, or None when this request is the first; whoever comes while it is worked on is sent away."""
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
        expect(UUID(waits_for))  # what was accepted then may be done by now, and its end is the answer
    answer = Response(encode(row.response["body"]), row.status, row.response["headers"], mimetype="application/json")
    answer.headers["Idempotent-Replayed"] = "true"
    return answer


def _remember(session: Session, key: str, answer: Response) -> None:
    headers = {name: answer.headers[name] for name in KEPT_HEADERS if name in answer.headers}
    waits_for = {"waitsFor": str(awaited())} if awaited() else {}
    body = answer.get_json()
    hidden = dict.fromkeys(g.get("once_only", ()))
    session.add(
        IdempotencyKey(
            user_id=current_user().id,
            key=key,
            fingerprint=_fingerprint(),
            status=answer.status_code,
            response={"body": {**body, **hidden} if hidden else body, "headers": headers, **waits_for},
        )
    )
    session.flush()


def _fingerprint() -> str:
    """What makes two requests the same: method, path whatever the prefix, and body."""
    return hashlib.sha256(b"\n".join((request.method.encode(), request.path.encode(), request.get_data()))).hexdigest()
