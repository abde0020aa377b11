"""What a run cost, item by item and line by line. Items and lines, each with the run's fee, add up to its total.

Everything that was charged is one line: a node, in one iteration. Items sum a node's lines up, so that a loop of ten
thousand iterations does not weigh on whoever watches the run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from models.base import Json
from models.execution import Execution
from models.receipt import Receipt
from models.rules.subworkflows import TYPE as SUBWORKFLOW
from models.services.progress import Outline, Recorded, outline, recorded

# In the order of the primary key, so that the last page costs no more than the first.
_LINES = text("""
    SELECT node_id, path, attempt, credits, finished_at
      FROM node_executions
     WHERE execution_id = :execution AND credits > 0 AND (node_id, path) > (:after_node, :after_path)
     ORDER BY node_id, path LIMIT :limit OFFSET :offset
""")
# All that the run started, whatever started it in turn.
_CHILDREN = text("""
    WITH RECURSIVE below AS (
        SELECT id, credits_charged FROM workflow_executions WHERE parent_execution_id = :execution
         UNION ALL
        SELECT c.id, c.credits_charged FROM below b JOIN workflow_executions c ON c.parent_execution_id = b.id
    )
    SELECT count(*), coalesce(sum(credits_charged), 0) FROM below
""")
_AMOUNTS = frozenset({"unitPrice", "amount", "runFee", "total", "held", "released"})
_START = ("", "")  # before every node


@dataclass(frozen=True)
class Line:
    """One charge: `path` names the iteration, from the outermost loop in; `price` in credits."""

    node_id: str
    label: str
    type: str
    path: str
    attempts: int
    price: Decimal
    charged_at: datetime | None


def receipt(session: Session, execution: Execution, found: Recorded | None = None) -> dict[str, Json]:
    """The receipt as the wire shows it; amounts are credits.

    `runs` counts what was charged (iterations), `attempts` what it took; `final` says that nothing more will be
    charged. Nodes stand in the order of the graph.
    """
    found = found or recorded(session, execution)
    nodes = outline(session, execution.version_id)
    items = [item for node in nodes if (item := _item(node, found))]
    children = (0, Decimal(0))
    if any(node.type == SUBWORKFLOW for node in nodes):
        children = below(session, execution.id)
    return {
        "priceList": execution.price_list,
        "items": items,
        "runFee": found.total - sum((item["amount"] for item in items), Decimal(0)),
        "total": found.total,
        "held": found.cap,
        "released": found.cap - found.total if found.is_final else Decimal(0),
        "final": found.is_final,
        "children": {"runs": children[0], "amount": children[1]},
    }


def below(session: Session, execution_id: UUID) -> tuple[int, Decimal]:
    """How many runs a run started, with all that they started, and what was charged for them so far."""
    runs, amount = session.execute(_CHILDREN, {"execution": execution_id}).one()
    return runs, amount


def lines(
    session: Session, execution: Execution, *, limit: int = 50, offset: int = 0, after: tuple[str, str] | None = None
) -> Sequence[Line]:
    """A page of a run's charges, by node and iteration; `after` is node and path of the last line seen."""
    node_id, path = after or _START
    asked = {"execution": execution.id, "after_node": node_id, "after_path": path, "limit": limit, "offset": offset}
    nodes = {node.id: node for node in outline(session, execution.version_id)}
    return [
        Line(row.node_id, nodes[row.node_id].label, nodes[row.node_id].type, *row[1:])
        for row in session.execute(_LINES, asked)
    ]


def kept(session: Session, user_id: UUID, execution_id: UUID) -> dict[str, Json] | None:
    """The receipt of a run of this user whose history was pruned; None for any other run."""
    document = session.scalar(
        select(Receipt.document).where(Receipt.execution_id == execution_id, Receipt.user_id == user_id)
    )
    return None if document is None else _exact(document)


def as_stored(document: Mapping[str, Json]) -> Json:
    """A receipt as it is put aside: amounts are text, so that they stay exact."""
    return orjson.loads(orjson.dumps(document, default=str))


def _exact(value: Json, name: str = "") -> Json:
    if isinstance(value, dict):
        return {key: _exact(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [_exact(inner) for inner in value]
    return Decimal(value) if name in _AMOUNTS else value


def _item(node: Outline, found: Recorded) -> dict[str, Any] | None:
    rows = [row for row in (found.top.get(node.id), found.repeated.get(node.id)) if row is not None and row.charges]
    if not rows:
        return None
    return {
        "nodeId": node.id,
        "label": node.label,
        "type": node.type,
        "runs": sum(row.charges for row in rows),
        "attempts": int(sum(row.charged_attempts for row in rows)),
        "unitPrice": max(row.unit_price for row in rows),
        "amount": sum((row.credits for row in rows), Decimal(0)),
    }
