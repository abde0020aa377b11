"""Long polls: the response comes when the run changes, or when the client's time is over.

A waiting client holds nothing: no thread, no transaction, no connection, no concurrency slot. If no subscription is
free or the process shuts down, the response comes at once, with Retry-After.
"""

import hashlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from flask import Response, current_app, request
from werkzeug.exceptions import HTTPException

from api.auth.authenticate import current_credential, current_user
from api.http.json import encode
from api.http.paging import page
from api.http.parsing import show
from api.http.responses import unless_known
from api.http.session import close, db, on_replica
from api.http.wait import Read, Waits
from api.live.change_notifier import ChangeNotifier, ChangeSubscription
from api.live.execution_document import NO_SLOT_SECONDS, retry_after
from api.live.run_views import OwnedRuns, RunDetail, detail, load_details, load_tags
from api.schemas.executions.executions import ExecutionOut
from models.errors import NotAuthenticated
from models.rules.executions.states import TERMINAL
from models.services.executions import executions
from models.services.executions.change_tags import ChangeTag, change_tags
from models.services.executions.snapshots import OwnedRun
from models.tables import Execution

AT_ONCE, AFTER_CHANGE = 0, 1  # seconds until the next long poll: a run that changes constantly is sent once a second

ChangeTags = Mapping[UUID, ChangeTag]


class ClientDisconnected(HTTPException):
    """The client disconnected; only the logs show this status."""

    code = 499


def notifier() -> ChangeNotifier:
    """The change notifier of this process."""
    notifier: ChangeNotifier = current_app.extensions["change_notifier"]
    return notifier


def poll(execution_id: UUID, *, wait: int, since: int | None) -> Waits[Response]:
    """Respond with the run, after at most `wait` seconds: as soon as it has events after `since`, or another ETag."""
    changed = Read(load_details, OwnedRun(current_user().id, execution_id))
    pause, found = yield from _wait(
        [execution_id], wait, lambda first, now: _has_changed(first[execution_id], now[execution_id], since), changed
    )
    shown = found or detail(db(), current_user(), execution_id)
    tag = f"{ChangeTag.of(shown.run).text}-{_digest(shown.run.updated_at, shown.wait_status, shown.below)}"
    response = unless_known(tag, shown.document)
    close()  # nothing was written, and closing costs less than a commit
    if shown.run.status not in TERMINAL:
        position = shown.wait_status.queue_position if shown.wait_status else None
        response.headers["Retry-After"] = str(retry_after(shown.run, position) if pause is None else pause)
    return response


def poll_list(*, wait: int, **args: Any) -> Waits[Response]:
    """Respond with a page of the caller's runs, after at most `wait` seconds: as soon as one of `ids` changes."""
    pause, _ = yield from _wait(
        args["ids"] or (), wait, lambda first, now: _any_changed(first, now) or _is_other_page(args)
    )
    if pause is None:
        return on_replica(lambda: _list(args))
    response = _list(args)
    response.headers["Retry-After"] = str(pause)
    return response


def _list(args: dict[str, Any]) -> Response:
    rows = executions.list_owned(db(), current_user(), **args)
    return unless_known(
        _tag_of(rows),
        lambda: page("executions", show(ExecutionOut, rows, many=True), rows, args),
    )


def _any_changed(first: ChangeTags, now: ChangeTags) -> bool:
    return now != first or all(tag.status in TERMINAL for tag in now.values())


def _is_other_page(args: dict[str, Any]) -> bool:
    """Whether the page differs from the one that the client has; the page may lack some of the runs it named."""
    known = request.if_none_match
    return bool(known) and not known.contains_weak(_tag_of(executions.list_owned(db(), current_user(), **args)))


def _tag_of(runs: Sequence[Execution]) -> str:
    return _digest(*sorted((run.id.hex, ChangeTag.of(run).text, run.updated_at) for run in runs))


def _digest(*values: object) -> str:
    return hashlib.blake2b(encode(values), digest_size=16).hexdigest()


def _wait(
    ids: Collection[UUID],
    seconds: int,
    has_changed: Callable[[ChangeTags, ChangeTags], bool],
    changed: Read | None = None,
) -> Waits[tuple[int | None, RunDetail | None]]:
    """Wait until the caller's runs `ids` change, at most `seconds`.

    Returns:
        Seconds until the client should poll again, None if it did not wait; and the run, if `changed` has read it.
    """
    if not seconds:
        return None, None
    tags = Read(load_tags, OwnedRuns(current_user().id, frozenset(ids)))
    with _slot(ids) as subscription:
        until = time.monotonic() + seconds
        first = now = yield tags
        found: RunDetail | None = None
        while now and not has_changed(first, now):
            if subscription is None:
                return NO_SLOT_SECONDS, None
            left = until - time.monotonic()
            if left <= 0 or subscription.is_closed:
                return AT_ONCE, None
            close()
            found = yield subscription.changed(now, left, then=changed)
            subscription.take_wake()
            now = {found.run.id: ChangeTag.of(found.run)} if found else (yield tags)
        return AFTER_CHANGE, found


@contextmanager
def _slot(ids: Collection[UUID]) -> Iterator[ChangeSubscription | None]:
    with notifier().subscribe(current_user().id, current_credential(), ids, change_tags) as subscription:
        yield subscription
        if subscription and subscription.is_disconnected:
            raise ClientDisconnected
        if subscription and subscription.is_signed_out:
            raise NotAuthenticated("Your session or access key is over: sign in again.")


def _has_changed(first: ChangeTag, now: ChangeTag, since: int | None) -> bool:
    """Whether the client does not know this tag yet; true for an ended run, which does not change any more."""
    if now.status in TERMINAL or now != first:
        return True
    if since is not None:
        return now.seq > since
    known = request.if_none_match.as_set(include_weak=True) - {None}  # an empty tag is parsed as None
    return bool(known) and not any(tag.startswith(f"{now.text}-") for tag in known)
