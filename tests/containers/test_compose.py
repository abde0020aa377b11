"""docker-compose.yml, really built and run: the main job through nginx, lost containers, a restored backup, an upgrade.

One after the other, on one stack: `make test-compose` prints the steps.
"""

import base64
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import HTTPRedirectHandler, Request, build_opener, urlopen

import pytest

from api.http.console import HSTS, POLICY
from devstack.app_client import AppClient, AppClientError
from devstack.containers.bases import POSTGRES
from devstack.containers.compose import ROOT
from devstack.containers.demo import build_images
from tests.containers.running import (
    ONCE,
    PROJECT,
    ContainerStack,
    Visitor,
    finished,
    memory_of,
    running_containers,
    say,
    status,
)
from tests.support.stack.processes import eventually

pytestmark = pytest.mark.containers
STATE = "SELECT count(*) || ' runs, ' || (SELECT sum(amount) FROM credit_transactions) FROM workflow_executions"
GRAPH = {"nodes": [{"id": "a", "type": "output", "label": "A"}], "connections": []}
RESTORED = "agentforge-test-restored"
INITS = {"docker-init", "podman-init"}


@pytest.fixture(scope="module")
def stack() -> Iterator[ContainerStack]:
    """One for all tests here."""
    with running_containers() as stack:
        yield stack


@pytest.fixture(scope="module")
def app(stack: ContainerStack) -> AppClient:
    """One account for all, because few may register from an address; it has bought credits."""
    app = stack.app("compose")
    bought = app.call("POST", "/credits/purchase", {"packageId": "pack_100", "paymentMethodId": "pm_card_visa"})
    assert bought["status"] == "succeeded"
    return app


def submitted(app: AppClient, seconds: int) -> str:
    """A run of an agent that takes so long for its one turn."""
    config = {"prompt": f"[[sim:delay={seconds}]] Count these words."}
    graph = {"nodes": [{"id": "a", "type": "ai_agent", "label": "A", "config": config}], "connections": []}
    return app.execute(app.save("Agent", graph)["id"], None)


def begun(app: AppClient, seconds: int) -> str:
    """A run whose agent is at work."""
    execution_id = submitted(app, seconds)
    for state in app.watch(execution_id, pause=0.1):
        if state["nodes"][0]["status"] == "running":
            return execution_id
    return pytest.fail("the run ended at once")


def until_it_works(ask: Callable[[], str], seconds: float = 60) -> str:
    """The answer to a request that is repeated while the service cannot be reached."""
    until = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except (OSError, AppClientError) as error:
            if time.monotonic() > until or (isinstance(error, AppClientError) and error.status < 500):
                raise
            time.sleep(0.5)


