"""The main job with nothing replaced: every process real and separate, seen from outside as the mobile app sees it."""

import json
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest

from devstack import control
from devstack.app_client import App, Refused
from tests import leaks

pytestmark = pytest.mark.story
ROOT = Path(__file__).parent.parent


@pytest.fixture
def app(stack: control.Running) -> App:
    """A new user's phone."""
    app = App(stack.addresses["api"])
    app.register(f"story-{time.monotonic_ns()}@example.com", "a long password", "Story")
    return app


def finished(app: App, execution_id: str, seconds: float = 60) -> dict:
    deadline = time.monotonic() + seconds
    for state in app.watch(execution_id):
        if time.monotonic() > deadline:
            pytest.fail(f"still {state['status']} after {seconds} s: {state['waitingFor']}")
    return state


def test_a_stranger_runs_the_content_analysis_and_pays_what_the_receipt_says(app: App):
    workflow = app.instantiate("Content analysis")
    execution_id = app.execute(workflow["id"], (ROOT / "examples" / "review.txt").read_text())
    run = finished(app, execution_id)
    assert run["status"] == "success"
    assert run["output"]["sentiment"] == "positive"
    assert run["progress"] == 100
    states = {node["label"]: node["status"] for node in run["nodes"]}
    assert states["Analyse"] == "success"
    assert sorted(states.values()) == ["skipped", "success", "success", "success", "success"]
    receipt = run["receipt"]
    assert receipt["total"] == run["creditsCharged"] == pytest.approx(2.4)
    balance = app.call("GET", "/credits/balance")
    assert (balance["balance"], balance["held"]) == (pytest.approx(10 - 2.4), 0)
    logs = app.call("GET", f"/executions/{execution_id}/logs")["logs"]
    assert [line["seq"] for line in logs] == list(range(1, len(logs) + 1))
    assert logs[-1]["type"] == "execution.success"


def test_a_cancel_stops_an_agent_that_hangs(app: App):
    agent = {"id": "a", "type": "ai_agent", "label": "A", "config": {"prompt": "[[sim:hang]] Say something."}}
    workflow = app.save("Hangs", {"nodes": [agent], "connections": []})
    execution_id = app.execute(workflow["id"], None)
    for state in app.watch(execution_id):
        if state["status"] == "running" and state["nodes"][0]["status"] == "running":
            break
    app.call("POST", f"/executions/{execution_id}/cancel", {})
    assert finished(app, execution_id)["status"] == "cancelled"
    assert app.call("GET", "/credits/balance")["balance"] == 10


def test_killing_every_worker_in_mid_run_loses_and_repeats_nothing(app: App, stack: control.Running):
    slow = {"id": "a", "type": "ai_agent", "label": "A", "config": {"prompt": "[[sim:delay=3]] Count these words."}}
    first = {"id": "f", "type": "process", "label": "F", "config": {"expression": "1"}}
    last = {"id": "l", "type": "process", "label": "L", "config": {"expression": "nodes.a.output.text"}}
    connections = [{"id": "1", "from": "f", "to": "a"}, {"id": "2", "from": "a", "to": "l"}]
    workflow = app.save("Survives", {"nodes": [first, slow, last], "connections": connections})
    execution_id = app.execute(workflow["id"], None)
    for state in app.watch(execution_id, pause=0.05):
        if {node["nodeId"]: node["status"] for node in state["nodes"]}["a"] == "running":
            break
    for worker in execution_workers(stack.pid):
        worker.send_signal(signal.SIGKILL)
    run = finished(app, execution_id)
    assert run["status"] == "success"
    assert run["creditsCharged"] == pytest.approx(2.3)
    assert (
        len([line for line in app.call("GET", f"/executions/{execution_id}/logs")["logs"] if line["nodeId"] == "f"])
        == 1
    )


def test_a_worker_that_is_told_to_stop_hands_its_run_over_and_the_agent_is_not_asked_twice(
    app: App, stack: control.Running
):
    agent = {"id": "a", "type": "ai_agent", "label": "A", "config": {"prompt": "[[sim:delay=4]] Count these words."}}
    workflow = app.save("Rolls", {"nodes": [agent], "connections": []})
    execution_id = app.execute(workflow["id"], None)
    for state in app.watch(execution_id, pause=0.05):
        if state["nodes"][0]["status"] == "running":
            break
    (owner,) = row(stack, "SELECT lease_owner FROM workflow_executions WHERE id = %s", execution_id)
    for worker in sorted(execution_workers(stack.pid), key=lambda worker: owner.endswith(f":{worker.pid}")):
        worker.send_signal(signal.SIGTERM)  # its driver last: no other one that is about to leave takes the run over
        worker.wait(30)
    assert finished(app, execution_id)["status"] == "success"
    assert row(stack, "SELECT crashes, epoch FROM workflow_executions WHERE id = %s", execution_id) == (0, 2)
    types = [line["type"] for line in app.call("GET", f"/executions/{execution_id}/logs")["logs"]]
    assert types.count("node.started") == 2
    assert "node.retrying" not in types


