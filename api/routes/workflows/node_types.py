"""The node types of workflows, for builders and their forms."""

import hashlib
from functools import cache

from flask import Blueprint
from flask.typing import ResponseReturnValue

from api.http.json import encode
from api.http.responses import unless_known
from api.openapi import describes
from api.schemas.workflows.node_types import NodeTypesOut
from models.rules.catalog.node_types import node_types

bp = Blueprint("node_types", __name__, url_prefix="/node-types")


@bp.get("")
@describes(response=NodeTypesOut, other_responses={304: None}, headers=("ETag",))
def index() -> ResponseReturnValue:
    """Get every node type with the JSON Schema of its config, its ports and its price."""
    document, tag = _document()
    return unless_known(tag, lambda: document, weak=False)


@cache
def _document() -> tuple[dict[str, object], str]:
    """The document, which is the same for all callers of one release, and its ETag."""
    document = node_types()
    return document, hashlib.sha256(encode(document)).hexdigest()[:32]
