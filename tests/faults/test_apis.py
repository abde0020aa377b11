"""API processes that are stopped: others answer for them, and nothing is accepted twice."""

import http.client
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit
from urllib.request import urlopen

import psutil
import pytest

from devstack.app_client import AppClient
from tests.support.faults.phones import ask, phone
from tests.support.faults.programs import eventually, measured
from tests.support.faults.world import World

pytestmark = pytest.mark.faults


def test_while_one_process_hangs_another_answers_and_it_is_replaced(world: World):
    api, url = world.api()
    api.ready()
    app, _ = phone(world, url, "hangs")
    stopped, *others = psutil.Process(api.pid).children()
    stopped.suspend()
    assert others
    assert {ask(app) for _ in range(20)} == {(200, None)}
    replaced = eventually(lambda: not stopped.is_running() or stopped.status() == psutil.STATUS_ZOMBIE, 60, pause=0.5)
    measured(f"a process that hangs is replaced after {replaced:.0f} s")
    eventually(lambda: len(psutil.Process(api.pid).children()) == 1 + len(others))
    assert ask(app)[0] == 200


def test_one_that_shuts_down_serves_its_kept_connections_once_more(world: World):
    """However many it closed before: their clients may be sending already, and would take a cut for a fault."""
    api, url = world.api()
    api.ready()
    for _ in range(20):
        with urlopen(f"{url}/health/live") as answer:  # which closes its connection
            assert answer.status == 200
    kept = [http.client.HTTPConnection(urlsplit(url).netloc, timeout=20) for _ in range(10)]
    assert {live(line) for line in kept} == {(200, None)}
    api.signal(signal.SIGTERM)
    eventually(lambda: "Handling signal: term" in api.output)
    assert {last(line) for line in kept} == {(200, "close")}
    assert api.wait() == 0


def last(line: http.client.HTTPConnection) -> tuple[int, str | None]:
    """The first response that says goodbye; the process takes a moment to hear that it ends."""
    while (said := live(line)) == (200, None):
        time.sleep(0.02)
    return said


def live(line: http.client.HTTPConnection) -> tuple[int, str | None]:
    line.request("GET", "/health/live")
    answer = line.getresponse()
    answer.read()
    return answer.status, answer.headers["Connection"]


def test_a_run_accepted_before_a_stop_is_returned_to_a_repeat(world: World):
    """The client times out and asks another API with the same key; then the first one goes on and publishes late."""
    worker, (first, url), (second, other_url) = (
        world.worker(),
        world.api(app="tests.support.faults.api_app:app"),
        world.api(),
    )
    for program in (worker, first, second):
        program.ready()
    app, workflow = phone(world, url, "stopped")
    world.arm("publishing", "stop")
    path, key = f"/workflows/{workflow}/execute", {"Idempotency-Key": "once"}
    with ThreadPoolExecutor(1) as apart:
        answer = apart.submit(ask, app, path, b"{}", **key)
        eventually(lambda: world.taken("publishing"))
        (stopped,) = [p for p in psutil.Process(first.pid).children() if p.status() == psutil.STATUS_STOPPED]
        assert ask(AppClient(other_url, app.token), path, b"{}", **key)[0] == 202
        ((run,),) = world.sql("SELECT id FROM workflow_executions WHERE workflow_id = %s", workflow)
        world.pass_time()
        world.finish(run)
        os.kill(stopped.pid, signal.SIGCONT)
        assert answer.result()[0] == 202
    world.finish(world.submit([world.call("last", tag="stopped")]))  # the late message was taken before it
    assert world.outside.times("stopped/") == {"stopped/a": 1, "stopped/last": 1}
    assert world.sql("SELECT count(*) FROM workflow_executions WHERE workflow_id = %s", workflow) == [(1,)]
