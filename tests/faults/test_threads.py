"""An unexpected exception in each long-lived thread: nothing is lost, and it is reported."""

import json
import re
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen
from uuid import UUID

import pytest

import threads
from devstack.servers.ports import LOOPBACK, free_port
from models.db import session_scope
from models.services.notifications import notifications
from models.tables import NotificationKind
from tasks.queue import enqueue_mails
from tests.support import factories
from tests.support.faults.phones import phone
from tests.support.faults.programs import Program, eventually
from tests.support.faults.world import World
from tests.support.servers.raw_server import raw_server

ROOT = Path(__file__).parents[2]
OF_WORKERS = (
    "calls",
    "change-publisher",
    "consumer-probe",
    "deadlines",
    "journal",
    "lease-heartbeat",
    "limiter",
    "limits",
    "openclaw-reader",
)
OF_APIS = ("change-poller", "change-receiver", "credential-checker", "metrics")
SHORT = {"exclusive-lease"}  # lives as long as one piece of work


def run(world: World) -> UUID:
    """One that needs all threads of a worker."""
    agent = factories.node("b", "ai_agent", config={"prompt": "[[sim:delay=1]] Count these words."})
    return world.submit([world.call("a", delay=1), agent], "a>b")


def mail(world: World) -> None:
    """One to a server that never speaks, so that its deadline is watched."""
    owner = world.user()
    with session_scope() as session:
        kind, payload = NotificationKind.PASSWORD_CHANGED, {"accessKeys": 0}
        enqueue_mails(session, notifications.add(session, owner, kind, payload, key=f"password-changed:{owner}"))


def failed(world: World) -> dict[str, int]:
    """How often which threads failed, as the database has it."""
    return {name: number for name, number in world.sql("SELECT thread, failures FROM thread_failures") if number}


def health(url: str) -> dict[str, Any]:
    try:
        with urlopen(f"{url}/health", timeout=10) as answer:
            return json.load(answer)
    except HTTPError as error:
        with error:
            return json.load(error)


@pytest.fixture
def counted(world: World) -> World:
    """A world in which nothing has failed yet, and no worker that a test before has killed."""
    world.sql("DELETE FROM thread_failures")
    world.sql("DELETE FROM workers")
    return world


def test_every_thread_that_keeps_running_is_made_to_fail_here():
    files = [
        *ROOT.glob("*.py"),
        *(path for name in ("api", "tasks", "telemetry", "workers") for path in (ROOT / name).rglob("*.py")),
    ]
    sources = [path.read_text() for path in files]
    started = [found for source in sources for found in re.findall(r"threads\.keep_running\(\s*([^,]+),", source)]
    assert sorted(started) == sorted(f'"{name}"' for name in {*OF_WORKERS, *OF_APIS} - {"openclaw-reader"} | SHORT)


@pytest.mark.faults
def test_each_of_a_worker_goes_on_and_its_run_ends_as_if_nothing_had_been(counted: World):
    with raw_server(b"") as silent:
        env = {"PRESENCE_SECONDS": "1", "SMTP_URL": f"smtp://{silent.authority}"}
        worker = counted.worker(env=env).ready()
        for name in OF_WORKERS:
            counted.arm(f"thread-{name}", "raise")
        first = run(counted)
        mail(counted)
        counted.finish(first)
        eventually(lambda: failed(counted) == dict.fromkeys(OF_WORKERS, 1), otherwise=lambda: str(failed(counted)))
    second = run(counted)
    counted.finish(second)
    for one in (first, second):
        ended = counted.run(one)
        assert (ended["status"], ended["crash_log"], ended["credits_charged"]) == ("success", None, Decimal("2.20"))
    assert sum(str(first) in call["sessionKey"] for call in counted.openclaw.calls) == 1
    assert worker.alive
    assert worker.output.count('"event":"thread.failed"') == len(OF_WORKERS)
    assert worker.output.count("LookupError: raised by a test") == len(OF_WORKERS)
    assert failed(counted) == dict.fromkeys(OF_WORKERS, 1)


@pytest.mark.faults
@pytest.mark.parametrize("name", ["journal", "lease-heartbeat", "limiter"])
def test_one_that_others_rely_on_ends_its_worker_when_it_fails_again(counted: World, name: str):
    doomed = counted.worker().ready()
    counted.arm(f"thread-{name}", "raise")
    begun = run(counted)
    eventually(lambda: counted.taken(f"thread-{name}"))
    counted.arm(f"thread-{name}", "raise")
    others = [run(counted) for _ in range(3)]
    assert doomed.wait() == threads.EXIT_STATUS
    assert '"event":"process.ends"' in doomed.output
    assert failed(counted) == {name: 2}
    counted.worker().ready()
    counted.pass_time()
    counted.finish(begun, *others)
    assert {counted.run(one)["status"] for one in (begun, *others)} == {"success"}
    assert {counted.charged(one) for one in (begun, *others)} == {Decimal("2.20")}


@pytest.mark.faults
def test_each_of_an_api_goes_on_and_health_says_so_until_it_is_long_ago(counted: World):
    programs = [counted.worker(hooked=False, env={"PRESENCE_SECONDS": "1"}), counted.beat()]
    port = free_port()
    api, url = counted.api(app="tests.support.faults.api_app:app", env={"METRICS_PORT": str(port)})
    for program in (*programs, api):
        program.ready()
    eventually(lambda: health(url)["overall"] == "up", otherwise=lambda: str(health(url)))
    for name in OF_APIS:
        counted.arm(f"thread-{name}", "raise")
    assert watched(counted, url, api) == "success"
    eventually(lambda: failed(counted) == dict.fromkeys(OF_APIS, 1), otherwise=lambda: str(failed(counted)))
    assert (health(url)["overall"], health(url)["failingThreads"]) == ("degraded", len(OF_APIS))
    with urlopen(f"http://{LOOPBACK}:{port}/metrics", timeout=10) as answer:
        metrics = answer.read().decode()
    assert all(f'agentforge_thread_failures_total{{thread="{name}"}} 1.0' in metrics for name in OF_APIS)
    assert 'agentforge_thread_failures_total{thread="consumer-probe"} 0.0' in metrics
    counted.sql("UPDATE thread_failures SET failed_at = now() - interval '3 minutes'")
    assert watched(counted, url, api) == "success"
    assert health(url)["failingThreads"] == 0


def watched(world: World, url: str, api: Program) -> str:
    """The end of a run that a phone waits for, at every process of the API."""
    app, workflow = phone(world, url, "threads", delay=3)
    states: list[str] = []

    def watch() -> None:
        states.append([state["status"] for state in app.watch(execution)][-1])

    execution = app.execute(workflow, None)
    watchers = [threading.Thread(target=watch) for _ in range(6)]
    for watcher in watchers:
        watcher.start()
    for watcher in watchers:
        watcher.join(60)
    assert set(states) == {states[0]}
    assert len(states) == len(watchers)
    assert api.alive
    return states[0]
