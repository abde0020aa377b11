"""Workflow files, as in `examples/`: read one, save it with its subworkflows, and provide the credits for it."""

import json
from decimal import Decimal
from pathlib import Path
from uuid import UUID

from devstack.app_client import AppClient
from models.db import session_scope
from models.rules.prices.pricing import Tier
from models.serialization import Json
from models.services.accounts import administration
from models.services.credits import ledger
from models.tables import User


def read(path: Path, addresses: dict[str, str]) -> Json:
    """A workflow file: `{name, nodes, connections, exampleInput}`; `$DEMO_API` in it is the simulated public API."""
    text = path.read_text().replace("$DEMO_API", f"{addresses.get('ai_simulator', '')}/demo")
    document = json.loads(text)
    if not isinstance(document, dict) or "nodes" not in document:
        raise ValueError(f"{path} is not a workflow file: it has no `nodes`.")
    return document


def with_parts(app: AppClient, document: Json) -> Json:
    """Save the subworkflows that a file contains; `$WORKFLOW:name` in it is replaced by the id of one."""
    text = json.dumps(document)
    for name, part in document.get("workflows", {}).items():
        saved = app.save(part["name"], graph(part))
        text = text.replace(f"$WORKFLOW:{name}", saved["id"])
    return json.loads(text)


def graph(document: Json) -> Json:
    """The part of a file that is saved as the workflow."""
    return {"nodes": document["nodes"], "connections": document.get("connections", [])}


def provide_for(app: AppClient, user_id: UUID, document: Json) -> Decimal:
    """Give a new account the tier and the credits that a large workflow needs; return the credits added.

    This process must be connected to the stack's database.
    """
    with session_scope() as session:
        session.get_one(User, user_id).subscription_tier = Tier.ENTERPRISE
    verdict = app.call("POST", "/workflows/validate", graph(document))
    with session_scope() as session:
        worst_case = Decimal(str(verdict.get("worstCaseCredits") or 0))
        missing = worst_case - ledger.balance(session, user_id).available
        if missing > 0:
            how = {"reason": "Demo credits", "address": None, "key": f"demo:{user_id}:{document.get('name')}"}
            administration.adjust(session, None, user_id, amount=missing, **how)
    return max(missing, Decimal(0))
