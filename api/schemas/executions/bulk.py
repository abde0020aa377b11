"""Schemas of changes of many executions at once."""

from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from api.schemas.base import Boolean, Credits, EnumText, Id, In, Items, Moment, Out, String
from api.schemas.workflows.tags import Tag
from api.schemas.workflows.versions import RequestedVersionField
from models.rules.executions.states import ExecutionStatus

MAX_RUNS = 100


class RunFilterIn(In):
    """Filters as those of the list of runs; `cursor` is the `nextCursor` of the call before."""

    workflow_id = fields.UUID(load_default=None)
    status = fields.Enum(ExecutionStatus, by_value=True, load_default=None)
    query = fields.String(load_default=None, validate=validate.Length(min=1, max=200))
    tag = Tag(load_default=None)
    since = Moment(data_key="from", load_default=None)
    until = Moment(data_key="to", load_default=None)
    cursor = fields.String(load_default=None, validate=validate.Length(max=200))


class BulkCancelIn(In):
    """The runs to cancel: `ids`, or those that `filter` finds, at most 100 at a time."""

    ids = Items(fields.UUID(), max_items=MAX_RUNS, load_default=None)
    filter = fields.Nested(RunFilterIn, load_default=None)

    @validates_schema
    def check(self, data: dict[str, Any], **_: Any) -> None:
        """Require one of both."""
        given = {name for name in ("ids", "filter") if data.get(name) is not None}
        if not given:
            raise ValidationError("Is required without `filter`.", "ids")
        if len(given) == 2:
            raise ValidationError("Must not come with `filter`.", "ids")


class BulkRetryIn(BulkCancelIn):
    """The runs to retry, the most that each new run may cost, and the version to run."""

    max_credits = Credits(load_default=None, allow_none=True)
    version = RequestedVersionField(load_default=None, allow_none=True)


class BulkOutcomeOut(Out):
    """The outcome for a run: its `status` or, for a retry, the new run; or `code` and `message` of why not."""

    id = Id()
    accepted = Boolean()
    status = EnumText(ExecutionStatus, allow_none=True)
    execution_id = Id(allow_none=True)
    code = String(allow_none=True)
    message = String(allow_none=True)