def test_bad_input_is_refused_by_name_and_nothing_is_kept(app: App):
    nodes = [{"id": name, "type": "process", "label": name, "config": {}} for name in ("a", "b")]
    circle = [{"id": "1", "from": "a", "to": "b"}, {"id": "2", "from": "b", "to": "a"}]
    with pytest.raises(Refused) as refusal:
        app.save("Circle", {"nodes": nodes, "connections": circle})
    assert refusal.value.status == 422
    assert "a -> b -> a" in str(refusal.value) or "a → b → a" in str(refusal.value)
    assert app.call("GET", "/workflows")["count"] == 0


def test_flower_asks_for_its_password(stack: control.Running):
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(stack.addresses["flower"], timeout=10)
    assert refusal.value.code == 401
    refusal.value.close()


def test_no_secret_is_written_down_anywhere(stack: control.Running):
    """Each is put to all its uses first; what identifies a user is found, so the search can find things."""
    app, mark = App(stack.addresses["api"]), secrets.token_hex(10)
    password, changed, key = f"Password-{mark}", f"Changed-{mark}", f"sk-proj-{mark}{mark}"
    user = app.register(f"canary-{mark}@example.com", password, "Canary")
    tokens = [app.token]
    app.call("PUT", "/api-keys/openai", {"key": key})
    access_key = app.call("POST", "/access-keys", {"name": "Canary"})["key"]
    agent = {"id": "a", "type": "ai_agent", "label": "A", "config": {"prompt": "Count.", "provider": "openai"}}
    workflow = app.save("Canary", {"nodes": [agent], "connections": []})
    app.token = access_key
    execution_id = app.execute(workflow["id"], None)
    finished(app, execution_id)
    app.token = tokens[0]
    app.call("POST", "/auth/change-password", {"currentPassword": password, "newPassword": changed})
    for wrong in (password, f"Wrong-{mark}"):
        with pytest.raises(Refused):
            app.call("POST", "/auth/login", {"email": user["email"], "password": wrong})
    tokens.append(app.call("POST", "/auth/login", {"email": user["email"], "password": changed})["token"])
    given = {
        "password": password,
        "changed password": changed,
        "wrong password": f"Wrong-{mark}",
        "access key": access_key,
    }
    given |= {"provider key": key, **{f"token {n}": token.rpartition(".")[2] for n, token in enumerate(tokens)}}
    hidden = given | leaks.secrets_of_the_service(stack)
    assert len(hidden) > len(given) + 3
    seen = dict(leaks.places(stack, Path(stack_directory(stack)) / "stack.log"))
    assert [
        (name, place) for place, text in seen.items() for name in hidden if leaks.found_in(text, hidden[name])
    ] == []
    assert leaks.found_in(seen["table users"], user["email"])
    assert execution_id in seen["log"]
    assert execution_id in seen["flower/api/tasks?limit=1000"]


def stack_directory(stack: control.Running) -> str:
    return psutil.Process(stack.pid).environ()["DEVSTACK_DIR"]


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.json")), ids=lambda path: path.stem)
def test_every_example_runs(stack: control.Running, example: Path):
    env = psutil.Process(stack.pid).environ()  # the demo must find this stack, not one of the developer's
    demo = [sys.executable, "-m", "devstack.demo", "--workflow", str(example)]
    answer = subprocess.run(demo, cwd=ROOT, env=env, capture_output=True, text=True, timeout=90, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert json.loads(example.read_text())["name"] in answer.stdout


def row(stack: control.Running, query: str, *values: str) -> tuple[Any, ...]:
    """What the database has."""
    with closing(psycopg2.connect(stack.addresses["database"])) as connection, connection.cursor() as cursor:
        cursor.execute(query, values)
        return cursor.fetchone()


def execution_workers(supervisor: int) -> list[psutil.Process]:
    """The processes that drive executions."""
    children = psutil.Process(supervisor).children(recursive=True)
    found = [child for child in children if "executions.high,executions.normal,executions.low" in child.cmdline()]
    assert found
    return found
