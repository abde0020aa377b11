"""Schemas of templates."""

import re
from types import MappingProxyType
from typing import Any

from marshmallow import fields, validate

from api.schemas.base import (
    AppIn,
    Boolean,
    Id,
    In,
    Integer,
    JsonArray,
    Out,
    PageQuery,
    StrictBoolean,
    String,
    Time,
    TrimmedString,
)
from api.schemas.workflows.workflows import GraphIn, GraphProblemOut, GraphUpdateIn

WEEK = 7 * 24 * 60  # minutes


class TemplatesQuery(PageQuery):
    """Filters of templates; `own=true` leaves out those of others.

    The app's categories are `data`, `communication`, `analysis` and `automation`; their labels are accepted too.
    """

    category = fields.String(load_default=None, validate=validate.Length(max=40))
    own = fields.Boolean(load_default=False)


class Minutes(fields.Field[int | None]):
    """Whole minutes, up to a week, as a number or in a text, as the mobile app sends them; other values are ignored."""

    shape = MappingProxyType({"type": ["integer", "string"]})

    def __init__(self, **kwargs: Any) -> None:
        description = {"description": "Minutes, up to a week; other values are ignored."}
        super().__init__(allow_none=True, metadata=description, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int | None:
        if isinstance(value, str):
            found = re.match(r"\s*([0-9]{1,5})(?![0-9])", value)
            value = int(found[1]) if found else None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= WEEK:
            return None
        return round(value)


class TemplateIn(GraphIn):
    """A template of the caller; other users see it once it is `published`."""

    name = TrimmedString(200, required=True)
    description = fields.String(load_default="", validate=validate.Length(max=5000))
    category = TrimmedString(40, required=True)
    estimated_time = Minutes(load_default=None)
    published = StrictBoolean(load_default=False)


class TemplateUpdateIn(GraphUpdateIn):
    """The fields of a template to change; the graph is replaced as a whole."""

    name = TrimmedString(200)
    description = fields.String(validate=validate.Length(max=5000))
    category = TrimmedString(40)
    estimated_time = Minutes()
    published = StrictBoolean()


class InstantiateIn(AppIn):
    """The name of a workflow from a template; by default that of the template."""

    name = TrimmedString(200, load_default=None, allow_none=True)


class TemplateReportIn(In):
    """The reason for reporting a published template."""

    reason = TrimmedString(500, required=True)


class TemplateOut(Out):
    """A template and its graph; `author` is the name of its owner, null for templates of the service.

    `estimatedTime` is the author's estimate for a run, in minutes.

    `problems` say why it cannot run; `unpublishedAt` is when an administrator removed it from the gallery.
    """

    id = Id()
    slug = String()
    name = String()
    description = String()
    category = String()
    estimated_time = Integer(attribute="estimated_minutes", allow_none=True)
    nodes = JsonArray(attribute="graph.nodes")
    connections = JsonArray(attribute="graph.connections")
    problems = fields.List(fields.Nested(GraphProblemOut))
    published = Boolean()
    unpublished_at = Time(allow_none=True)
    author = fields.Function(
        lambda template: template.owner.name if template.owner else None, metadata=String.shape, allow_none=True
    )
    uses = Integer()
    created_at = Time()
    updated_at = Time()


class CategoryOut(Out):
    """A category and the number of its templates."""

    name = String()
    count = Integer()
