"""The main job with nothing replaced: every process real and separate, seen from outside as the mobile app sees it."""

import json
import os
import re
import signal
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple
from pathlib import Path

import pytest

from devstack import control, health, workflow_files
from devstack.app_client import AppClient, AppClientError
from devstack.servers.ports import Ports
from models.db import SessionFactory, connect
from models.rules.prices.pricing import Provider
from roles import READS, SECRETS, ProcessRole
from tests.support.engine import every_node
from tests.support.stack import canary, leaks, running
from tests.support.stack.processes import command_of, descendants, eventually, is_alive
from tests.support.stack.running import directory_of, execution_workers, log_of, output_of, row, status_of

pytestmark = pytest.mark.story
ROOT = Path(__file__).parent.parent
SHOWN = ("api", "metrics", "flower", "mail", "stripe_simulator", "openclaw", "ai_simulator")  # on the screen
PRESENT = "SELECT array_agg(split_part(name, '@', 1)) FROM workers WHERE seen_at > now() - make_interval(secs => %s)"
UNSENT = "SELECT count(*) FROM notifications WHERE status IN ('pending', 'sending') AND next_try_at <= now()"
PRESENCE_SECONDS = 2  # between two reports of a worker, as the fixture has it
# What a console's line of such a level has, of ours and of libraries, of Celery, of PostgreSQL; and any traceback.
WRONG = re.compile(r"\[(error|critical) *\]|\b(ERROR|CRITICAL|FATAL|PANIC)\b|Traceback \(most recent")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[control.RunningStack]:
    """One for all tests here, started by two at once, where other programs have all the usual ports."""
    directory, env = tmp_path_factory.mktemp("stack"), running.SYSTEM | running.QUICK
    try:
        with running.usual_ports_taken(), ThreadPoolExecutor(2) as pool:
            first, second = pool.map(control.ensure_up, [directory] * 2, [env] * 2)
        assert first == second
        yield first
    finally:
        control.stop(directory)


@pytest.fixture
def app(stack: control.RunningStack) -> AppClient:
    """A new user's phone."""
    return new_app(stack)


def new_app(stack: control.RunningStack) -> AppClient:
    app = AppClient(stack.addresses["api"])
    user = app.register(f"story-{time.monotonic_ns()}@example.com", "a long password", "Story")
    app.verify(stack.addresses["mail"], user["email"])
    return app


def finished(app: AppClient, execution_id: str, seconds: float = 180) -> dict:
    deadline = time.monotonic() + seconds
    for state in app.watch(execution_id):
        if time.monotonic() > deadline:
            pytest.fail(f"still {state['status']} after {seconds} s: {state['waitingFor']}")
    return state


def test_every_node_with_every_provider_works_without_a_logged_error(
    stack: control.RunningStack,
):
    """The first test of this stack: others kill its workers."""
    page = f"{stack.addresses['ai_simulator']}/demo/items"
    apps = [new_app(stack) for _ in Provider]  # one after the other: few may register at once
    with ThreadPoolExecutor(len(Provider)) as pool:
        runs = pool.map(every_node.run, apps, Provider, [page] * len(Provider))
        ends = [(run["status"], run["error"], run["output"]) for run in runs]
    assert ends == [("success", None, 2)] * len(Provider)
    names = {f"executions{number}" for number in range(1, (os.cpu_count() or 1) + 1)} | {"billing"}
    eventually(lambda: set(row(stack, PRESENT, 3 * PRESENCE_SECONDS)[0]) == names)
    said = health.ask_until_up(stack.addresses["api"])
    assert (said["overall"], health.troubles(said)) == ("up", [])
    assert row(stack, "SELECT coalesce(sum(failures), 0) FROM thread_failures") == (0,)
    assert [line for line in log_of(stack).splitlines() if WRONG.search(line)] == []
    assert log_of(stack).count("AgentForge runs.") == 1


def test_a_new_user_runs_the_content_analysis_and_pays_its_receipt(app: AppClient):
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


def test_a_cancel_stops_an_agent_that_hangs(app: AppClient):
    agent = {"id": "a", "type": "ai_agent", "label": "A", "config": {"prompt": "[[sim:hang]] Say something."}}
    workflow = app.save("Hangs", {"nodes": [agent], "connections": []})
    execution_id = app.execute(workflow["id"], None)
    for state in app.watch(execution_id):
        if state["status"] == "running" and state["nodes"][0]["status"] == "running":
            break
    app.call("POST", f"/executions/{execution_id}/cancel", {})
    assert finished(app, execution_id)["status"] == "cancelled"
    assert app.call("GET", "/credits/balance")["balance"] == pytest.approx(10 - 2.1)  # its turn had been sent


