"""Schemas of the steps of executions and of their data."""

from typing import Any

from marshmallow import fields, validate

from api.schemas.base import (
    NOT_NEGATIVE,
    Credits,
    EnumText,
    Integer,
    JsonObject,
    Number,
    Out,
    PageQuery,
    Query,
    QueryInteger,
    Raw,
    String,
    Time,
)
from api.schemas.executions.executions import LogOut
from models.rules.executions.states import NodeStatus

KINDS = ("object", "list", "text", "number", "boolean", "null")


class StepsQuery(PageQuery):
    """Filters of a run's steps."""

    node_id = fields.String(load_default=None, validate=validate.Length(max=64))
    status = fields.Enum(NodeStatus, by_value=True, load_default=None)


class StepQuery(Query):
    """The iteration of the step, empty outside of loops."""

    path = fields.String(load_default="", validate=validate.Length(max=64))


class StepDataQuery(StepQuery):
    """A part of the data of a step: what is at a JSON pointer, at most `limit` items or characters from `offset` on."""

    pointer = fields.String(load_default="", validate=validate.Length(max=2_000))
    offset = QueryInteger(validate=NOT_NEGATIVE, load_default=0)
    limit = QueryInteger(validate=validate.Range(min=1), load_default=None)


class StepOut(Out):
    """A node in one of its iterations; `path` has the iteration indexes, `duration` is in seconds."""

    node_id = String()
    path = String()
    status = EnumText(NodeStatus)
    attempts = Integer(attribute="attempt")
    port = String(allow_none=True)
    error = JsonObject(allow_none=True)
    credits = Credits()
    started_at = Time(allow_none=True)
    finished_at = Time(allow_none=True)
    duration = fields.Function(lambda row: _duration(row), metadata=Number.shape, allow_none=True)
    child_execution_id = fields.Function(lambda row: _child(row), metadata=String.shape, allow_none=True)


class CutValueOut(Out):
    """A value within an excerpt that is longer than shown."""

    pointer = String()
    kind = EnumText(KINDS)
    total = Integer()


class ExcerptOut(Out):
    """A part of a value; `total` counts its members, items or characters, `cut` names what is longer than shown."""

    pointer = String()
    kind = EnumText(KINDS)
    total = Integer(allow_none=True)
    offset = Integer()
    value = Raw()
    cut = fields.List(fields.Nested(CutValueOut))


class StepDetailOut(StepOut):
    """A step with excerpts of its data and its newest events."""

    input = fields.Nested(ExcerptOut)
    output = fields.Nested(ExcerptOut)
    events = fields.List(fields.Nested(LogOut))


def _duration(row: Any) -> float | None:
    if row.started_at is None or row.finished_at is None:
        return None
    return round(max(0.0, (row.finished_at - row.started_at).total_seconds()), 3)


def _child(row: Any) -> str | None:
    return (row.external_ref or {}).get("childExecutionId")
