"""Lists a user's runs: filtered by state, workflow, time and tag, and searched by their texts.

The index for searching has only the runs with an error or with tags, so that most runs cost nothing there; every other
run is found by the name of its workflow. Each entry has the owner's id among its words, so a search reads the
intersection with the owner's runs.
"""

import re
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, cast, false, func, literal, literal_column, or_, select
from sqlalchemy.dialects.postgresql import TSQUERY
from sqlalchemy.orm import Session, defer

from models.rules.executions.states import ExecutionStatus
from models.services.rows.queries import Position, newest_first
from models.services.workflows import workflows
from models.tables import SEARCHED, SEARCHED_RUNS, Execution, User, Workflow

MAX_NAMED = 200  # workflows whose names a search may match

_DOCUMENT: ColumnElement[Any] = literal_column(SEARCHED)
_IS_SEARCHED: ColumnElement[bool] = literal_column(f"({SEARCHED_RUNS})")


def list_owned(
    session: Session,
    owner: User,
    *,
    workflow_id: UUID | None = None,
    status: ExecutionStatus | None = None,
    among: Collection[ExecutionStatus] | None = None,
    ids: Collection[UUID] | None = None,
    parent_execution_id: UUID | None = None,
    schedule_id: UUID | None = None,
    trial: bool | None = None,
    query: str | None = None,
    tag: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 50,
    offset: int = 0,
    after: Position | None = None,
) -> Sequence[Execution]:
    """A page of `owner`'s runs, newest first, without their inputs and outputs.

    `trial` is whether they are trials of one node. `query` is words that begin words of the error, the workflow's name
    or a tag, all of them; `since` and `until` limit the time of submission, without `until` itself.

    Raises `NotFound` for a workflow of another user; `ids` of other users' runs are ignored.
    """
    found = owned(owner).options(defer(Execution.input, raiseload=True), defer(Execution.output, raiseload=True))
    if workflow_id is not None:
        workflows.check_owned(session, owner, workflow_id)
    equal = {
        Execution.workflow_id: workflow_id,
        Execution.status: status,
        Execution.parent_execution_id: parent_execution_id,
        Execution.schedule_id: schedule_id,
    }
    found = found.where(*(column == value for column, value in equal.items() if value is not None))
    for column, values in ((Execution.id, ids), (Execution.status, among)):
        if values is not None:
            found = found.where(column.in_(values))
    if trial is not None:
        found = found.where(Execution.tried_node_id.is_not(None) == trial)
    if since is not None:
        found = found.where(Execution.created_at >= since)
    if until is not None:
        found = found.where(Execution.created_at < until)
    if tag is not None:
        found = found.where(_has_tag(owner, tag))
    if query is not None:
        found = found.where(_matches(session, owner, query))
    return session.scalars(newest_first(found, Execution, limit=limit, offset=offset, after=after)).all()


def owned(owner: User) -> Select[tuple[Execution]]:
    """The runs of `owner` that have not expired."""
    return select(Execution).where(Execution.user_id == owner.id, Execution.expired_at.is_(None))


def _has_tag(owner: User, tag: str) -> ColumnElement[bool]:
    words = func.phraseto_tsquery("simple", tag)
    return and_(_is_found(owner, words), Execution.tags.contains([tag]))


def _matches(session: Session, owner: User, query: str) -> ColumnElement[bool]:
    words = _beginnings(query)
    if words is None:
        return false()
    is_named = func.to_tsvector("simple", Workflow.name).op("@@")(words)
    named = (
        select(Workflow.id)
        .where(Workflow.user_id == owner.id, Workflow.deleted_at.is_(None), is_named)
        .limit(MAX_NAMED)
    )
    workflow_ids = session.scalars(named).all()
    found = _is_found(owner, words)
    return or_(found, Execution.workflow_id.in_(workflow_ids)) if workflow_ids else found


def _is_found(owner: User, words: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether the index has the run under these words, and under its owner."""
    mine = cast(literal(f"'owner {owner.id}'"), TSQUERY)
    return and_(_IS_SEARCHED, _DOCUMENT.op("@@")(mine.op("&&")(words)))


def _beginnings(query: str) -> ColumnElement[str] | None:
    """The query for words that begin like those in `query`; None if there are none."""
    words = [word for word in query.split() if re.search(r"\w", word)]
    quoted = ("'" + word.replace("\\", "\\\\").replace("'", "''") + "':*" for word in words)
    return func.to_tsquery("simple", " & ".join(quoted)) if words else None
