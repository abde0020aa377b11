"""Long polls: a run is answered when it changed since the client last heard of it, or when the client's time is over.

While a client waits, nothing is held but its thread: no transaction, no connection, no place among those who work. A
client that finds no place to wait, or comes while the process stops, is answered at once and told when to come back.
"""

import hashlib
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from flask import Response, current_app, request
from werkzeug.exceptions import HTTPException

from api.answers import unless_known
from api.auth import current_user
from api.bodies import show
from api.concurrency import away
from api.hub import Hub, Waiter
from api.json import encode
from api.pacing import BUSY, seconds_until_news
from api.paging import page
from api.runs import document
from api.schemas.executions import ExecutionOut
from api.session import close, db
from models.execution import Execution
from models.rules.states import TERMINAL
from models.services import executions
from models.services.run_versions import Version, versions

AT_ONCE, AFTER_NEWS = 0, 1  # seconds until the next long poll: a run that changes all the time is told once a second

Versions = dict[UUID, Version]


class ClientGone(HTTPException):
    """Nobody hears this answer; the logs have its status."""

    code = 499


def hub() -> Hub:
    """Where clients of this process wait."""
    found: Hub = current_app.extensions["hub"]
    return found


def watch(execution_id: UUID, *, wait: int, since: int | None) -> Response:
    """The run, with `wait` as soon as it has news for this client: events after `since`, or another ETag."""
    pause = _wait([execution_id], wait, lambda first, now: _is_news(first[execution_id], now[execution_id], since))
    seen = executions.look(db(), current_user(), execution_id)
    run, standing = seen.run, executions.at_rest(db(), seen.run, seen.at)
    below = executions.below(db(), run.id) if seen.has_children else None
    tag = f"{Version.of(run).tag}-{_digest(run.updated_at, standing, below)}"
    response = unless_known(tag, lambda: document(db(), seen, standing))
    close()  # nothing was written, and giving the connection back costs less than to commit
    if run.status not in TERMINAL:
        place = standing and standing.queue_position
        response.headers["Retry-After"] = str(seconds_until_news(run, place) if pause is None else pause)
    return response


def watch_list(*, wait: int, **args: Any) -> Response:
    """A page of the caller's runs; with `wait` and `ids`, as soon as one of these has news: another ETag."""
    pause = _wait(args["ids"] or (), wait, lambda first, now: _are_news(first, now) or _is_other_page(args))
    rows = executions.list_owned(db(), current_user(), **args)
    response = unless_known(
        _tag_of(rows),
        lambda: page("executions", show(ExecutionOut, rows, many=True), rows, args),
    )
    if pause is not None:
        response.headers["Retry-After"] = str(pause)
    return response


def _are_news(first: Versions, now: Versions) -> bool:
    return now != first or all(version.status in TERMINAL for version in now.values())


def _is_other_page(args: dict[str, Any]) -> bool:
    """Whether the client knows another page than there is; it may have named more runs than are on it."""
    known = request.if_none_match
    return bool(known) and not known.contains_weak(_tag_of(executions.list_owned(db(), current_user(), **args)))


def _tag_of(runs: Sequence[Execution]) -> str:
    return _digest(*sorted((run.id.hex, Version.of(run).tag, run.updated_at) for run in runs))


def _digest(*told: object) -> str:
    return hashlib.blake2b(encode(told), digest_size=16).hexdigest()


def _wait(ids: Collection[UUID], seconds: int, is_news: Callable[[Versions, Versions], bool]) -> int | None:
    """Until there is news of the caller's runs `ids`, at most so long; answers when to ask again, None: as usual."""
    if not seconds:
        return None
    with _place(ids) as waiter:
        until = time.monotonic() + seconds
        first = now = versions(db(), ids, current_user())
        while now and not is_news(first, now):
            if waiter is None:
                return BUSY
            left = until - time.monotonic()
            if left <= 0 or waiter.must_leave:
                return AT_ONCE
            close()
            with away():
                waiter.sleep(now, left)
            now = versions(db(), ids, current_user())
        return AFTER_NEWS


@contextmanager
def _place(ids: Collection[UUID]) -> Iterator[Waiter | None]:
    line = request.environ.get("gunicorn.socket")
    with hub().waiting(current_user().id, ids, versions, line) as waiter:
        yield waiter
        if waiter and waiter.is_gone:
            raise ClientGone


def _is_news(first: Version, now: Version, since: int | None) -> bool:
    """Whether the client does not know this yet. What is over has no news, so there is nothing to wait for either."""
    if now.status in TERMINAL or now != first:
        return True
    if since is not None:
        return now.seq > since
    known = request.if_none_match.as_set(include_weak=True) - {None}  # what an empty tag is read as
    return bool(known) and not any(tag.startswith(f"{now.tag}-") for tag in known)
