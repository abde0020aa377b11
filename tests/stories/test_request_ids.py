"""A request's id leads from the API through every line that workers log for it."""

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from devstack import control
from devstack.app_client import AppClient
from models.rules.prices.pricing import Provider
from tests.support.engine import every_node
from tests.support.stack.processes import eventually
from tests.support.stack.running import log_of, row, running_stack
from tests.test_story import finished, new_app

pytestmark = pytest.mark.faults
REQUEST = "shown-to-support.1"
AI_AGENT = {"provider": "openai", "prompt": "[[sim:429*1]] Say something."}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[control.RunningStack]:
    """The whole stack, whose processes log JSON as in production."""
    with running_stack(tmp_path_factory.mktemp("stack"), LOG_FORMAT="json") as stack:
        yield stack


def events(stack: control.RunningStack) -> list[dict[str, Any]]:
    """The logged events with the name of their process."""
    lines = [line.partition(" | ") for line in log_of(stack).splitlines() if " | {" in line]
    return [{"process": name.strip(), **json.loads(event)} for name, _, event in lines]


def submitted(app: AppClient) -> str:
    """The id of a run, submitted under `REQUEST`, whose call is refused at first, which a thread of a pool logs."""
    every_node.prepare(app, Provider.OPENAI)
    workflow = app.save(
        "Seen", {"nodes": [{"id": "a", "type": "ai_agent", "label": "A", "config": AI_AGENT}], "connections": []}
    )
    headers = {"Authorization": f"Bearer {app.token}", "Content-Type": "application/json", "X-Request-ID": REQUEST}
    address = f"{app.url}/api/workflows/{workflow['id']}/execute"
    with urllib.request.urlopen(urllib.request.Request(address, b"{}", headers), timeout=30) as answer:
        return str(json.load(answer)["executionId"])


def test_every_line_of_a_run_has_the_id_of_its_request(stack: control.RunningStack):
    app = new_app(stack)
    execution_id = submitted(app)
    assert finished(app, execution_id)["status"] == "success"
    eventually(lambda: any(one["event"] == "execution.left" for one in events(stack)))
    about = [one for one in events(stack) if one.get("execution_id") == execution_id and one["process"] != "api"]
    assert {one["event"] for one in about} >= {"limiter.halved", "execution.left"}
    assert {one.get("request_id") for one in about} == {REQUEST}
    named = [one for one in events(stack) if one.get("request_id") == REQUEST]
    assert {one["process"].partition("-")[0] for one in named} == {"api", "worker"}
    (served,) = [one for one in named if one["event"] == "request.served"]
    assert served["route"] == "/workflows/<uuid:workflow_id>/execute"
    assert row(stack, "SELECT request_id FROM workflow_executions WHERE id = %s", execution_id) == (REQUEST,)


def test_the_event_of_a_webhook_keeps_the_id_of_its_delivery(stack: control.RunningStack):
    app = new_app(stack)
    app.call("POST", "/credits/purchase", {"packageId": "pack_100", "paymentMethodId": "pm_card_visa"})
    deliveries = "SELECT count(*), array_agg(DISTINCT request_id) FROM stripe_events HAVING count(*) > 0"
    eventually(lambda: row(stack, deliveries) is not None)
    known = {one["request_id"] for one in events(stack) if one.get("route") == "/webhooks/stripe"}
    assert set(row(stack, deliveries)[1]) <= known