def test_killing_every_worker_in_mid_run_loses_and_repeats_nothing(app: AppClient, stack: control.RunningStack):
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


@pytest.mark.faults
def test_a_worker_that_shuts_down_releases_its_run_without_a_second_turn(app: AppClient, stack: control.RunningStack):
    agent = {"id": "a", "type": "ai_agent", "label": "A", "config": {"prompt": "[[sim:delay=10]] Count these words."}}
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
    assert row(stack, "SELECT crash_state, epoch FROM workflow_executions WHERE id = %s", execution_id) == ("clear", 2)
    types = [line["type"] for line in app.call("GET", f"/executions/{execution_id}/logs")["logs"]]
    assert types.count("node.started") == 2
    assert "node.retrying" not in types


def test_a_graph_that_cannot_run_is_kept_and_refused_by_name(app: AppClient):
    nodes = [{"id": name, "type": "process", "label": name, "config": {}} for name in ("a", "b")]
    circle = [{"id": "1", "from": "a", "to": "b"}, {"id": "2", "from": "b", "to": "a"}]
    kept = app.save("Circle", {"nodes": nodes, "connections": circle})["id"]
    with pytest.raises(AppClientError) as refusal:
        app.execute(kept, None)
    assert refusal.value.status == 422
    assert "a -> b -> a" in str(refusal.value) or "a → b → a" in str(refusal.value)
    assert app.call("GET", f"/workflows/{kept}/executions")["count"] == 0


def test_flower_asks_for_its_password(stack: control.RunningStack):
    at = stack.addresses
    assert status_of(at["flower"]) == 401
    assert status_of(at["flower"], f"{at['flower_user']}:{at['flower_password']}") == 200
    assert at["flower"].startswith("http://127.0.0.1:")
    assert json.loads((directory_of(stack) / "secrets.json").read_text())["flower_password"] == at["flower_password"]
    assert not any(at["flower_password"] in command_of(pid) for pid in descendants(stack.pid))


def test_no_process_was_given_a_setting_that_its_role_does_not_need(stack: control.RunningStack):
    told = leaks.environments(stack)
    assert set(told) == set(ProcessRole) - {ProcessRole.MIGRATE}  # which is over
    every = frozenset().union(*READS.values()) | SECRETS
    assert {role: (set(env) & every) - READS[role] for role, env in told.items()} == {role: set() for role in told}
    assert set(told[ProcessRole.FLOWER]) & SECRETS == {"BROKER_URL", "FLOWER_BASIC_AUTH"}


def test_no_secret_is_written_down_anywhere(stack: control.RunningStack):
    """Each is put to all its uses first; what identifies a user is found, so the search can find things."""
    app = AppClient(stack.addresses["api"])
    user, given, execution_id = leaks.put_to_use(app, stack.addresses["mail"])
    hidden = given | leaks.secrets_of_the_service(stack)
    assert len(hidden) > len(given) + 3
    seen = dict(leaks.places(stack, directory_of(stack) / "stack.log"))
    assert [
        (name, place) for place, text in seen.items() for name in hidden if leaks.found_in(text, hidden[name])
    ] == []
    assert leaks.found_in(seen["table users"], user["email"])
    assert execution_id in seen["log"]
    assert execution_id in seen["flower/api/tasks?limit=1000"]


