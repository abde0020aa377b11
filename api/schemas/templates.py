"""Bodies and answers of the gallery."""

from marshmallow import fields, validate

from api.schemas.base import Count, Flag, Id, In, Line, Out, PageQuery, Text, Things, Time, Truth
from api.schemas.workflows import GraphIn, GraphUpdateIn


class TemplatesQuery(PageQuery):
    """Which templates; `own=true` leaves out those of others."""

    category = fields.String(load_default=None, validate=validate.Length(max=40))
    own = fields.Boolean(load_default=False)


class TemplateIn(GraphIn):
    """A template of one's own; everybody sees it once it is `published`."""

    name = Line(200, required=True)
    description = fields.String(load_default="", validate=validate.Length(max=5000))
    category = Line(40, required=True)
    published = Flag(load_default=False)


class TemplateUpdateIn(GraphUpdateIn):
    """What shall change; a graph changes as a whole."""

    name = Line(200)
    description = fields.String(validate=validate.Length(max=5000))
    category = Line(40)
    published = Flag()


class InstantiateIn(In):
    """A workflow made from a template; without a name it takes the template's."""

    name = Line(200, load_default=None, allow_none=True)


class TemplateOut(Out):
    """A template and its graph; `author` is the name of whoever published it, null for those of the service."""

    id = Id()
    slug = Text()
    name = Text()
    description = Text()
    category = Text()
    nodes = Things(attribute="graph.nodes")
    connections = Things(attribute="graph.connections")
    published = Truth()
    author = fields.Function(
        lambda template: template.owner.name if template.owner else None, metadata=Text.shape, allow_none=True
    )
    uses = Count()
    created_at = Time()
    updated_at = Time()


class CategoryOut(Out):
    """A category, and how many templates it has."""

    name = Text()
    count = Count()
