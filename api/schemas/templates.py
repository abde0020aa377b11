"""Bodies and answers of the gallery."""

from marshmallow import fields, validate

from api.schemas.base import In, Line, Out, PageQuery, Plain
from api.schemas.workflows import GraphIn


class TemplatesQuery(PageQuery):
    """Which templates."""

    category = fields.String(load_default=None, validate=validate.Length(max=40))


class TemplateIn(GraphIn):
    """A template of one's own."""

    name = Line(200, required=True)
    description = fields.String(load_default="", validate=validate.Length(max=5000))
    category = Line(40, required=True)


class InstantiateIn(In):
    """A workflow made from a template; without a name it takes the template's."""

    name = Line(200, load_default=None, allow_none=True)


class TemplateOut(Out):
    """A template and its graph."""

    id = Plain()
    slug = Plain()
    name = Plain()
    description = Plain()
    category = Plain()
    nodes = Plain(attribute="graph.nodes")
    connections = Plain(attribute="graph.connections")
    created_at = Plain()
