"""Bodies and answers of workflows. The graph's own shape is judged by the linter, which names its fields likewise."""

from typing import Any

from marshmallow import ValidationError, fields, post_load, validate, validates_schema

from api.schemas.base import Credits, In, Line, Out, PageQuery, Plain
from models.rules.deadlines import LONGEST
from models.rules.pricing import Priority
from models.rules.states import WorkflowStatus


class GraphIn(In):
    """A graph, as it may be linted without being saved."""

    nodes = fields.List(fields.Raw(), required=True)
    connections = fields.List(fields.Raw(), load_default=list)

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

    nodes = fields.List(fields.Raw())

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

    id = Plain()
    name = Plain()
    description = Plain()
    status = Plain()
    version = Plain(attribute="latest_version")
    timeout = Plain()
    max_queue_seconds = Plain()
    nodes = Plain(attribute="latest.graph.nodes")
    connections = Plain(attribute="latest.graph.connections")
    read_only = fields.Function(lambda workflow: workflow.read_only_reason is not None)
    read_only_reason = Plain()
    created_at = Plain()
    updated_at = Plain()


class WorkflowsQuery(PageQuery):
    """Which workflows: by a part of their name, or by status."""

    q = fields.String(load_default=None, validate=validate.Length(max=200))
    status = fields.Enum(WorkflowStatus, by_value=True, load_default=None)


class VersionOut(Out):
    """One saved graph, without the graph."""

    id = Plain()
    version = Plain(attribute="number")
    node_count = Plain()
    valid = fields.Function(lambda version: not version.lint_errors)
    worst_case_credits = Credits()
    created_at = Plain()


class VersionDetailOut(VersionOut):
    """One saved graph."""

    nodes = Plain(attribute="graph.nodes")
    connections = Plain(attribute="graph.connections")


class FindingOut(Out):
    """One thing that the linter found, and where."""

    code = Plain()
    field = Plain()
    message = Plain()
    node_id = Plain()
    connection_id = Plain()


class ReportOut(Out):
    """The linter's verdict; `worstCaseCredits` is null where the graph is too broken to tell."""

    valid = fields.Function(lambda report: not report.errors)
    errors = fields.List(fields.Nested(FindingOut))
    warnings = fields.List(fields.Nested(FindingOut))
    worst_case_credits = Plain()
