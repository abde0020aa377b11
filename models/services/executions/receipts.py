"""Receipts of runs, by node (items) and by charge (lines). Items and lines, each with the run's fee, give its total.

A line is the charge of a node in one iteration. An item adds up the lines of a node, so that a receipt stays small even
with ten thousand iterations.
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

from models.rules.lint.subworkflows import TYPE as SUBWORKFLOW
from models.rules.values.run_limits import RUN_LIMITS
from models.serialization import Json
from models.services.executions.node_states import NodeOutline, Recorded, outline, recorded
from models.tables import Execution, Receipt

# In the order of the primary key, so that the last page is as fast as the first.
_LINES = text("""
    SELECT node_id, path, attempt, credits, finished_at, status, error->>'code' AS code,
           coalesce((external_ref->>'repeated')::int, 0) AS repeated
      FROM node_executions
     WHERE execution_id = :execution AND credits > 0 AND (node_id, path) > (:after_node, :after_path)
     ORDER BY node_id, path LIMIT :limit OFFSET :offset
""")
# All runs below a run, at any depth.
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
class ReceiptLine:
    """A charge: `path` names the iteration, from the outermost loop inwards; `price` is in credits."""

    node_id: str
    label: str
    type: str
    path: str
    attempts: int
    price: Decimal
    charged_at: datetime | None
    status: str
    code: str | None  # of its error
    repeated: int = 0  # earlier attempts that were abandoned after they were sent

    @property
    def reason(self) -> str:
        """Why it is charged, and whether its provider may have charged more."""
        if not self.repeated:
            return self._reason
        times = "one more time" if self.repeated == 1 else f"{self.repeated} more times"
        return f"{self._reason} It was sent {times} and interrupted, which its provider may charge; we do not."

    @property
    def _reason(self) -> str:
        if self.status == "failed":
            return f"It failed because of the workflow, or after its request was sent ({self.code})."
        if self.status == "cancelled":
            return "It was cancelled after its request was sent."
        return "It succeeded."


def receipt(session: Session, execution: Execution, found: Recorded | None = None) -> dict[str, Json]:
    """The receipt as the API shows it; amounts are credits, items are in the order of the graph.

    `runs` counts the charged iterations of a node, `attempts` their attempts; `final` means that nothing more will be
    charged.
    """
    found = found or recorded(session, execution)
    nodes = outline(session, execution.version_id).nodes
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
        "technical": technical(execution),
    }


def technical(execution: Execution) -> dict[str, Json]:
    """The steps that the run's expressions took in the sandbox, and the bytes that it stores, with their limits.

    The driver of a run updates both numbers regularly.
    """
    return {
        "fuel": {"used": execution.fuel_spent, "limit": RUN_LIMITS.fuel},
        "bytes": {"used": execution.stored_bytes, "limit": RUN_LIMITS.bytes},
    }


def below(session: Session, execution_id: UUID) -> tuple[int, Decimal]:
    """The number of runs below a run, at any depth, and the credits charged for them so far."""
    runs, amount = session.execute(_CHILDREN, {"execution": execution_id}).one()
    return runs, amount


def lines(
    session: Session, execution: Execution, *, limit: int = 50, offset: int = 0, after: tuple[str, str] | None = None
) -> Sequence[ReceiptLine]:
    """A page of a run's charges, ordered by node and path; `after` is node id and path of the last line seen."""
    node_id, path = after or _START
    values = {"execution": execution.id, "after_node": node_id, "after_path": path, "limit": limit, "offset": offset}
    nodes = {node.id: node for node in outline(session, execution.version_id).nodes}
    return [
        ReceiptLine(row.node_id, nodes[row.node_id].label, nodes[row.node_id].type, *row[1:])
        for row in session.execute(_LINES, values)
    ]


def kept(session: Session, user_id: UUID, execution_id: UUID) -> dict[str, Json] | None:
    """The stored receipt of a pruned run of this user; None for any other run."""
    document = session.scalar(
        select(Receipt.document).where(Receipt.execution_id == execution_id, Receipt.user_id == user_id)
    )
    return None if document is None else {"technical": None, **_exact(document)}  # older documents have none


def as_stored(document: Mapping[str, Json]) -> Json:
    """A receipt in the form in which it is stored: amounts are text, so that they stay exact."""
    return orjson.loads(orjson.dumps(document, default=str))


def _exact(value: Json, name: str = "") -> Json:
    if isinstance(value, dict):
        return {key: _exact(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [_exact(inner) for inner in value]
    return Decimal(value) if name in _AMOUNTS else value


def _item(node: NodeOutline, found: Recorded) -> dict[str, Any] | None:
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
