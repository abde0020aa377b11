"""Schemas of the evaluation of expressions."""

from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from api.schemas.base import In, Integer, Out, String
from api.schemas.executions.steps import ExcerptOut

MODES = ("template", "expression", "either", "body")
MAX_TEXT = 16 * 1024


class EvaluateIn(In):
    """An expression, and the step whose data it sees, or the data itself.

    `mode`: `template` is a text with `{{ }}` in it, `body` that of a function, `either` an expression or such a body.
    """

    expression = fields.String(required=True, validate=validate.Length(max=MAX_TEXT))
    mode = fields.String(load_default="template", validate=validate.OneOf(MODES))
    execution_id = fields.UUID(load_default=None)
    node_id = fields.String(load_default=None, validate=validate.Length(max=64))
    path = fields.String(load_default="", validate=validate.Length(max=64))
    data = fields.Dict(keys=fields.String(), load_default=None)

    @validates_schema
    def check(self, given: dict[str, Any], **_: Any) -> None:
        """Require a step or data, and `nodes` as expressions see them."""
        step = (given.get("execution_id"), given.get("node_id"))
        if (None in step) is (given.get("data") is None) or step.count(None) == 1:
            raise ValidationError("Send `executionId` and `nodeId`, or `data`.", "data")
        nodes = (given.get("data") or {}).get("nodes") or {}
        if not isinstance(nodes, dict):
            raise ValidationError("Must be an object of objects with `output`, by the id of the node.", "data.nodes")


class EvaluationErrorOut(Out):
    """Why an expression has no value; `line` and `column`, from 1, if it is a mistake in the text."""

    code = String()
    message = String()
    line = Integer(allow_none=True)
    column = Integer(allow_none=True)


class EvaluatedOut(Out):
    """The value of an expression, in an excerpt, or the error; `fuel` is the instructions that it took."""

    value = fields.Nested(ExcerptOut, allow_none=True)
    error = fields.Nested(EvaluationErrorOut, allow_none=True)
    fuel = Integer()
