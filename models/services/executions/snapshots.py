"""Snapshots and new events of many runs, for clients that wait for them: one query each for all of these clients."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.orm import Session

from models.raw_statement import PreparedStatement, columns, copied
from models.services.executions.executions import ExecutionSnapshot
from models.tables import Execution, ExecutionEvent

# Each run is looked up by itself, whatever PostgreSQL knew of the table when it planned this: OFFSET keeps it from
# reading the whole table for some runs, and LIMIT from reading all child runs to find out who has any.
_SNAPSHOTS = PreparedStatement(
    """
    SELECT asked.owner, clock_timestamp(),
           (SELECT true FROM workflow_executions c
             WHERE c.parent_execution_id = workflow_executions.id LIMIT 1) IS TRUE,
           COLUMNS
      FROM unnest(CAST(:owners AS uuid[]), CAST(:ids AS uuid[])) AS asked(owner, id)
     CROSS JOIN LATERAL (SELECT * FROM workflow_executions
                          WHERE id = asked.id AND user_id = asked.owner AND expired_at IS NULL OFFSET 0)
        AS workflow_executions
""",
    COLUMNS=", ".join(map(str, columns(Execution))),
)
_EVENTS = PreparedStatement(
    """
    SELECT asked.after, COLUMNS
      FROM unnest(CAST(:ids AS uuid[]), CAST(:after AS bigint[])) AS asked(id, after)
     CROSS JOIN LATERAL (SELECT * FROM execution_events
                          WHERE execution_id = asked.id AND seq > asked.after ORDER BY seq LIMIT :limit)
        AS execution_events
     ORDER BY execution_events.seq
""",
    COLUMNS=", ".join(map(str, columns(ExecutionEvent))),
)


class OwnedRun(NamedTuple):
    """A run that somebody asks for, and who."""

    owner_id: UUID
    run_id: UUID


class LogPosition(NamedTuple):
    """A place in the log of a run: after the event with the seq `after`."""

    run_id: UUID
    after: int


def get_many(session: Session, asked: Collection[OwnedRun]) -> Mapping[OwnedRun, ExecutionSnapshot]:
    """Read-only snapshots of the runs that belong to those who ask; the others are left out."""
    if not asked:
        return {}
    owners, ids = zip(*asked, strict=True)
    rows = _SNAPSHOTS.rows(session, {"owners": list(owners), "ids": list(ids)})
    snapshots = ((owner, ExecutionSnapshot(copied(Execution, row), at, has)) for owner, at, has, *row in rows)
    return {OwnedRun(owner, snapshot.run.id): snapshot for owner, snapshot in snapshots}


def events_after(
    session: Session, asked: Collection[LogPosition], *, limit: int
) -> Mapping[LogPosition, Sequence[ExecutionEvent]]:
    """The events after each position, oldest first, at most `limit` of each. Ask only for runs of their owners."""
    found: defaultdict[LogPosition, list[ExecutionEvent]] = defaultdict(list)
    if asked:
        ids, after = zip(*asked, strict=True)
        for position, *row in _EVENTS.rows(session, {"ids": list(ids), "after": list(after), "limit": limit}):
            event = copied(ExecutionEvent, row)
            found[LogPosition(event.execution_id, position)].append(event)
    return found
