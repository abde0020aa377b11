"""Schemas of the differences between versions of a workflow."""

from marshmallow import fields

from api.schemas.base import Integer, JsonArray, Out, Raw, String


class FieldDifferenceOut(Out):
    """A value that differs; `field` is a dotted path, and null stands for a value that is missing."""

    field = String()
    before = Raw(allow_none=True)
    after = Raw(allow_none=True)


class NodeDifferenceOut(Out):
    """A node that both versions have, with the values that differ."""

    id = String()
    label = String()
    type = String()
    fields = fields.List(fields.Nested(FieldDifferenceOut))  # type: ignore[assignment]  # marshmallow takes it away


class VersionDifferenceOut(Out):
    """What changed from one version to another: nodes by id, connections by their ends.

    `moved` are the ids of nodes that stand elsewhere, `details` the name and the description if they differ.
    """

    from_version = Integer()
    to_version = Integer()
    details = fields.List(fields.Nested(FieldDifferenceOut))
    added = JsonArray()
    removed = JsonArray()
    changed = fields.List(fields.Nested(NodeDifferenceOut))
    moved = fields.List(String())
    connected = JsonArray()
    disconnected = JsonArray()
