"""Lists come in pages: by offset, or by an opaque cursor that stays right while rows are added."""

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from api.bodies import query
from api.schemas.base import PageQuery
from models.errors import FieldError, InvalidInput
from models.services.paging import Position


def page_query(schema: type[PageQuery]) -> dict[str, Any]:
    """The arguments of a list, with `after` (a `Position`, or None) in place of the cursor."""
    args = query(schema)
    cursor = args.pop("cursor")
    return {**args, "after": _position(cursor) if cursor else None}


def page(name: str, items: Sequence[Any], rows: Sequence[Any], args: dict[str, Any]) -> dict[str, Any]:
    """The answer of a list: `items` are the `rows` as shown; `count` is how many there are on this page."""
    more = len(rows) == args["limit"]
    return {
        name: items,
        "count": len(rows),
        "limit": args["limit"],
        "offset": args["offset"],
        "nextCursor": _cursor(rows[-1]) if more else None,
    }


def _cursor(row: Any) -> str:
    return base64.urlsafe_b64encode(f"{row.created_at.isoformat()} {row.id}".encode()).decode().rstrip("=")


def _position(cursor: str) -> Position:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        time, _, row_id = text.partition(" ")
        position = datetime.fromisoformat(time), UUID(row_id)
    except (binascii.Error, ValueError):
        position = None
    if position is None or position[0].tzinfo is None:
        raise InvalidInput("The cursor is not one of ours.", errors=[FieldError("cursor", "Must be a nextCursor.")])
    return position
