"""Bodies and answers of workflows. The graph's own shape is judged by the linter, which names its fields likewise."""

from typing import Any

from marshmallow import ValidationError, fields, post_load, validate, validates_schema

from api.schemas.base import (
    Count,
    Credits,
    Id,
    In,
    Line,
    Number,
    Out,
    PageQuery,
    Text,
    Thing,
    Things,
    Time,
    Truth,
    Word,
)
from models.rules.deadlines import LONGEST
from models.rules.pricing import Priority
from models.rules.states import WorkflowStatus


class GraphIn(In):
    """A graph, as it may be linted without being saved."""

    nodes = fields.List(Thing(), required=True)
    connections = fields.List(Thing(), load_default=list)

    @post_load
    def gather(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        """The two lists are one value to us."""
        graph = {name: data.pop(name) for name in ("nodes", "connections") if name in data}
        return {**data, "graph": graph} if "nodes" in graph else data


class Seconds(fields.Integer):
    """A whole number of seconds, up to a year; null for the default."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(strict=True, allow_none=True, validate=validate.Range(min=1, max=LONGEST), **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, bool | str):
            raise self.make_error("invalid")
        return super()._deserialize(value, attr, data, **kwargs)


class ValidateIn(GraphIn):
    """A graph, or a whole workflow of which only the graph counts."""

    name = fields.Raw()
    description = fields.Raw()
    status = fields.Raw()
    timeout = fields.Raw()
    max_queue_seconds = fields.Raw()


class WorkflowIn(GraphIn):
    """A workflow to save."""

    name = Line(200, required=True)
    description = fields.String(load_default="", validate=validate.Length(max=5000))
    status = fields.Enum(WorkflowStatus, by_value=True, load_default=WorkflowStatus.ACTIVE)
    timeout = Seconds(load_default=None)
    max_queue_seconds = Seconds(load_default=None)


class GraphUpdateIn(GraphIn):
    """A graph that may be left as it is; it changes as a whole."""

    nodes = fields.List(Thing())

    @validates_schema
    def whole(self, data: dict[str, Any], **_: Any) -> None:
        """Connections without their nodes say nothing."""
        if data.get("connections") and "nodes" not in data:
            raise ValidationError("Must come with the connections.", "nodes")


class WorkflowUpdateIn(GraphUpdateIn):
    """What shall change."""

    name = Line(200)
    description = fields.String(validate=validate.Length(max=5000))
    status = fields.Enum(WorkflowStatus, by_value=True)
    timeout = Seconds()
    max_queue_seconds = Seconds()


class ExecuteIn(In):
    """A run to start: `maxCredits` lowers what it may cost, `priority` may lower its place in the queue.

    `timeout` and `maxQueueSeconds` count from its acceptance, to its end and to its start.
    """

    input = fields.Raw(load_default=None, allow_none=True)
    max_credits = Credits(load_default=None, allow_none=True)
    priority = fields.Enum(Priority, by_value=True, load_default=None, allow_none=True)
    timeout = Seconds(load_default=None)
    max_queue_seconds = Seconds(load_default=None)


class WorkflowOut(Out):
    """A workflow with its newest graph, and why it is read-only if it is."""

    id = Id()
    name = Text()
    description = Text()
    status = Word(WorkflowStatus)
    version = Count(attribute="latest_version")
    timeout = Count(allow_none=True)
    max_queue_seconds = Count(allow_none=True)
    nodes = Things(attribute="latest.graph.nodes")
    connections = Things(attribute="latest.graph.connections")
    read_only = fields.Function(lambda workflow: workflow.read_only_reason is not None, metadata=Truth.shape)
    read_only_reason = Text(allow_none=True)
    created_at = Time()
    updated_at = Time()


class WorkflowsQuery(PageQuery):
    """Which workflows: by a part of their name, or by status."""

    q = fields.String(load_default=None, validate=validate.Length(max=200))
    status = fields.Enum(WorkflowStatus, by_value=True, load_default=None)


class VersionOut(Out):
    """One saved graph, without the graph."""

    id = Id()
    version = Count(attribute="number")
    node_count = Count()
    valid = fields.Function(lambda version: not version.lint_errors, metadata=Truth.shape)
    worst_case_credits = Credits()
    created_at = Time()


class VersionDetailOut(VersionOut):
    """One saved graph."""

    nodes = Things(attribute="graph.nodes")
    connections = Things(attribute="graph.connections")


class LintFindingOut(Out):
    """One thing that the linter found, and where."""

    code = Text()
    field = Text()
    message = Text()
    node_id = Text(allow_none=True)
    connection_id = Text(allow_none=True)


class ReportOut(Out):
    """The linter's verdict; `worstCaseCredits` is null where the graph is too broken to tell."""

    valid = fields.Function(lambda report: not report.errors, metadata=Truth.shape)
    errors = fields.List(fields.Nested(LintFindingOut))
    warnings = fields.List(fields.Nested(LintFindingOut))
    worst_case_credits = Number(allow_none=True)
