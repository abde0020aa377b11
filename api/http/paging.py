"""Pages of lists: by offset, or by an opaque cursor that stays right while rows are added."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from api.http.parsing import query
from api.schemas.base import PageQuery
from models.errors import FieldError, InvalidInput
from models.rules.values.moments import parse_moment
from models.services.rows.queries import Position


def page_query(schema: type[PageQuery]) -> dict[str, Any]:
    """Parse the query of a list; `after` (a `Position`, or None) takes the place of the cursor."""
    return _query(schema, _position)


def receipt_lines_query(schema: type[PageQuery]) -> dict[str, Any]:
    """Parse the query of a receipt's lines; `after` is a tuple of node id and path, or None."""
    return _query(schema, _cursor_position)


def page(name: str, items: Sequence[Any], rows: Sequence[Any], args: dict[str, Any]) -> dict[str, Any]:
    """Build a page of a list: `items` are the `rows` as shown, `count` is their number on this page."""
    return _page(name, items, args, lambda: f"{rows[-1].created_at.isoformat()} {rows[-1].id}")


def receipt_lines_page(items: Sequence[Any], rows: Sequence[Any], args: dict[str, Any]) -> dict[str, Any]:
    """Build a page of a receipt's lines, like `page`."""
    return _page("lines", items, args, lambda: f"{rows[-1].path} {rows[-1].node_id}")


def steps_query(schema: type[PageQuery]) -> dict[str, Any]:
    """Parse the query of a run's steps, like `receipt_lines_query`."""
    return _query(schema, _cursor_position)


def steps_page(items: Sequence[Any], rows: Sequence[Any], args: dict[str, Any]) -> dict[str, Any]:
    """Build a page of a run's steps, like `page`."""
    return _page("steps", items, args, lambda: f"{rows[-1].path} {rows[-1].node_id}")


def _query(schema: type[PageQuery], read: Callable[[str], Any]) -> dict[str, Any]:
    args = query(schema)
    cursor = args.pop("cursor")
    return {**args, "after": _read_cursor(cursor, read)}


def cursor_after(cursor: str | None) -> Position | None:
    """The position of a cursor in a body; raises `InvalidInput`."""
    found: Position | None = _read_cursor(cursor, _position)
    return found


def position_of(row: Any) -> str:
    """The cursor for what comes after this row."""
    return _encoded(f"{row.created_at.isoformat()} {row.id}")


def _read_cursor(cursor: str | None, read: Callable[[str], Any]) -> Any:
    if not cursor:
        return None
    try:
        return read(_decoded(cursor))
    except (binascii.Error, ValueError):
        message = "Must be the nextCursor of an earlier page."
        raise InvalidInput("The cursor is not valid.", errors=[FieldError("cursor", message)]) from None


def _page(name: str, items: Sequence[Any], args: dict[str, Any], last: Callable[[], str]) -> dict[str, Any]:
    return {
        name: items,
        "count": len(items),
        "limit": args["limit"],
        "offset": args["offset"],
        "nextCursor": _encoded(last()) if len(items) == args["limit"] else None,
    }


def _encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decoded(cursor: str) -> str:
    text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    if "\x00" in text:
        raise ValueError("NUL")
    return text


def _position(text: str) -> Position:
    time, _, row_id = text.partition(" ")
    return parse_moment(time, assume_utc=False), UUID(row_id)


def _cursor_position(text: str) -> tuple[str, str]:
    path, _, node_id = text.partition(" ")
    return node_id, path
