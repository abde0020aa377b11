"""`python -m devstack.demo`: acts as the mobile app and runs a workflow on the stack, which it starts if needed.

WORKFLOW names a workflow file; without it the gallery's content analysis runs. INPUT is a file or the value itself.
"""

import argparse
import json
import os
import secrets
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from rich.console import Console
from rich.markup import escape

from devstack import control
from devstack.app_client import App, Refused
from devstack.demo_view import RunView, show_receipt, show_result
from devstack.process import DevstackError
from models.db import connect, session_scope
from models.rules.pricing import Tier
from models.services import credits
from models.user import User

Json = Any
EXAMPLES = Path(__file__).parent.parent / "examples"
TEMPLATE = "Content analysis"
TEXT = EXAMPLES / "review.txt"


def main() -> int:
    """Run the demo; status 1 when the run does not succeed."""
    arguments = _arguments()
    console = Console()
    try:
        with console.status("Starting PostgreSQL, Redis, the API, workers, beat, Flower and the simulators ..."):
            stack = control.ensure_up(control.stack_directory(), os.environ)
        return 0 if _play(console, stack.addresses, arguments.workflow, arguments.input) else 1
    except (DevstackError, Refused, OSError, ValueError) as error:
        console.print(f"[bold red]The demo stopped:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        return 1


def _play(console: Console, addresses: dict[str, str], workflow_file: str, given: str) -> bool:
    app = App(addresses["api"])
    user = app.register(f"demo-{secrets.token_hex(4)}@example.com", secrets.token_urlsafe(12), "Demo")
    console.print(f"Registered [bold]{user['email']}[/], tier {user['subscriptionTier']}.", highlight=False)
    _buy_credits(console, app)
    if workflow_file:
        document = _with_parts(app, _document(Path(workflow_file), addresses))
        verdict = app.call("POST", "/workflows/validate", _graph(document))
        _prepare_account(console, addresses, UUID(user["id"]), verdict)
        workflow = app.save(document.get("name", Path(workflow_file).stem), _graph(document))
        value = _value(given) if given else document.get("exampleInput")
    else:
        workflow = app.instantiate(TEMPLATE)
        value = _value(given) if given else TEXT.read_text()
    console.print(f"Saved workflow [bold]{workflow['name']}[/] with {len(workflow['nodes'])} nodes.\n", highlight=False)
    execution_id = app.execute(workflow["id"], value)
    run: Json = {}
    with RunView(console) as view:
        for run in app.watch(execution_id):
            view.show(run)
    console.print()
    show_result(console, run)
    show_receipt(console, run["receipt"], app.call("GET", "/credits/balance"))
    console.print(
        f"\nAPI     {addresses['api']}/api/executions/{execution_id}\n"
        f"Flower  {addresses['flower']}  (user {addresses['flower_user']}, password {addresses['flower_password']})\n"
        "Everything keeps running; `make down` stops it.",
        highlight=False,
        soft_wrap=True,
    )
    return bool(run["status"] == "success")


def _buy_credits(console: Console, app: App) -> None:
    purchase = app.call("POST", "/credits/purchase", {"packageId": "pack_100", "paymentMethodId": "pm_card_visa"})
    balance = app.call("GET", "/credits/balance")["balance"]
    console.print(
        f"Bought {purchase['credits']} credits for ${purchase['amount']:.2f} with a test card ({purchase['status']}); "
        f"with the welcome credits the balance is [bold]{balance:.2f}[/].",
        highlight=False,
    )


def _prepare_account(console: Console, addresses: dict[str, str], user_id: UUID, verdict: Json) -> None:
    """Large workflows need a larger tier and more credits than a new account has; here the operator gives them."""
    connect(addresses["database"], pool_size=1)
    with session_scope() as session:
        session.get_one(User, user_id).subscription_tier = Tier.ENTERPRISE
        worst_case = Decimal(str(verdict.get("worstCaseCredits") or 0))
        missing = worst_case - credits.balance(session, user_id).available
        if missing > 0:
            credits.grant(session, user_id, missing, key=f"demo:{user_id}", reason="Demo credits", source="adjustment")
            console.print(f"The operator added {missing} credits: this workflow may cost up to {worst_case}.")


def _document(path: Path, addresses: dict[str, str]) -> Json:
    """A workflow file: `{name, nodes, connections, exampleInput}`; `$DEMO_API` in it is the simulated public API."""
    text = path.read_text().replace("$DEMO_API", f"{addresses.get('ai_simulator', '')}/demo")
    document = json.loads(text)
    if not isinstance(document, dict) or "nodes" not in document:
        raise ValueError(f"{path} is not a workflow file: it has no `nodes`.")
    return document


def _with_parts(app: App, document: Json) -> Json:
    """Save the workflows that a file brings along to be run by its own; `$WORKFLOW:name` in it is the id of one."""
    text = json.dumps(document)
    for name, part in document.get("workflows", {}).items():
        saved = app.save(part["name"], _graph(part))
        text = text.replace(f"$WORKFLOW:{name}", saved["id"])
    return json.loads(text)


def _graph(document: Json) -> Json:
    return {"nodes": document["nodes"], "connections": document.get("connections", [])}


def _value(given: str) -> Json:
    """What INPUT says: a file's content or the text itself, parsed when it is JSON."""
    path = Path(given)
    text = path.read_text() if len(given) < 1000 and path.is_file() else given
    try:
        return json.loads(text)
    except ValueError:
        return text


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--workflow", default=os.environ.get("WORKFLOW", ""), help="a workflow file")
    parser.add_argument("--input", default=os.environ.get("INPUT", ""), help="a file, or the value itself")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
