"""Runs as clients that wait for them see them, read for many clients at once; each is built once for all of them."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

import orjson
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from api.http.json import encode
from api.http.parsing import show
from api.live.execution_document import document
from api.live.run_heads import Extent, head
from api.schemas.executions.executions import LogOut
from models.errors import NotFound
from models.raw_statement import reading_scope
from models.rules.executions.states import ExecutionStatus
from models.serialization import Json
from models.services.executions import executions, snapshots
from models.services.executions.change_tags import ChangeTag, owned_tags
from models.services.executions.executions import ExecutionSnapshot, Recorded, WaitStatus
from models.services.executions.snapshots import LogPosition, OwnedRun
from models.tables import Execution, User

PAGE = 500  # events sent at a time


@dataclass(frozen=True)
class RunDetail:
    """A run at one moment with all that is shown of it."""

    run: Execution  # a read-only copy
    wait_status: WaitStatus | None  # None for a driven run, whose wait status only the document has
    below: tuple[int, Decimal] | None  # the number of runs below it, and their credits
    document: Callable[[], Json]


class OwnedRuns(NamedTuple):
    """Some runs that a client waits for, and who it is."""

    owner_id: UUID
    run_ids: frozenset[UUID]


class NewsQuery(NamedTuple):
    """What a client wants to know of a run: the document unless it knows `status`, and the events after `after`."""

    asked: OwnedRun
    status: ExecutionStatus | None
    after: int | None


@dataclass(frozen=True)
class RunNews:
    """What is new of a run; the document is None if the client knows the run's status."""

    run: Execution  # a read-only copy
    document: Json
    events: Sequence[tuple[int, Json]]  # by seq, at most a page


def detail(session: Session, owner: User, execution_id: UUID) -> RunDetail:
    """A run of `owner` for one client; its document is built if it is asked for. Raises `NotFound`."""
    snapshot, extent, undriven, driven, recorded = head(session, owner, execution_id)
    if extent < Extent.STATUS:
        undriven = executions.undriven_status(session, snapshot.run, snapshot.at)
    below = executions.below(session, execution_id) if snapshot.has_children else None
    return RunDetail(snapshot.run, undriven, below, lambda: document(session, snapshot, undriven or driven, recorded))


def load_tags(asked: Collection[OwnedRuns]) -> Mapping[OwnedRuns, Mapping[UUID, ChangeTag]]:
    """The change tags of the runs of many clients; without the runs that they do not have."""
    owned = {one: [OwnedRun(one.owner_id, run_id) for run_id in one.run_ids] for one in asked}
    with reading_scope() as session:
        found = owned_tags(session, {run for runs in owned.values() for run in runs})
    return {one: {run.run_id: found[run] for run in runs if run in found} for one, runs in owned.items()}


def load_details(asked: Collection[OwnedRun]) -> Mapping[OwnedRun, RunDetail | Exception]:
    """The runs for many clients; an error in place of those that they do not have."""
    with reading_scope() as session:
        found = snapshots.get_many(session, asked)
        details = _details(session, found.values())
        missing = {one: executions.missing(session, *one) for one in asked if one not in found}
    return missing | {one: details[one.run_id] for one in found}


def load_news(queries: Collection[NewsQuery]) -> Mapping[NewsQuery, RunNews | Exception]:
    """The news for many clients; an error in place of those of runs that they do not have."""
    with reading_scope() as session:
        found = snapshots.get_many(session, {query.asked for query in queries})
        known = {query: found[query.asked] for query in queries if query.asked in found}
        details = _details(session, (one for query, one in known.items() if one.run.status != query.status))
        events = _events(session, known)
        missing = {query: executions.missing(session, *query.asked) for query in queries if query not in known}
    return missing | {query: _news(query, one, details, events) for query, one in known.items()}


def _details(session: Session, asked: Iterable[ExecutionSnapshot]) -> Mapping[UUID, RunDetail | Exception]:
    """The runs by id, with a query for all of them of each kind."""
    found = {snapshot.run.id: snapshot for snapshot in asked}
    if not found:
        return {}
    runs = [snapshot.run for snapshot in found.values()]
    undriven = executions.undriven_statuses(session, runs, max(snapshot.at for snapshot in found.values()))
    driven = executions.driven_statuses(session, [run for run in runs if undriven.get(run.id) is None])
    recorded = executions.recorded_many(session, runs)
    return {
        run_id: _detail(session, snapshot, undriven.get(run_id), driven.get(run_id), recorded.get(run_id))
        for run_id, snapshot in found.items()
    }


def _detail(
    session: Session,
    snapshot: ExecutionSnapshot,
    undriven: WaitStatus | None,
    driven: WaitStatus | None,
    recorded: Recorded | None,
) -> RunDetail | Exception:
    if recorded is None:  # deleted since the snapshot
        return NotFound("execution")
    try:
        below = executions.below(session, snapshot.run.id) if snapshot.has_children else None
        shown = orjson.Fragment(encode(document(session, snapshot, undriven or driven, recorded)))
    except DBAPIError:
        raise  # the transaction is over, for the other runs too
    except Exception as error:  # of this run; the others are shown
        return error
    return RunDetail(snapshot.run, undriven, below, lambda: shown)


def _events(
    session: Session, known: Mapping[NewsQuery, ExecutionSnapshot]
) -> Mapping[LogPosition, Sequence[tuple[int, Json]]]:
    """The new events by position. A run is read before its events, so that its last one is among them."""
    positions = {
        LogPosition(query.asked.run_id, query.after)
        for query, snapshot in known.items()
        if query.after is not None and query.after < snapshot.run.last_seq
    }
    found = snapshots.events_after(session, positions, limit=PAGE)
    return {
        position: [(event.seq, orjson.Fragment(encode(show(LogOut, event)))) for event in events]
        for position, events in found.items()
    }


def _news(
    query: NewsQuery,
    snapshot: ExecutionSnapshot,
    details: Mapping[UUID, RunDetail | Exception],
    events: Mapping[LogPosition, Sequence[tuple[int, Json]]],
) -> RunNews | Exception:
    run = snapshot.run
    new = () if query.after is None else events.get(LogPosition(run.id, query.after), ())
    if run.status == query.status:
        return RunNews(run, None, new)
    detail = details[run.id]
    return detail if isinstance(detail, Exception) else RunNews(run, detail.document(), new)
