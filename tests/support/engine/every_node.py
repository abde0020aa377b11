"""A workflow with every node type, for one provider, and how a user runs it."""

import time
from itertools import pairwise
from typing import Any

from devstack.app_client import FINAL_STATUSES, AppClient
from models.rules.nodes import KINDS
from models.rules.prices.pricing import Provider
from models.serialization import Json

KEYS = {  # OpenClaw uses the service's own token
    Provider.OPENAI: "sk-proj-canary-0123456789",
    Provider.ANTHROPIC: "sk-ant-api03-canary-0123456789",
    Provider.GOOGLE: "AIzaCanary0123456789012345678901234567",
}


def run(app: AppClient, provider: Provider, address: str) -> Json:
    """Run the workflow as a new user (a user may keep only few workflows); return its end state."""
    prepare(app, provider)
    return run_once(app, save(app, provider, address))


def prepare(app: AppClient, provider: Provider) -> None:
    """Buy credits and store the provider's key."""
    app.call("POST", "/credits/purchase", {"packageId": "pack_100", "paymentMethodId": "pm_card_visa"})
    if provider in KEYS:
        app.call("PUT", f"/api-keys/{provider}", {"key": KEYS[provider]})


def save(app: AppClient, provider: Provider, address: str) -> str:
    """Save the workflow and return its id; a child run asks the provider for each word, and `address` serves a GET."""
    asking = [
        _node("each", "loop", items="{{ input }}", concurrency=2, maxIterations=5),
        _node("agent", "ai_agent", provider=provider, prompt="Count these words: {{ item }}") | {"parentId": "each"},
    ]
    part = app.save(f"Ask {provider}", {"nodes": asking, "connections": []})["id"]
    nodes = [
        _node("given", "input", inputType="json"),
        _node("call", "api_call", method="GET", url=address),
        _node("many", "decision", condition="nodes.given.output.length > 1"),
        _node("either", "merge", mode="any"),
        _node("part", "subworkflow", workflowId=part, input="{{ nodes.given.output }}"),
        _node("number", "process", expression="nodes.part.output.length"),
        _node("pause", "wait", seconds=1),
        _node("ask", "approval", message="Go on?"),
        _node("end", "output", outputType="json", value="{{ nodes.number.output }}"),
    ]
    assert {node["type"] for node in nodes + asking} == set(KINDS)
    pairs: list[dict[str, str]] = [{"from": a, "to": b} for a, b in pairwise(node["id"] for node in nodes)]
    pairs[2]["fromPort"] = "true"
    pairs.append({"from": "many", "to": "either", "fromPort": "false"})
    connections = [{"id": str(number)} | pair for number, pair in enumerate(pairs)]
    return app.save(f"Everything with {provider}", {"nodes": nodes, "connections": connections})["id"]


def run_once(app: AppClient, workflow_id: str, seconds: float = 60) -> Json:
    """Run it, approve its question, and return its end state."""
    execution_id = app.execute(workflow_id, ["one two", "three"])
    until = time.monotonic() + seconds
    approved = False
    while True:
        for state in app.watch(execution_id):
            if time.monotonic() > until:
                raise TimeoutError(f"still {state['status']} after {seconds} s: {state['waitingFor']}")
            if state["status"] in FINAL_STATUSES:
                return state
            if not approved and any(n["nodeId"] == "ask" and n["status"] == "waiting" for n in state["nodes"]):
                app.call("POST", f"/executions/{execution_id}/approvals/ask", {"approved": True})
                approved = True


def _node(node_id: str, kind: str, **config: Any) -> dict[str, Any]:
    return {"id": node_id, "type": kind, "label": node_id, "config": config}
