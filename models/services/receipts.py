"""What a run cost, item by item. The items and the run's fee add up to its total, always."""

from decimal import Decimal
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.base import Json
from models.execution import Execution
from models.services.progress import outline

_ITEMS = text("""
    SELECT node_id, count(*) AS runs, sum(attempt) AS attempts, max(credits) AS unit_price, sum(credits) AS amount
      FROM node_executions WHERE execution_id = :execution AND credits > 0 GROUP BY node_id
""")


def receipt(session: Session, execution: Execution) -> dict[str, Json]:
    """The receipt as the wire shows it; amounts are credits.

    `runs` counts what was charged (iterations), `attempts` what it took; `final` says that nothing more will be
    charged. Nodes stand in the order of the graph.
    """
    charged = {row.node_id: row for row in session.execute(_ITEMS, {"execution": execution.id})}
    items: list[dict[str, Any]] = [
        {
            "nodeId": node.id,
            "label": node.label,
            "type": node.type,
            "runs": charged[node.id].runs,
            "attempts": int(charged[node.id].attempts),
            "unitPrice": charged[node.id].unit_price,
            "amount": charged[node.id].amount,
        }
        for node in outline(session, execution.version_id)
        if node.id in charged
    ]
    nodes = sum((item["amount"] for item in items), Decimal(0))
    is_final = execution.finished_at is not None
    return {
        "priceList": execution.price_list,
        "items": items,
        "runFee": execution.credits_charged - nodes,
        "total": execution.credits_charged,
        "held": execution.credits_cap,
        "released": execution.credits_cap - execution.credits_charged if is_final else Decimal(0),
        "final": is_final,
    }
