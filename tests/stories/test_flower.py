"""Flower for operators, as docker-compose.yml shows it: behind nginx at /flower/, with runs that can be found."""

import base64
import json
import re
import signal
import ssl
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import pytest
import yaml

from devstack import control
from devstack.app_client import AppClient
from devstack.processes.process import signal_group, spawn
from devstack.servers.ports import LOOPBACK, free_port
from roles import ProcessRole
from tasks.queue import TaskName
from tests.support.servers.nginx import ContainerNginx
from tests.support.stack import leaks
from tests.support.stack.processes import eventually
from tests.support.stack.running import ROOT, row, running_stack, status_of
from tests.test_story import finished

pytestmark = pytest.mark.faults
LOGIN = "operator:a password"
PARENT = {"id": "s", "type": "subworkflow", "label": "S"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[control.RunningStack]:
    with running_stack(tmp_path_factory.mktemp("stack")) as stack:
        yield stack


@pytest.fixture(scope="module")
def flower(stack: control.RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a Flower that is started by the command of docker-compose.yml."""
    password, port = tmp_path_factory.mktemp("secrets") / "flower_basic_auth", free_port()
    password.write_text(LOGIN)
    env = leaks.environments(stack)[ProcessRole.FLOWER] | {"FLOWER_BASIC_AUTH_FILE": str(password)}
    del env["FLOWER_BASIC_AUTH"]
    service = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["flower"]
    words = (f"--port={port}" if word.startswith("--port=") else word for word in service["command"])
    command = [word.replace("0.0.0.0", LOOPBACK) for word in words]
    with (tmp_path_factory.mktemp("flower") / "log").open("wb") as log:
        process = spawn([str(ROOT / ".venv/bin" / command[0]), *command[1:]], env=env, output=log, cwd=ROOT)
        try:
            eventually(lambda: status_of(f"http://{LOOPBACK}:{port}/flower/healthcheck") == 200)
            yield port
        finally:
            signal_group(process, signal.SIGTERM)
            process.wait()


@pytest.fixture(scope="module")
def nginx(server_directory: Path, stack: control.RunningStack, flower: int) -> Iterator[ContainerNginx]:
    api = urlsplit(stack.addresses["api"]).port
    with ContainerNginx(server_directory / "container-nginx", api=api, flower=flower) as server:
        yield server


class Operator:
    """A browser's requests to nginx, with the password and the cookies that Flower gives it."""

    def __init__(self, nginx: ContainerNginx) -> None:
        address, trusted = urlsplit(nginx.url()), ssl.create_default_context(cafile=str(nginx.certificate))
        self._connection = HTTPSConnection(address.hostname, address.port, context=trusted, timeout=30)
        self.headers = {"Authorization": "Basic " + base64.b64encode(LOGIN.encode()).decode()}

    def close(self) -> None:
        self._connection.close()

    def ask(self, path: str, body: dict[str, Any] | None = None) -> tuple[int, str]:
        """The status and the text of the response to a GET, or to a form with `body`."""
        form = urlencode(body) if body is not None else None
        kind = {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
        self._connection.request("POST" if form else "GET", path, form, self.headers | kind)
        answer = self._connection.getresponse()
        text = answer.read().decode(errors="replace")
        if cookie := re.match("_xsrf=([^;]+)", answer.headers["Set-Cookie"] or ""):
            self.headers |= {"Cookie": cookie[0], "X-XSRFToken": cookie[1]}
        return answer.status, text

    def tasks(self) -> list[dict[str, Any]]:
        """The rows of the task list, as its page loads them."""
        self.ask("/flower/tasks")
        form = {"draw": 1, "start": 0, "length": 1000, "order[0][column]": 0, "columns[0][data]": "name"}
        status, text = self.ask("/flower/tasks/datatable", form)
        assert status == 200, text
        return json.loads(text)["data"]


@pytest.fixture
def operator(nginx: ContainerNginx) -> Iterator[Operator]:
    with closing(Operator(nginx)) as operator:
        yield operator


@pytest.mark.parametrize("page", ["", "workers", "tasks", "broker"])
def test_every_page_loads_below_its_path_with_all_it_names(operator: Operator, page: str):
    status, text = operator.ask(f"/flower/{page}")
    assert status == 200
    named = {urljoin(f"/flower/{page}", link) for link in re.findall(r'(?:src|href)="([^"#][^"]*)"', text)}
    own = {link for link in named if not urlsplit(link).netloc}
    assert len(own) > 8
    assert {link for link in own if not link.startswith("/flower/")} == set()
    assert {link: operator.ask(link)[0] for link in own} == dict.fromkeys(own, 200)
    loaded = {link for link in named - own if f'src="{link}"' in text}
    assert loaded == set()  # from elsewhere


def test_its_tables_load_and_none_without_the_password(operator: Operator):
    eventually(lambda: len(json.loads(operator.ask("/flower/workers?json=1")[1])["data"]) >= 2)
    assert operator.tasks() is not None
    del operator.headers["Authorization"]
    assert [operator.ask(f"/flower/{page}")[0] for page in ("", "tasks", "workers?json=1", "api/tasks")] == [401] * 4
    assert operator.ask("/flower/metrics")[0] == 404


def test_the_list_has_a_column_with_the_arguments(operator: Operator):
    headings = re.findall(r"<th[^>]*>\s*(.*?)\s*</th>", operator.ask("/flower/tasks")[1], re.DOTALL)
    assert "kwargs" in headings


def listed(operator: Operator) -> dict[str, list[str]]:
    """The arguments of the runs' messages in the list."""
    found: dict[str, list[str]] = {}
    for task in operator.tasks():
        if task["name"] == TaskName.DRIVE_EXECUTION and (shown := re.findall(r"'(\w+)': '([^']+)'", task["kwargs"])):
            arguments = dict(shown)
            found.setdefault(arguments.pop("execution_id"), []).append(arguments.pop("workflow_id", "nothing"))
            assert arguments == {}
    return found


def test_each_message_of_a_run_shows_its_workflow(operator: Operator, stack: control.RunningStack):
    """Of a submitted run, its child, one that is approved, one that the sweep finds, a cancelled and a retried one."""
    app = AppClient(stack.addresses["api"])
    app.verify(stack.addresses["mail"], app.register("flower@example.com", "a long password", "Flower")["email"])
    asks = {"id": "a", "type": "approval", "label": "A", "config": {"message": "Go on?"}}
    child = app.save("Child", {"nodes": [asks], "connections": []})["id"]
    parent = app.save("Parent", {"nodes": [PARENT | {"config": {"workflowId": child}}], "connections": []})["id"]
    run = app.execute(parent, "secret words of a user")
    eventually(lambda: row(stack, "SELECT count(*) FROM workflow_executions WHERE status = 'waiting'")[0] == 2)
    (child_run,) = row(stack, "SELECT id::text FROM workflow_executions WHERE parent_execution_id = %s", run)
    app.call("POST", f"/executions/{child_run}/approvals/a", {"approved": True})
    assert finished(app, run)["status"] == "success"
    lost = app.execute(child, None)
    eventually(lambda: row(stack, "SELECT status FROM workflow_executions WHERE id = %s", lost) == ("waiting",))
    due = "UPDATE workflow_executions SET wake_at = now(), enqueued_at = now() - interval '1 hour' WHERE id = %s"
    row(stack, f"{due} RETURNING id", lost)  # which the sweep finds
    eventually(lambda: len(listed(operator).get(lost, [])) > 1)
    app.call("POST", f"/executions/{lost}/cancel", {})
    assert finished(app, lost)["status"] == "cancelled"
    retried = app.call("POST", f"/executions/{lost}/retry", {})["executionId"]
    eventually(lambda: retried in listed(operator))
    seen = listed(operator)
    workflow_of = {run: parent, child_run: child, lost: child, retried: child}
    assert {key: set(seen[key]) for key in workflow_of} == {key: {value} for key, value in workflow_of.items()}
    assert "secret words" not in json.dumps(operator.tasks())


def test_no_sweep_or_probe_is_in_the_list(operator: Operator, stack: control.RunningStack):
    """Although beat has sent many, which the workers have done."""
    probes = "SELECT count(*) FROM queue_probes"
    eventually(lambda: row(stack, probes)[0] >= 6)
    shown = {task["name"] for task in operator.tasks()}
    assert TaskName.DRIVE_EXECUTION in shown
    assert {name for name in shown if re.search("sweep|probe|prune|echo|reconcile|receipts|agents.list", name)} == set()
