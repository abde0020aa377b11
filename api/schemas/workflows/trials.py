"""Schemas of trials of single nodes."""

from typing import Any

from marshmallow import RAISE, fields, post_load, validate

from api.schemas.base import Credits, Items, JsonObject
from api.schemas.workflows.workflows import GraphUpdateIn
from models.rules.lint.shape import MAX_CONNECTIONS, MAX_ID_LENGTH, MAX_NODES
from models.rules.lint.trials import TrialData
from models.rules.nodes.loop import MAX_ITERATIONS


class TrialIn(GraphUpdateIn):
    """What a node is tried with: `pinned` has outputs by node id; `item` and `index` are for a node in a loop.

    With `nodes` and `connections` the node is taken from these, as an editor has them, else from the stored workflow.
    """

    class Meta:
        unknown = RAISE

    nodes = Items(JsonObject(), max_items=MAX_NODES)
    connections = Items(JsonObject(), max_items=MAX_CONNECTIONS)
    pinned = fields.Dict(
        keys=fields.String(validate=validate.Length(min=1, max=MAX_ID_LENGTH)),
        values=fields.Raw(allow_none=True),
        load_default=dict,
        metadata={"type": "object", "additionalProperties": True},
    )
    input = fields.Raw(load_default=None, allow_none=True)
    item = fields.Raw(load_default=None, allow_none=True)
    index = fields.Integer(
        strict=True, load_default=None, allow_none=True, validate=validate.Range(min=0, max=MAX_ITERATIONS)
    )
    max_credits = Credits(load_default=None, allow_none=True)

    @post_load
    def combine(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Combine what the node gets to one value."""
        return {"data": TrialData(**{name: data.pop(name) for name in ("pinned", "input", "index", "item")}), **data}
