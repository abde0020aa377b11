"""`python -m devstack.demo`: act as the mobile app and run a workflow on the stack, which is started if needed.

WORKFLOW names a workflow file; without it the gallery's content analysis runs. INPUT is a file or the value itself.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from uuid import UUID

from rich.console import Console
from rich.markup import escape

from devstack import control, demo_user, health, workflow_files
from devstack.app_client import AppClient, AppClientError
from devstack.credentials import credentials
from devstack.demo_view import RunView, show_receipt, show_result
from devstack.processes.process import DevstackError
from models.db import connect
from models.serialization import Json

EXAMPLES = Path(__file__).parent.parent / "examples"
TEMPLATE = "Content analysis"
TEXT = EXAMPLES / "review.txt"


def main() -> int:
    """Run the demo; status 1 when the run does not succeed, or the stack is not well after it."""
    arguments = _arguments()
    console = Console()
    try:
        with console.status("Starting PostgreSQL, Redis, the API, workers, beat, Flower and the simulators ..."):
            stack = control.ensure_up(control.stack_directory(), os.environ)
        for notice in stack.notices:
            console.print(notice, highlight=False, soft_wrap=True)
        password = credentials(control.stack_directory()).demo_password
        succeeded = _play(console, stack.addresses, password, arguments.workflow, arguments.input)
        return 0 if _is_well(console, stack.addresses["api"]) and succeeded else 1
    except (DevstackError, AppClientError, OSError, ValueError) as error:
        console.print(f"[bold red]The demo stopped:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        return 1


def _play(console: Console, addresses: dict[str, str], password: str, workflow_file: str, given: str) -> bool:
    app, is_new = demo_user.signed_in(addresses["api"], addresses.get("mail"), password)
    user = app.call("GET", "/auth/me")["user"]
    console.print(f"Signed in as [bold]{user['email']}[/], tier {user['subscriptionTier']}.", highlight=False)
    if is_new and "mail" in addresses:  # with a real mail server there is no link to follow, and no welcome credits
        mail = addresses["mail"]
        console.print(f"Followed the link in the mail at {mail}: the address is verified.", highlight=False)
    _buy_credits(console, app)
    if workflow_file:
        document = workflow_files.with_parts(app, workflow_files.read(Path(workflow_file), addresses))
        connect(addresses["database"], pool_size=1)
        if added := workflow_files.provide_for(app, UUID(user["id"]), document):
            console.print(f"The operator added {added} credits, so that the account can pay for the worst case.")
        workflow = app.save(document.get("name", Path(workflow_file).stem), workflow_files.graph(document))
        value = _value(given) if given else document.get("exampleInput")
    else:
        workflow = app.workflow(TEMPLATE) or app.instantiate(TEMPLATE)
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
    _print_addresses(console, addresses, execution_id, password)
    return bool(run["status"] == "success")


def _print_addresses(console: Console, addresses: dict[str, str], execution_id: str, password: str) -> None:
    login = f"(sign in as {demo_user.EMAIL}, password {password})"
    if "console" in addresses:
        console.print(
            f"\nConsole [bold]{addresses['console']}runs/{execution_id}[/]  {login}", highlight=False, soft_wrap=True
        )
    console.print(
        f"API     {addresses['api']}/api/executions/{execution_id}\n"
        f"Metrics {addresses['metrics']}\n"
        f"Flower  {addresses['flower']}  (user {addresses['flower_user']}, password {addresses['flower_password']})\n"
        "Everything keeps running; `make down` stops it.",
        highlight=False,
        soft_wrap=True,
    )


def _is_well(console: Console, url: str) -> bool:
    """Print the stack's health; return whether it is up."""
    said = health.ask_until_up(url)
    troubles = health.troubles(said)
    colour = "red" if said["overall"] != "up" else "green"
    console.print(f"Health  {url}/health: [bold {colour}]{said['overall']}[/]", highlight=False, soft_wrap=True)
    for trouble in troubles:
        console.print(f"        {escape(trouble)}", highlight=False, soft_wrap=True)
    return bool(said["overall"] == "up")


def _buy_credits(console: Console, app: AppClient) -> None:
    purchase = app.call("POST", "/credits/purchase", {"packageId": "pack_100", "paymentMethodId": "pm_card_visa"})
    balance = app.call("GET", "/credits/balance")["balance"]
    console.print(
        f"Bought {purchase['credits']} credits for ${purchase['amount']:.2f} with a test card ({purchase['status']}); "
        f"the balance is [bold]{balance:.2f}[/].",
        highlight=False,
    )


def _value(given: str) -> Json:
    """The value of INPUT: a file's content or the text itself, parsed when it is JSON."""
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
