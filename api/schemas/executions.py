"""What is shown of runs, and how lists of them are asked for."""

from typing import Any
from uuid import UUID

from marshmallow import ValidationError, fields, validate

from api.schemas.base import (
    BIGINT_MAX,
    SOMETIMES,
    Count,
    Credits,
    Flag,
    Id,
    In,
    Number,
    Out,
    PageQuery,
    Plain,
    Query,
    Text,
    Thing,
    Time,
    Truth,
    Whole,
    Word,
)
from api.schemas.told import duration, glance, sentence
from api.schemas.versions import VersionWish
from models.rules.pricing import Priority
from models.rules.states import ExecutionStatus, NodeStatus

MAX_IDS = 100


class Ids(fields.Field[list[UUID]]):
    """`a,b,c`: at most a hundred ids."""

    shape = Text.shape

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
    parent_execution_id = fields.UUID(load_default=None)


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

    id = Id()
    workflow_id = Id()
    workflow_name = Text()
    parent_execution_id = Id(allow_none=True)
    parent_node_id = Text(allow_none=True)
    parent_path = Text(allow_none=True)
    status = Word(ExecutionStatus)
    progress = Count()
    nodes_executed = Count()
    nodes_total = Count()
    duration = fields.Function(lambda execution: duration(execution), metadata=Number.shape, allow_none=True)
    start_time = fields.Function(lambda execution: execution.started_at or execution.created_at, metadata=Time.shape)
    end_time = Time(attribute="finished_at", allow_none=True)
    created_at = Time()
    start_by = Time(allow_none=True)
    deadline = Time(attribute="deadline_at", allow_none=True)
    error = fields.Function(lambda execution: sentence(execution.error), metadata=Text.shape, allow_none=True)
    error_details = Thing(attribute="error", allow_none=True)
    credits_charged = Credits()
    max_credits = Credits(attribute="credits_cap")
    priority = Word(Priority)
    waiting_for = fields.Function(lambda execution: glance(execution), metadata=Thing.shape, allow_none=True)
    seq = Count(attribute="last_seq")


class IterationsOut(Out):
    """How many iterations ended, and how many began."""

    done = Count()
    total = Count()


class NodeOut(Out):
    """How one node stands; one inside a loop tells how many of its `iterations` are done. `duration` in seconds."""

    id = fields.Function(lambda state: state.node_id, metadata=Text.shape)
    node_id = Text()
    label = Text()
    type = Text()
    parent_id = Text(allow_none=True)
    status = Word(NodeStatus)
    attempts = Count()
    port = Text(allow_none=True)
    output = Plain()
    error = Thing(allow_none=True)
    credits = Credits()
    started_at = Time(allow_none=True)
    finished_at = Time(allow_none=True)
    duration = Number(allow_none=True)
    iterations = fields.Nested(IterationsOut, allow_none=True)
    child_execution_id = Text(allow_none=True)


class ItemOut(Out):
    """One line of a receipt: `runs` counts what was charged, `attempts` what it took."""

    node_id = Text()
    label = Text()
    type = Text()
    runs = Count()
    attempts = Count()
    unit_price = Credits()
    amount = Credits()


class ChildrenOut(Out):
    """The runs that a run started, with all that they started, and what was charged for them so far."""

    runs = Count()
    amount = Credits()


class ReceiptOut(Out):
    """What a run cost, item by item; `final` says that nothing more will be charged. Children have their own."""

    price_list = Text()
    items = fields.List(fields.Nested(ItemOut))
    run_fee = Credits()
    total = Credits()
    held = Credits()
    released = Credits()
    final = Truth()
    children = fields.Nested(ChildrenOut)


class ExecutionDetailOut(ExecutionOut):
    """A run with what went in and what came out, its nodes as they were drawn, and its receipt."""

    input = Plain()
    output = Plain()


class WholeExecutionOut(ExecutionDetailOut):
    """A run with everything that is known of it."""

    queue_position = Count(allow_none=True)
    nodes = fields.List(fields.Nested(NodeOut))
    receipt = fields.Nested(ReceiptOut)


class AcceptedOut(Out):
    """A run that was accepted, and where to watch and to stop it."""

    id = Id()
    execution_id = Id()
    status = Word(ExecutionStatus)
    status_url = Text()
    events_url = Text()
    cancel_url = Text()


class SavedOut(Out):
    """What a retry need not do again."""

    nodes = Count()
    credits = Credits()


class RetriedOut(AcceptedOut):
    """A run that takes over what another one finished."""

    saved = fields.Nested(SavedOut)


class LineOut(Out):
    """One charge; `path` names the iteration and is empty at the top level."""

    node_id = Text()
    label = Text()
    type = Text()
    path = Text()
    attempts = Count()
    price = Credits()
    charged_at = Time()


class ReceiptPageOut(ReceiptOut):
    """A receipt with a page of its single charges; with `linesExpired` these are gone, and their sums are left."""

    execution_id = Id()
    lines_expired = Truth()
    lines = fields.List(fields.Nested(LineOut))
    count = Count()
    limit = Count()
    offset = Count()
    next_cursor = Text(allow_none=True)


class LogOut(Out):
    """One line of a run's log."""

    seq = Count()
    at = Time()
    type = Text()
    level = Text()
    node_id = Text(allow_none=True)
    path = Text()
    message = Text()
    data = Thing(allow_none=True)


class EventOut(Out):
    """One server-sent event: `state` with the whole run as JSON in its data, then lines of the log."""

    event = Text(metadata=SOMETIMES)
    id = Text(metadata=SOMETIMES)
    data = Text(metadata=SOMETIMES)


class LogsOut(Out):
    """Lines of a run's log, and what was asked for."""

    logs = fields.List(fields.Nested(LogOut))
    count = Count()
    limit = Count()
    after = Count()
