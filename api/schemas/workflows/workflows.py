"""Schemas of workflows. The linter validates the content of a graph and names its fields in the same way."""

from typing import Any

from marshmallow import ValidationError, fields, post_load, validate, validates_schema

from api.schemas.base import (
    AppIn,
    Boolean,
    Credits,
    EnumText,
    Id,
    Integer,
    Items,
    JsonArray,
    JsonObject,
    Number,
    Out,
    PageQuery,
    StrictBoolean,
    String,
    Time,
    TrimmedString,
)
from api.schemas.workflows.tags import MAX_TAGS, Tag
from models.rules.executions.deadlines import MAX_TIMEOUT_SECONDS
from models.rules.executions.states import WorkflowStatus
from models.rules.lint.shape import MAX_CONNECTIONS, MAX_NODES
from models.rules.prices.pricing import Priority


class GraphIn(AppIn):
    """A graph of nodes and connections."""

    nodes = Items(JsonObject(), max_items=MAX_NODES, required=True)
    connections = Items(JsonObject(), max_items=MAX_CONNECTIONS, load_default=list)

    @post_load
    def gather(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Combine nodes and connections to one value, the graph."""
        graph = {name: data.pop(name) for name in ("nodes", "connections") if name in data}
        return {**data, "graph": graph} if "nodes" in graph else data


class Seconds(fields.Integer):
    """A whole number of seconds, up to a year; null for the default."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            strict=True, allow_none=True, validate=validate.Range(min=1, max=MAX_TIMEOUT_SECONDS), **kwargs
        )


class ValidateIn(GraphIn):
    """A graph to validate; other fields of a workflow are ignored."""


class WorkflowIn(GraphIn):
    """A workflow to save."""

    name = TrimmedString(200, required=True)
    description = fields.String(load_default="", validate=validate.Length(max=5000))
    status = fields.Enum(WorkflowStatus, by_value=True, load_default=WorkflowStatus.ACTIVE)
    timeout = Seconds(load_default=None)
    max_queue_seconds = Seconds(load_default=None)


class GraphUpdateIn(GraphIn):
    """A graph to replace as a whole; without `nodes` it stays as it is."""

    nodes = Items(JsonObject(), max_items=MAX_NODES)

    @validates_schema
    def whole(self, data: dict[str, Any], **_: Any) -> None:
        """Require `nodes` with `connections`, which refer to them."""
        if data.get("connections") and "nodes" not in data:
            raise ValidationError("Must come with the connections.", "nodes")


class WorkflowUpdateIn(GraphUpdateIn):
    """The fields of a workflow to change; the graph is replaced as a whole.

    `autosave` is for editors that save by themselves: such saves of one session soon after each other are one version.
    """

    name = TrimmedString(200)
    description = fields.String(validate=validate.Length(max=5000))
    status = fields.Enum(WorkflowStatus, by_value=True)
    timeout = Seconds()
    max_queue_seconds = Seconds()
    autosave = StrictBoolean(load_default=False)


class ExecuteIn(AppIn):
    """A run to start: `maxCredits` limits its cost, `priority` may be lower than that of the caller's tier.

    `timeout` and `maxQueueSeconds` are the most seconds from acceptance to end and to start.
    """

    input = fields.Raw(load_default=None, allow_none=True)
    max_credits = Credits(load_default=None, allow_none=True)
    priority = fields.Enum(Priority, by_value=True, load_default=None, allow_none=True)
    timeout = Seconds(load_default=None)
    max_queue_seconds = Seconds(load_default=None)
    tags = Items(Tag(), max_items=MAX_TAGS, load_default=None, allow_none=True)


class GraphProblemOut(Out):
    """A reason why a graph cannot run, and where it is; the message names the node."""

    field = String()
    message = String()
    node_id = fields.Function(lambda problem: problem.get("nodeId"), metadata=String.shape, allow_none=True)


class WorkflowOut(Out):
    """A workflow with its newest graph; `readOnlyReason` says why it is read-only, `problems` why it cannot run."""

    id = Id()
    name = String()
    description = String()
    status = EnumText(WorkflowStatus, attribute="current_status")
    problems = fields.List(fields.Nested(GraphProblemOut))
    version = Integer(attribute="latest_version")
    timeout = Integer(allow_none=True)
    max_queue_seconds = Integer(allow_none=True)
    nodes = JsonArray(attribute="latest.graph.nodes")
    connections = JsonArray(attribute="latest.graph.connections")
    read_only = fields.Function(lambda workflow: workflow.read_only_reason is not None, metadata=Boolean.shape)
    read_only_reason = String(allow_none=True)
    created_at = Time()
    updated_at = Time()


class WorkflowsQuery(PageQuery):
    """Filters of workflows: by a part of their name, or by status."""

    q = fields.String(load_default=None, validate=validate.Length(max=200))
    status = fields.Enum(WorkflowStatus, by_value=True, load_default=None)


class VersionOut(Out):
    """A version of a workflow as it was saved, with its name and description, without its graph."""

    id = Id()
    version = Integer(attribute="number")
    name = String()
    description = String()
    node_count = Integer()
    valid = fields.Function(lambda version: not version.lint_errors, metadata=Boolean.shape)
    worst_case_credits = Credits()
    first_saved_at = Time(metadata={"description": "The first of the saves of an editor that this version stands for."})
    created_at = Time(metadata={"description": "The last of these saves."})


class VersionDetailOut(VersionOut):
    """A version of a workflow as it was saved, with its graph."""

    nodes = JsonArray(attribute="graph.nodes")
    connections = JsonArray(attribute="graph.connections")


class LintFindingOut(Out):
    """An error or warning of the linter, and where it is."""

    code = String()
    field = String()
    message = String()
    node_id = String(allow_none=True)
    connection_id = String(allow_none=True)


class RunLimitsOut(Out):
    """Sums over one run: the instructions that its expressions take in their sandbox, and the bytes that it stores."""

    fuel = Integer()
    bytes = Integer()


class ReportOut(Out):
    """The result of validation; `worstCaseCredits` is null if the graph is too broken to compute it."""

    valid = fields.Function(lambda report: not report.errors, metadata=Boolean.shape)
    errors = fields.List(fields.Nested(LintFindingOut))
    warnings = fields.List(fields.Nested(LintFindingOut))
    worst_case_credits = Number(allow_none=True)
    limits = fields.Nested(RunLimitsOut)
