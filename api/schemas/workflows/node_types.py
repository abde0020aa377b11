"""Schemas of the node types."""

from marshmallow import fields

from api.schemas.base import Boolean, Credits, Integer, JsonObject, Out, String


class PortsByOut(Out):
    """The list in a config whose items name the ports by `property`, and the ports besides them if it is there."""

    field = String()
    property = String()
    also = fields.List(String())


class CreditsByOut(Out):
    """The choice in a config on which the price depends, with the price of each."""

    field = String()
    credits = fields.Dict(keys=fields.String(), values=Credits())


class NodeTypeOut(Out):
    """A node type. `config` is JSON Schema; `ports` are those of an empty config, without the error port."""

    type = String()
    title = String()
    help = String()
    result = String()
    config = JsonObject()
    ports = fields.List(String())
    ports_by = fields.Nested(PortsByOut, allow_none=True)
    is_container = Boolean()
    makes_attempts = Boolean()
    max_attempts = Integer()
    credits = Credits()
    credits_by = fields.Nested(CreditsByOut, allow_none=True)


class NodeTypesOut(Out):
    """The node types, and JSON Schema of the options that every node may have besides its config."""

    node_types = fields.List(fields.Nested(NodeTypeOut))
    options = JsonObject()
    error_port = String()
    variables = fields.List(String())
    price_list = String()
    credits_per_run = Credits()
