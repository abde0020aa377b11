"""Each process of the deployment finds its application where its command names it, and no module is empty."""

import ast
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from devstack.servers.ports import free_port
from devstack.servers.redis_server import RedisServer
from tasks.queue import QueueName, TaskName
from tests.api.live import until

ROOT = Path(__file__).parent.parent
SHIPPED = [
    *ROOT.glob("*.py"),
    *(
        path
        for name in ("api", "models", "tasks", "workers", "devstack", "simulators", "bench")
        for path in (ROOT / name).rglob("*.py")
    ),
]
COMMANDS = [
    service["command"]
    for service in yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"].values()
    if service["image"].startswith("agentforge:")
]
CONFIG = "deploy/gunicorn.conf.py"
ASK_GUNICORN = """
import json
from gunicorn.app.wsgiapp import WSGIApplication
front = WSGIApplication().load()
app = front.app
answers = {path: app.test_client().get(path).status_code for path in ("/health/live", "/api/workflows", "/nowhere")}
print(json.dumps([answers, callable(app.extensions["serve_metrics"])]))
"""
ASK_CELERY = """
import json
from {module} import app
app.loader.import_default_modules()
tasks = [name for name in app.tasks if not name.startswith("celery.")]
print(json.dumps([tasks, [queue.name for queue in app.conf.task_queues], list(app.conf.beat_schedule)]))
"""


def applications(program: str) -> set[str]:
    """The `module:app` words of the deployment's commands that start with `program`."""
    return {word for command in COMMANDS if command[0] == program for word in command if word.endswith(":app")}


@pytest.fixture
def run(redis_server: RedisServer, module_database: str) -> Callable[..., str]:
    """Run a program in a fresh interpreter, as the deployment does; returns what it prints."""
    env = {**os.environ, "DATABASE_URL": module_database, "REDIS_URL": redis_server.url()}

    def run(*command: str) -> str:
        done = subprocess.run(
            [sys.executable, *command], cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_gunicorn_takes_its_configuration_and_the_application_answers(run: Callable[..., str]) -> None:
    (name,) = applications("gunicorn")
    answers, serves_metrics = json.loads(run("-c", ASK_GUNICORN, "-c", CONFIG, name).splitlines()[-1])
    assert answers == {"/health/live": 200, "/api/workflows": 401, "/nowhere": 404}
    assert serves_metrics


def test_workers_and_beat_know_every_task_and_queue(run: Callable[..., str]) -> None:
    (name,) = applications("celery")
    tasks, queues, schedule = json.loads(run("-c", ASK_CELERY.format(module=name.split(":")[0])).splitlines()[-1])
    assert set(tasks) == set(TaskName)
    assert set(queues) == set(QueueName)
    assert schedule


def test_no_module_is_empty() -> None:
    empty = [path for path in SHIPPED if path.name != "__init__.py" and not ast.parse(path.read_text()).body[1:]]
    assert empty == []


ANSWER_PID = """
import os

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while (await receive())["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
    else:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(os.getpid()).encode()})

app.extensions = {}
"""


@pytest.fixture
def gunicorn(tmp_path: Path) -> Iterator[Callable[[int], subprocess.Popen[bytes]]]:
    """Start gunicorn with two processes that answer with their ids, at a port."""
    (tmp_path / "answering.py").write_text(ANSWER_PID)
    env = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics")}
    with ExitStack() as stack:

        def start(port: int) -> subprocess.Popen[bytes]:
            command = [sys.executable, "-m", "gunicorn", "-c", CONFIG, "--workers", "2", "--bind", f"127.0.0.1:{port}"]
            command += ["--pythonpath", str(tmp_path), "answering:app"]
            program = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            stack.callback(program.wait, timeout=20)
            stack.callback(program.terminate)
            return program

        yield start


def test_connections_are_dealt_out_to_all_processes_of_the_api(gunicorn: Callable[[int], object]) -> None:
    port = free_port()
    gunicorn(port)
    until(lambda: len(answers(port, 8)) == 2, seconds=90)
    answered = answers(port, 32)
    assert min(answered.values()) >= 6, answered


def test_what_a_process_that_hangs_leaves_waiting_another_accepts(gunicorn: Callable[[int], Any]) -> None:
    port = free_port()
    api = gunicorn(port)
    until(lambda: len(answers(port, 8)) == 2, seconds=90)
    hanging = psutil.Process(api.pid).children()[0]
    hanging.suspend()
    try:
        answered = answers(port, 20)
        assert sum(answered.values()) == 20
        assert str(hanging.pid).encode() not in answered
    finally:
        hanging.resume()


def answers(port: int, number: int) -> Counter[bytes]:
    """How often each process answers on so many connections that are open at a time; none while nobody listens."""
    with ExitStack() as lines:
        opened = [lines.enter_context(closing(HTTPConnection("127.0.0.1", port, timeout=10))) for _ in range(number)]
        try:
            for line in opened:
                line.connect()
            for line in opened:
                line.request("GET", "/")
            return Counter(line.getresponse().read() for line in opened)
        except OSError:
            return Counter()


def test_a_directory_for_metrics_that_was_removed_is_made_again(gunicorn: Callable[[int], Any]) -> None:
    for _ in range(2):  # each end removes it
        port = free_port()
        api = gunicorn(port)
        until(lambda port=port: answers(port, 1), seconds=90)
        api.terminate()
        assert api.wait(20) == 0
