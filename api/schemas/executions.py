"""What is shown of runs, and how lists of them are asked for."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from marshmallow import ValidationError, fields, validate

from api.schemas.base import BIGINT_MAX, Credits, Flag, In, Out, PageQuery, Plain, Query, Whole
from models.execution import Execution
from models.rules.states import ExecutionStatus

MAX_IDS = 100
INTEGER_MAX = 2**31 - 1  # of a column


class Ids(fields.Field[list[UUID]]):
    """`a,b,c`: at most a hundred ids."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[UUID]:
        parts = [part.strip() for part in str(value).split(",") if part.strip()]
        if len(parts) > MAX_IDS:
            raise ValidationError(f"Must name at most {MAX_IDS} ids.")
        try:
            return [UUID(part) for part in parts]
        except ValueError:
            raise ValidationError("Must be ids, separated by commas.") from None


class ExecutionsQuery(PageQuery):
    """Which runs."""

    status = fields.Enum(ExecutionStatus, by_value=True, load_default=None)
    ids = Ids(load_default=None)


class LogsQuery(Query):
    """Which lines of a run's log: those after `after`, oldest first."""

    limit = Whole(low=1, high=1000, load_default=100)
    after = Whole(low=0, high=BIGINT_MAX, load_default=0)


class LinesQuery(PageQuery):
    """Which lines of a receipt."""

    limit = Whole(low=1, high=1000, load_default=50)


class ApprovalIn(In):
    """An answer; `path` names the iteration when the question is asked in a loop."""

    approved = Flag(required=True)
    comment = fields.String(load_default=None, allow_none=True, validate=validate.Length(max=2000))
    path = fields.String(load_default=None, allow_none=True, validate=validate.Length(max=64))


class VersionWish(fields.Field[int | str]):
    """A version's number, or `latest`."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int | str:
        is_number = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= INTEGER_MAX
        if value != "latest" and not is_number:
            raise ValidationError("Must be the number of a version, or `latest`.")
        return value


class RetryIn(In):
    """What the new run may cost, which nodes with `sideEffects: once` may act again, and which version runs."""

    max_credits = Credits(load_default=None, allow_none=True)
    version = VersionWish(load_default=None, allow_none=True)
    repeat = fields.List(fields.String(validate=validate.Length(max=64)), load_default=list)


class ResumeIn(In):
    """What the run may cost in all."""

    max_credits = Credits(required=True)


class ExecutionOut(Out):
    """A run as lists show it. `error` is a sentence; `errorDetails` has its code and node."""

    id = Plain()
    workflow_id = Plain()
    workflow_name = Plain()
    status = Plain()
    progress = Plain()
    nodes_executed = Plain()
    nodes_total = Plain()
    duration = fields.Function(lambda execution: duration(execution))
    start_time = fields.Function(lambda execution: execution.started_at or execution.created_at)
    end_time = Plain(attribute="finished_at")
    created_at = Plain()
    start_by = Plain()
    deadline = Plain(attribute="deadline_at")
    error = fields.Function(lambda execution: sentence(execution.error))
    error_details = Plain(attribute="error")
    credits_charged = Credits()
    max_credits = Credits(attribute="credits_cap")
    priority = Plain()
    waiting_for = Plain()
    seq = Plain(attribute="last_seq")


class ExecutionDetailOut(ExecutionOut):
    """A run with what went in and what came out."""

    input = Plain()
    output = Plain()


class NodeOut(Out):
    """How one node stands; one inside a loop tells how many of its `iterations` are done. `duration` in seconds."""

    id = fields.Function(lambda state: state.node_id)
    node_id = Plain()
    label = Plain()
    type = Plain()
    parent_id = Plain()
    status = Plain()
    attempts = Plain()
    port = Plain()
    output = Plain()
    error = Plain()
    credits = Credits()
    started_at = Plain()
    finished_at = Plain()
    duration = Plain()
    iterations = Plain()


class LineOut(Out):
    """One charge; `path` names the iteration and is empty at the top level."""

    node_id = Plain()
    label = Plain()
    type = Plain()
    path = Plain()
    attempts = Plain()
    price = Credits()
    charged_at = Plain()


class LogOut(Out):
    """One line of a run's log."""

    seq = Plain()
    at = Plain()
    type = Plain()
    level = Plain()
    node_id = Plain()
    path = Plain()
    message = Plain()
    data = Plain()


def duration(execution: Execution) -> float | None:
    """Seconds from start to end, or until now while it runs; None before it starts."""
    if execution.started_at is None:
        return None
    end = execution.finished_at or datetime.now(UTC)
    return round(max(0.0, (end - execution.started_at).total_seconds()), 3)


def sentence(error: Any) -> str | None:
    """The app shows a run's error as text."""
    if isinstance(error, dict):
        return str(error.get("message") or error.get("code") or "The run failed.")
    return None if error is None else str(error)
