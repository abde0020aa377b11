"""Schemas of executions, their nodes, receipts and logs."""

from marshmallow import fields, validate

from api.schemas.base import (
    OPTIONAL,
    Boolean,
    Credits,
    EnumText,
    Id,
    In,
    Integer,
    Items,
    JsonObject,
    Number,
    Out,
    Raw,
    StrictBoolean,
    String,
    Time,
)
from api.schemas.executions.derived_fields import duration, sentence, wait_summary
from api.schemas.workflows.versions import RequestedVersionField
from models.rules.executions.states import ExecutionStatus, NodeStatus
from models.rules.prices.pricing import Priority

TAGS = {"type": "array", "items": dict(String.shape)}


class ApprovalIn(In):
    """The decision on an approval; `path` names the iteration if the node is in a loop."""

    approved = StrictBoolean(required=True)
    comment = fields.String(load_default=None, allow_none=True, validate=validate.Length(max=2000))
    path = fields.String(load_default=None, allow_none=True, validate=validate.Length(max=64))


class RetryIn(In):
    """The most that the new run may cost, the version to run, and the `sideEffects: once` nodes that may repeat."""

    max_credits = Credits(load_default=None, allow_none=True)
    version = RequestedVersionField(load_default=None, allow_none=True)
    repeat = Items(fields.String(validate=validate.Length(max=64)), max_items=5_000, load_default=list)


class ResumeIn(In):
    """The most that the run may cost in total."""

    max_credits = Credits(required=True)


class ExecutionOut(Out):
    """A run as lists show it. `error` is a sentence; `errorDetails` has its code and node.

    `triedNodeId` is the only node that runs in a trial, null for other runs. `scheduleId` is the schedule that started
    it for the time `scheduledFor`; both are null for other runs.
    """

    id = Id()
    workflow_id = Id()
    workflow_name = String()
    parent_execution_id = Id(allow_none=True)
    parent_node_id = String(allow_none=True)
    parent_path = String(allow_none=True)
    retry_of = Id(allow_none=True)
    tried_node_id = String(allow_none=True)
    schedule_id = Id(allow_none=True)
    scheduled_for = Time(allow_none=True)
    status = EnumText(ExecutionStatus)
    progress = Integer()
    nodes_executed = Integer()
    nodes_total = Integer()
    duration = fields.Function(lambda execution: duration(execution), metadata=Number.shape, allow_none=True)
    start_time = fields.Function(lambda execution: execution.started_at or execution.created_at, metadata=Time.shape)
    end_time = Time(attribute="finished_at", allow_none=True)
    created_at = Time()
    start_by = Time(allow_none=True)
    deadline = Time(attribute="deadline_at", allow_none=True)
    error = fields.Function(lambda execution: sentence(execution.error), metadata=String.shape, allow_none=True)
    error_details = JsonObject(attribute="error", allow_none=True)
    credits_charged = Credits()
    max_credits = Credits(attribute="credits_cap")
    priority = EnumText(Priority)
    waiting_for = fields.Function(lambda execution: wait_summary(execution), metadata=JsonObject.shape, allow_none=True)
    tags = fields.Function(lambda execution: execution.tags or [], metadata=TAGS)
    seq = Integer(attribute="last_seq")


class IterationsOut(Out):
    """The number of iterations that ended (`done`) and that began (`total`)."""

    done = Integer()
    total = Integer()


class NodeOut(Out):
    """The state of a node; in a loop, `iterations` says how many of them are done. `duration` in seconds."""

    id = fields.Function(lambda state: state.node_id, metadata=String.shape)
    node_id = String()
    label = String()
    type = String()
    parent_id = String(allow_none=True)
    status = EnumText(NodeStatus)
    attempts = Integer()
    port = String(allow_none=True)
    output = Raw()
    error = JsonObject(allow_none=True)
    credits = Credits()
    started_at = Time(allow_none=True)
    finished_at = Time(allow_none=True)
    duration = Number(allow_none=True)
    iterations = fields.Nested(IterationsOut, allow_none=True)
    child_execution_id = String(allow_none=True)


class ItemOut(Out):
    """The charges of a node: `runs` counts its charged steps, `attempts` the attempts that they took."""

    node_id = String()
    label = String()
    type = String()
    runs = Integer()
    attempts = Integer()
    unit_price = Credits()
    amount = Credits()


class ChildrenOut(Out):
    """The number of runs that a run started, directly or indirectly, and the credits charged for them so far."""

    runs = Integer()
    amount = Credits()


class UsedOut(Out):
    """An amount that was used, and its limit."""

    used = Integer()
    limit = Integer()


class TechnicalOut(Out):
    """The instructions that a run's expressions took in their sandbox (`fuel`), and the bytes that it stores."""

    fuel = fields.Nested(UsedOut)
    bytes = fields.Nested(UsedOut)


class ReceiptOut(Out):
    """The cost of a run by node; if `final`, nothing more will be charged. Child runs have receipts of their own."""

    price_list = String()
    items = fields.List(fields.Nested(ItemOut))
    run_fee = Credits()
    total = Credits()
    held = Credits()
    released = Credits()
    final = Boolean()
    children = fields.Nested(ChildrenOut)
    technical = fields.Nested(TechnicalOut, allow_none=True)


class ExecutionDetailOut(ExecutionOut):
    """A run with its input and output."""

    input = Raw()
    output = Raw()


class FullExecutionOut(ExecutionDetailOut):
    """A run with its input, output, nodes and receipt."""

    workflow_version = Integer(allow_none=True)
    queue_position = Integer(allow_none=True)
    nodes = fields.List(fields.Nested(NodeOut))
    receipt = fields.Nested(ReceiptOut)


class AcceptedOut(Out):
    """An accepted run, and the addresses for its state, its events and its cancellation."""

    id = Id()
    execution_id = Id()
    status = EnumText(ExecutionStatus)
    status_url = String()
    events_url = String()
    cancel_url = String()


class SavedOut(Out):
    """The number of results that a retry reuses, and the credits that this saves."""

    nodes = Integer()
    credits = Credits()


class RetriedOut(AcceptedOut):
    """A run that retries another one and reuses its finished results."""

    saved = fields.Nested(SavedOut)


class ReceiptLineOut(Out):
    """A charge with its reason; `path` names the iteration and is empty outside of loops."""

    node_id = String()
    label = String()
    type = String()
    path = String()
    attempts = Integer()
    price = Credits()
    charged_at = Time()
    status = String()
    reason = String()


class ReceiptPageOut(ReceiptOut):
    """A receipt with a page of its charges; if `linesExpired`, only their totals are left."""

    execution_id = Id()
    lines_expired = Boolean()
    lines = fields.List(fields.Nested(ReceiptLineOut))
    count = Integer()
    limit = Integer()
    offset = Integer()
    next_cursor = String(allow_none=True)


class LogOut(Out):
    """An entry of a run's log."""

    seq = Integer()
    at = Time()
    type = String()
    level = String()
    node_id = String(allow_none=True)
    path = String()
    message = String()
    data = JsonObject(allow_none=True)


class EventOut(Out):
    """A server-sent event: `state` has the whole run as JSON in `data`, the others an entry of the log."""

    event = String(metadata=OPTIONAL)
    id = String(metadata=OPTIONAL)
    data = String(metadata=OPTIONAL)


class LogsOut(Out):
    """Entries of a run's log, and the arguments of the request."""

    logs = fields.List(fields.Nested(LogOut))
    count = Integer()
    limit = Integer()
    after = Integer()
