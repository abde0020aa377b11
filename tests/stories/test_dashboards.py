"""Every panel of the dashboards asks for something that there is: a real Prometheus scrapes a stack under load."""

import json
import os
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from devstack import control
from devstack.app_client import AppClient
from devstack.dashboards import DASHBOARDS
from devstack.servers.ports import LOOPBACK, free_port
from devstack.stack import OTHER_QUEUES
from tests.support.stack.command_line import agentforge, environment
from tests.support.stack.processes import eventually
from tests.support.stack.running import running_stack

pytestmark = pytest.mark.faults
WORKERS = os.cpu_count() or 1
FIRST_PORT = free_port()  # of the billing worker; the others and beat have the next ones


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[control.RunningStack]:
    with running_stack(tmp_path_factory.mktemp("stack"), WORKER_METRICS_PORT=str(FIRST_PORT)) as stack:
        yield stack


@pytest.fixture
def prometheus(stack: control.RunningStack, tmp_path: Path) -> Iterator[str]:
    """The address of a Prometheus that scrapes the stack's API, its workers and beat every second."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("Prometheus is not installed: apt-get install prometheus")
    target = urllib.parse.urlsplit(stack.addresses["metrics"]).netloc
    own = [f"{LOOPBACK}:{port}" for port in range(FIRST_PORT, FIRST_PORT + WORKERS + 2)]
    targets = {"api": [target], "workers": own}
    jobs = [{"job_name": name, "static_configs": [{"targets": listed}]} for name, listed in targets.items()]
    config = tmp_path / "prometheus.yml"
    config.write_text(yaml.safe_dump({"global": {"scrape_interval": "1s"}, "scrape_configs": jobs}))
    address = f"{LOOPBACK}:{free_port()}"
    options = [f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'data'}", f"--web.listen-address={address}"]
    with subprocess.Popen([program, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield f"http://{address}"
        finally:
            process.terminate()


def ask(prometheus: str, query: str) -> list[dict[str, Any]]:
    """The series that a query returns now."""
    try:
        with urllib.request.urlopen(f"{prometheus}/api/v1/query?{urllib.parse.urlencode({'query': query})}") as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
    except OSError:
        return []
    return [one for one in found if one["value"][1] != "NaN"]


def value(prometheus: str, query: str) -> float:
    """The value of a query's first series now."""
    return float(ask(prometheus, query)[0]["value"][1])


def empty(prometheus: str) -> list[str]:
    """The panels with a query that returns nothing."""
    return [
        f"{name}: {chart.title}: {query}"
        for name, charts in DASHBOARDS.items()
        for chart in charts
        for query in chart.queries.values()
        if not ask(prometheus, query)
    ]


def test_every_panel_shows_something_under_load(stack: control.RunningStack, prometheus: str):
    app = AppClient(stack.addresses["api"])
    user = app.register(f"seen-{time.monotonic_ns()}@example.com", "a long password", "Seen")
    app.verify(stack.addresses["mail"], user["email"])
    step = {"id": "a", "type": "process", "label": "A", "config": {"expression": "1"}}
    workflow = app.save("Seen", {"nodes": [step], "connections": []})
    run = partial(finished_run, app, workflow["id"])
    run()
    assert agentforge(environment(stack, OTHER_QUEUES), "reconcile").returncode == 0  # as beat asks for after minutes
    runs, deadline = 1, time.monotonic() + 120
    while missing := empty(prometheus):
        assert time.monotonic() < deadline, missing
        run()  # a rate is seen once a counter grows
        runs += 1
        time.sleep(2)  # the API limits what a user may ask for
    # What is read from the tables is the same everywhere; what workers count is each process's own, and is summed.
    sums = {
        'max(agentforge_business_30_days{total="runs"})': runs,
        'sum(agentforge_runs_finished_total{end="success",tier="free"})': runs,
        'sum(agentforge_node_seconds_count{type="process",provider="none"})': runs,
        'count(process_resident_memory_bytes{job="workers"} > 5e7)': WORKERS + 2,
        'count(agentforge_database_connections{state="idle"})': WORKERS + 1,  # beat has none
    }
    eventually(lambda: {query: value(prometheus, query) for query in sums} == sums)


def finished_run(app: AppClient, workflow_id: str) -> None:
    list(app.watch(app.execute(workflow_id, None)))