class NotFollowed(HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def test_every_container_runs_as_its_service_says(stack: ContainerStack):
    running = {name: stack.composition.containers(name) for name in stack.composition.services}
    assert len(running["worker-executions"]) == 2
    assert {name for name, containers in running.items() if containers[0].state != "running"} == ONCE
    for name in set(running) - ONCE:
        user, memory = stack.podman.run(
            "inspect", "--format", "{{.Config.User}} {{.HostConfig.Memory}}", running[name][0].name
        ).rsplit(" ", 1)
        assert user
        assert stack.execute(name, "sh", "-c", "id -u").strip() != "0"
        assert int(memory) == memory_of(stack.composition.services[name]["mem_limit"])
        assert "ro" in stack.execute(name, "sh", "-c", "grep ' / ' /proc/mounts").split()[3].split(",")
        capabilities = stack.execute(name, "sh", "-c", "grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/1/status").split()
        assert {int(capabilities[1], 16), int(capabilities[3], 16)} == {0}
        assert stack.execute(name, "cat", "/proc/1/comm").strip() in INITS
    say("all run without root and capabilities below a small init, with memory limits, on read-only disks")


def test_nginx_shows_the_console_with_its_policy_and_lasting_assets(stack: ContainerStack):
    with urlopen(stack.url("/console/")) as answer:
        page = answer.read().decode()
        assert answer.headers["Content-Security-Policy"] == POLICY
        assert answer.headers["Strict-Transport-Security"] == HSTS
    asset = next(word for word in page.split('"') if word.startswith(("./assets/", "assets/")))
    for takes, encoding in (("gzip", "gzip"), ("gzip, deflate, br", "br")):
        request = Request(stack.url(f"/console/{asset.removeprefix('./')}"), headers={"Accept-Encoding": takes})
        with urlopen(request) as answer:
            assert "immutable" in answer.headers["Cache-Control"]
            assert answer.headers["Content-Encoding"] == encoding
    plain = f"http://127.0.0.1:{stack.setup.ports.http}/console/"
    with pytest.raises(OSError, match="301"):
        build_opener(NotFollowed).open(plain)
    say("nginx serves the console with its policy, assets are immutable and compressed, plain HTTP leads to TLS")


def test_operators_reach_flower_with_its_password_and_no_metrics(stack: ContainerStack):
    login = base64.b64encode(stack.setup.secret("flower_basic_auth").encode()).decode()
    with_login = Request(stack.url("/flower/workers"), headers={"Authorization": f"Basic {login}"})
    assert status(stack.url("/flower/workers")) == 401
    with urlopen(with_login) as answer:
        page = answer.read().decode()
    assert page.count("executions@") >= 2
    assert "/flower/static/" in page
    assert status(stack.url("/flower/metrics")) == 404
    say("Flower asks for its password, and lists the workers; its metrics are not reachable")


def test_prometheus_scrapes_every_instance_and_knows_the_alerts(stack: ContainerStack):
    def value(query: str) -> str:
        return stack.execute("prometheus", "promtool", "query", "instant", "http://127.0.0.1:9090", query)

    eventually(lambda: value('sum(up{job="api"})').startswith("{} => 3 "))
    eventually(lambda: value('sum(up{job="workers"})').startswith("{} => 4 "))
    eventually(lambda: "=> 1 " in value("min(agentforge_beat_up)"))
    stack.execute("prometheus", "promtool", "check", "config", "/etc/prometheus/prometheus.yml")
    say("Prometheus scrapes three instances of the API, three workers and beat, and accepts the alerts")


def test_a_new_user_runs_a_workflow_and_sees_its_events_at_once(stack: ContainerStack, app: AppClient):
    execution_id = submitted(app, 3)
    request = Request(stack.url(f"/api/executions/{execution_id}/events"))
    request.add_header("Authorization", f"Bearer {app.token}")
    request.add_header("Last-Event-ID", "0")
    arrived = []
    with urlopen(request, timeout=60) as answer:
        for line in answer:
            if line.startswith(b"data:"):
                arrived.append(time.monotonic())
    assert arrived[-1] - arrived[0] > 2  # nginx has held none of them back
    run = finished(app, execution_id)
    assert run["status"] == "success"
    assert run["receipt"]["total"] == run["creditsCharged"] > 0
    seconds = arrived[-1] - arrived[0]
    say(f"a run: {len(arrived)} messages over {seconds:.1f} s, receipt {run['receipt']['total']:.2f} credits")


def test_killed_workers_come_back_and_finish_their_run(stack: ContainerStack, app: AppClient):
    execution_id = begun(app, 8)
    workers = stack.composition.containers("worker-executions")
    began = time.monotonic()
    for worker in workers:
        stack.kill(worker)
    run = finished(app, execution_id)
    assert (run["status"], run["nodes"][0]["attempts"]) in (("success", 1), ("success", 2))
    eventually(lambda: all(map(stack.restarted, workers)))
    say(f"both workers killed in mid-run: started again, and the run succeeded after {time.monotonic() - began:.0f} s")


def test_a_killed_instance_of_the_api_is_not_noticed(stack: ContainerStack, app: AppClient):
    (killed,) = stack.composition.containers("api-2")
    with Visitor(stack.url("/api/auth/me"), app.token).asking() as visitor:
        stack.kill(killed)
        eventually(lambda: stack.restarted(killed))
        stack.composition.wait("api-2", "service_healthy")
        eventually(lambda: visitor.statuses.total() > 20)
    say(f"api-2 killed: {visitor}")
    assert len(visitor.failures) <= 1, visitor.failures  # the request that it served


@pytest.mark.parametrize("name", ["redis", "pgbouncer", "postgres", "nginx"])
def test_the_work_goes_on_after_a_killed_server(stack: ContainerStack, app: AppClient, name: str):
    execution_id = begun(app, 3)
    (killed,) = stack.composition.containers(name)
    began = time.monotonic()
    stack.kill(killed)
    run = finished(app, execution_id)
    assert run["status"] == "success"
    eventually(lambda: stack.restarted(killed))
    assert finished(app, until_it_works(lambda: submitted(app, 0)))["status"] == "success"
    say(f"{name} killed: the run and the next one succeeded, {time.monotonic() - began:.0f} s after it")


def test_the_log_is_archived_and_a_base_backup_made(stack: ContainerStack):
    eventually(lambda: stack.execute("archive", "sh", "-c", "ls /archive/snapshots/complete || true"))
    said = stack.execute("archive", "sh", "-c", "pgbackrest check && pgbackrest info")
    assert "status: ok" in said
    assert "cipher: aes-256-cbc" in said
    assert stack.execute("archive", "sh", "-c", "ls /archive/snapshots/redis-*.rdb")


def test_the_archive_recovers_a_database_whose_volume_is_lost(stack: ContainerStack, app: AppClient):
    """By the commands of docs/deployment.md."""
    written = finished(app, submitted(app, 0))
    before = stack.query(STATE)
    segment = stack.query("SELECT pg_walfile_name(pg_switch_wal())")
    eventually(lambda: stack.query(f"SELECT last_archived_wal >= '{segment}' FROM pg_stat_archiver") == "t")
    clients = [name for name in stack.composition.services if name.startswith(("api-", "worker-", "beat"))]
    restore = ("run", "--rm", "--no-deps", "--entrypoint", "/opt/agentforge/deploy/restore.sh", "archive")
    began = time.monotonic()
    stack.composition.compose("stop", *clients, "archive", "backup", "pgbouncer", "postgres")
    for name in ("postgres", "archive"):
        stack.podman.run("rm", "--force", stack.composition.containers(name)[0].name)
    stack.podman.run("volume", "rm", f"{PROJECT}_postgres")
    stack.composition.compose(*restore, "latest")
    stack.composition.compose("up", "-d", "--no-deps", "--no-build", "postgres")
    stack.composition.wait("postgres", "service_healthy")
    stack.composition.compose(*restore, "finish")
    stack.execute("redis", "sh", "-c", "REDISCLI_AUTH=$(cat /run/secrets/redis_password) redis-cli FLUSHALL")
    stack.composition.up()
    assert stack.query(STATE) == before
    assert app.call("GET", f"/executions/{written['id']}")["status"] == "success"
    assert finished(app, submitted(app, 0))["status"] == "success"
    say(f"a lost volume is recovered from the archive, and the next run succeeds: {time.monotonic() - began:.0f} s")


def test_a_backup_is_restored_into_a_new_database(stack: ContainerStack):
    assert stack.execute("backup", "sh", "-c", "ls /backups/postgres-*.dump")  # it made one when it started
    stack.execute("backup", "agentforge", "backup")
    dump = stack.execute("backup", "sh", "-c", "ls /backups/postgres-*.dump | tail -1").strip()
    network, volumes = f"{stack.composition.project}_default", f"{stack.composition.project}_backups:/backups:ro"
    secrets = stack.setup.secrets
    try:
        stack.podman.run(
            *("run", "--detach", "--name", RESTORED, "--network", network, "--pull", "never"),
            *("-v", f"{secrets}/postgres_password:/run/secrets/postgres_password:ro"),
            *("-e", "POSTGRES_USER=agentforge", "-e", "POSTGRES_DB=agentforge"),
            *("-e", "POSTGRES_PASSWORD_FILE=/run/secrets/postgres_password", POSTGRES, "postgres"),
        )
        ready = ("exec", RESTORED, "pg_isready", "-h", "127.0.0.1", "-U", "agentforge")
        eventually(lambda: stack.podman.succeeds(*ready))
        address = stack.setup.secret("owner_database_url").replace("@postgres:", f"@{RESTORED}:")
        stack.podman.run(
            *("run", "--rm", "--network", network, "--pull", "never", "-v", volumes, "-e", "DATABASE_URL"),
            *("localhost/agentforge-backup:1", "deploy/restore.sh", dump),
            env={"DATABASE_URL": address},
        )
        there, here = stack.query(STATE, RESTORED), stack.query(STATE)
        assert there == here
        say(f"the backup {Path(dump).name} is restored into a new database: {there} credits")
    finally:
        stack.podman.run("rm", "--force", "--volumes", RESTORED, check=False)


def test_a_second_version_is_rolled_out_while_clients_work(stack: ContainerStack, app: AppClient):
    build_images(stack.podman, stack.composition, "2", "--label", "version=2")
    execution_id = begun(app, 30)
    env = stack.podman.env | {"COMPOSE": " ".join(stack.composition.command()), "VERSION": "2"}
    reader, validator = (
        Visitor(stack.url("/api/auth/me"), app.token),
        Visitor(stack.url("/api/workflows/validate"), app.token, json.dumps(GRAPH).encode()),
    )
    began, before = time.monotonic(), stack.composition.containers("nginx")
    moment = stack.execute("nginx", "date", "+%s").strip()
    with reader.asking(), validator.asking():
        done = subprocess.run(
            [ROOT / "deploy" / "roll.sh"], env=env, capture_output=True, text=True, check=False, cwd=ROOT
        )
        assert done.returncode == 0, done.stdout + done.stderr
        for name, service in stack.composition.services.items():
            if "test" in service.get("healthcheck", {}):
                stack.composition.wait(name, "service_healthy")
    seconds = time.monotonic() - began
    images = {one.name: one.image.rpartition(":")[2] for one in stack.composition.containers()}
    ours = {name: version for name, version in images.items() if "api" in name or "worker" in name}
    assert set(ours.values()) == {"2"}
    assert finished(app, execution_id)["status"] == "success"
    say(f"version 2 is rolled out in {seconds:.0f} s, and the run that was in progress succeeded")
    say(f"GET {reader}; POST {validator}")
    assert (reader.failures, validator.failures) == ([], [])
    assert stack.composition.containers("nginx") == before
    assert "index.html" in stack.execute("nginx", "find", "/var/www/agentforge/console", "-newermt", f"@{moment}")
