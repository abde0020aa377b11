"""Uses the generated Python client: opens an account, saves a workflow, runs it and waits for its end.

`make clients` generates the client, checks the types of this file with it, and runs it: python use_client.py URL MAIL,
where MAIL is the address of the development stack's mail catcher. The run is paid with the welcome credits, which come
once the link in the mail was followed.
"""

import sys
import time
from secrets import token_hex

import httpx
from agentforge_client import AuthenticatedClient, Client
from agentforge_client.api.auth import auth_register
from agentforge_client.api.executions import executions_get
from agentforge_client.api.workflows import workflows_create, workflows_execute
from agentforge_client.models import (
    Accepted,
    ExecuteIn,
    FullExecution,
    RegisterIn,
    SignedIn,
    WorkflowIn,
    WorkflowsCreateResponse201,
)

GRAPH = {
    "nodes": [
        {"id": "in", "type": "input", "label": "Question", "position": {"x": 0, "y": 0}, "config": {}},
        {
            "id": "out",
            "type": "output",
            "label": "Answer",
            "position": {"x": 200, "y": 0},
            "config": {"value": "{{ nodes['in'].output }}"},
        },
    ],
    "connections": [{"id": "c", "from": "in", "to": "out"}],
}


def main(url: str, mail: str) -> None:
    """Run a workflow that says what it hears."""
    account = RegisterIn(email=f"client-{token_hex(6)}@example.com", password=token_hex(12), name="A client")
    signed_in = auth_register.sync(client=Client(url), body=account)
    assert isinstance(signed_in, SignedIn), signed_in
    assert isinstance(signed_in.token, str), "Only browsers, which ask for a cookie, get no token."
    follow_link(url, mail, account.email)
    client = AuthenticatedClient(url, token=signed_in.token)
    saved = workflows_create.sync(client=client, body=WorkflowIn.from_dict({"name": "Echo", **GRAPH}))
    assert isinstance(saved, WorkflowsCreateResponse201), saved
    accepted = workflows_execute.sync(saved.workflow.id, client=client, body=ExecuteIn(input_="hello"))
    assert isinstance(accepted, Accepted), accepted
    run = finished(client, accepted)
    assert (run.status, run.output) == ("success", "hello"), run
    sys.stdout.write(f"{run.workflow_name} said {run.output!r} for {run.credits_charged} credits.\n")


def follow_link(url: str, mail: str, email: str) -> None:
    """Confirm the address as its owner does, by the button on the page to which the mail's link leads."""
    for _ in range(30):
        mails = httpx.get(f"{mail}/messages.json").json()["mails"]
        words = [word for found in mails if email in found["to"] for word in found["text"].split()]
        for token in (word.partition("/verify#")[2] for word in words if "/verify#" in word):
            httpx.post(f"{url}/auth/verify", json={"token": token}).raise_for_status()
            return
        time.sleep(1)
    raise TimeoutError(f"No mail for {email} arrived at {mail}.")


def finished(client: AuthenticatedClient, accepted: Accepted) -> FullExecution:
    """The run once it is over; asks for at most a minute."""
    for _ in range(60):
        run = executions_get.sync(accepted.execution_id, client=client)
        if isinstance(run, FullExecution) and run.status in ("success", "failed", "cancelled"):
            return run
        time.sleep(1)
    raise TimeoutError(f"The run {accepted.execution_id} is not over after a minute.")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