@pytest.mark.faults
def test_no_address_is_in_a_log_a_message_or_a_key(stack: control.RunningStack):
    """Every operation is asked with one, and a user lives a whole life with it; what is searched has seen all that."""
    mark = f"canary{time.monotonic_ns()}.example"
    curious, text = new_app(stack), f"somebody@{mark}"
    upgrade = "UPDATE users SET subscription_tier = 'enterprise', role = 'admin' RETURNING id"
    row(stack, upgrade)
    with urllib.request.urlopen(f"{stack.addresses['api']}/openapi.json", timeout=10) as answer:
        description = json.load(answer)
    with canary.overheard(stack.addresses["redis"]) as commands, ThreadPoolExecutor(2) as pool:
        asked = pool.submit(canary.put_everywhere, curious, description, text)
        lived = AppClient(stack.addresses["api"]), stack.addresses["mail"], f"ada@{mark}", f"eve@{mark}"
        assert canary.live(*lived) == "success"
        statuses = asked.result()
        eventually(lambda: row(stack, UNSENT) == (0,))
        heard = len(commands)
        eventually(lambda: any("maintenance.echo" in command for command in commands[heard:]))
    assert len(statuses) > 100
    assert [status for status in statuses if status == 429 or status >= 500] == []
    seen = dict(leaks.places(stack, directory_of(stack) / "stack.log"))
    seen["messages"] = "\n".join(commands)
    assert mark in seen["table users"]
    assert "notifications.send" in seen["messages"]
    places = {place for place in seen if not place.startswith("table ")}
    lines = [(place, line) for place in places for line in seen[place].splitlines() if mark in line]
    assert lines == []


def test_every_example_runs(stack: control.RunningStack):
    engine, app = connect(stack.addresses["database"], pool_size=2), new_app(stack)
    try:
        runs = {path.stem: submitted(app, path, stack) for path in sorted((ROOT / "examples").glob("*.json"))}
    finally:
        engine.dispose()
        SessionFactory.configure(bind=None)
    assert len(runs) > 5
    ends = {name: finished(app, run) for name, run in runs.items()}
    assert {name: (end["status"], end["error"]) for name, end in ends.items()} == dict.fromkeys(runs, ("success", None))


def submitted(app: AppClient, path: Path, stack: control.RunningStack) -> str:
    """A run of a workflow file, with the input that it names."""
    document = workflow_files.with_parts(app, workflow_files.read(path, stack.addresses))
    workflow_files.provide_for(app, app.call("GET", "/auth/me")["user"]["id"], document)
    return app.execute(app.save(path.stem, workflow_files.graph(document))["id"], document.get("exampleInput"))


def test_the_demo_runs_a_workflow_file_and_says_where_everything_is(stack: control.RunningStack):
    said = output_of(stack, "devstack.demo", "--workflow", str(ROOT / "examples" / "2-weather.json"))
    assert f"API     {stack.addresses['api']}/api/executions/" in said
    assert all(stack.addresses[name] in said for name in ("mail", "metrics", "flower"))
    assert all(notice in said for notice in stack.notices)


def test_taken_ports_are_replaced_with_a_notice(stack: control.RunningStack):
    used = [int(port) for name in SHOWN for port in re.findall(r":(\d+)", stack.addresses[name])]
    assert len(used) == len(SHOWN)
    assert set(used).isdisjoint(astuple(Ports()))
    assert stack.notices[0].startswith("Port 3000 is taken by another program; the API is on port ")
    page = stack.addresses["mail"] + "/messages.json"
    assert [status_of(url) for url in (stack.addresses["metrics"], page)] == [200, 200]


def test_a_second_start_says_where_the_first_one_is(stack: control.RunningStack):
    for arguments in (["up"], ["status"]):
        said = output_of(stack, "devstack", *arguments)
        assert all(stack.addresses[name] in said for name in SHOWN)
        assert all(notice in said for notice in stack.notices)
    assert control.ensure_up(directory_of(stack), running.SYSTEM) == stack


def test_psql_and_migrate_use_the_stack_that_runs(stack: control.RunningStack):
    output_of(stack, "devstack", "migrate")
    assert output_of(stack, "devstack", "psql", "-Atc", "SELECT current_database()") == "agentforge\n"


@pytest.mark.faults
def test_the_api_comes_back_after_it_is_killed(stack: control.RunningStack):
    url = stack.addresses["api"] + "/api/health/live"
    before = [pid for pid in descendants(stack.pid) if "asgi:app" in command_of(pid)]
    assert len(before) > 1
    os.kill(min(before), signal.SIGKILL)  # the master, which started the others
    eventually(lambda: not any(is_alive(pid) for pid in before) and status_of(url) == 200)


def test_down_leaves_no_process_and_a_second_down_finds_nothing(stack: control.RunningStack):
    """The last test of this stack."""
    owned, directory = descendants(stack.pid), directory_of(stack)
    assert len(owned) > 10
    assert output_of(stack, "devstack", "down") == "Stopped.\n"
    assert not any(is_alive(pid) for pid in owned)
    assert not control.stop(directory)
