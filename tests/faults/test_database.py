"""Postgres that restarts, cuts its connections, has none left, or has no room: nothing is half done."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psycopg2
import pytest

from devstack.app_client import App
from tests.faults.deployment import running_world
from tests.faults.programs import eventually
from tests.faults.test_broker import phone
from tests.faults.world import World

pytestmark = pytest.mark.faults


def ask(app: App, path: str = "/workflows", body: bytes | None = None) -> tuple[int, str | None]:
    """Status and Retry-After of one request."""
    headers = {"Authorization": f"Bearer {app.token}", "Content-Type": "application/json"}
    try:
        with urlopen(Request(f"{app.url}/api{path}", data=body, headers=headers), timeout=40) as answer:
            return answer.status, answer.headers["Retry-After"]
    except HTTPError as error:
        with error:
            return error.code, error.headers["Retry-After"]


@pytest.fixture
def served(world: World) -> tuple[World, str]:
    """A worker and an API."""
    worker, (api, url) = world.worker(hooked=False, env={"LEASE_SECONDS": "30"}), world.api()
    api.ready()
    worker.ready()
    return world, url


def whole(world: World, runs, tag: str) -> None:
    world.finish(*runs)
    assert {(world.run(run)["status"], world.run(run)["credits_charged"]) for run in runs} == {
        ("success", Decimal("1.20"))
    }
    assert world.outside.times(f"{tag}/") == {f"{tag}/a": len(runs), f"{tag}/b": len(runs)}


class TestAway:
    @pytest.mark.parametrize("mode", ["fast", "immediate"])
    def test_restarted_in_mid_run_it_delays_and_repeats_nothing(self, served: tuple[World, str], mode: str):
        world, url = served
        app, _ = phone(world, url, f"restart-{mode}")
        nodes = [world.call("a", tag=mode, delay=2), world.call("b", tag=mode)]
        runs = world.submit_many(nodes, "a>b", number=8)
        world.outside.await_call(f"{mode}/a", times=8)
        world.postgres.stop(mode)
        assert ask(app) == (503, "2")
        assert ask(app, "/workflows", b'{"name": "x", "nodes": [], "connections": []}') == (503, "2")
        time.sleep(3)  # the answers come while nobody can write them down
        world.postgres.start()
        whole(world, runs, mode)
        assert ask(app)[0] == 200

    def test_connections_that_are_cut_again_and_again_delay_and_repeat_nothing(self, served: tuple[World, str]):
        world, url = served
        app, _ = phone(world, url, "cut")
        runs = world.submit_many(
            [world.call("a", tag="cut", delay=0.5), world.call("b", tag="cut", delay=1)], "a>b", number=20
        )
        world.outside.await_call("cut/a", times=5)
        statuses = []
        for _ in range(8):
            world.sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            statuses.append(ask(app)[0])
            time.sleep(0.3)
        assert set(statuses) <= {200, 503}
        whole(world, runs, "cut")


class TestFull:
    def test_without_a_free_connection_requests_are_told_to_come_back(self, served: tuple[World, str]):
        world, url = served
        app, _ = phone(world, url, "pool")
        run = world.submit([world.call("a", tag="pool", delay=4), world.call("b", tag="pool")], "a>b")
        world.outside.await_call("pool/a")
        with ExitStack() as held:
            with held_connection(held, world) as first, first.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            with suppress(psycopg2.OperationalError):
                while True:
                    held_connection(held, world)
            assert ask(app) == (503, "2")
            time.sleep(5)  # the run's answer comes, and cannot be written down
        whole(world, [run], "pool")
        assert ask(app)[0] == 200

    def test_without_room_on_its_disk_nothing_is_accepted_and_nothing_lost(self, tmp_path: Path):
        with small_disk(tmp_path / "disk", megabytes=420) as disk, running_world(disk / "world") as world:
            worker, (api, url) = world.worker(hooked=False, env={"LEASE_SECONDS": "60"}), world.api()
            api.ready()
            worker.ready()
            app, workflow = phone(world, url, "disk", delay=4)
            accepted = app.execute(workflow, None)
            world.outside.await_call("disk/a")
            ballast = disk / "ballast"
            with ballast.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free - 4096)
            refused = submit_until_refused(app, workflow)
            assert refused in ((503, "2"), None)
            time.sleep(5)
            ballast.unlink()
            if not world.postgres.is_ready():  # out of room for its log it stops rather than lie, as it should
                world.postgres.stop("immediate")
                world.postgres.start()
            ((statuses,),) = world.sql("SELECT count(*) FROM workflow_executions")
            assert statuses >= 1
            eventually(lambda: world.sweep() or world.sql(UNFINISHED) == [(0,)], 90, pause=0.5)
            assert world.wrongs() == []
            assert app.call("GET", f"/executions/{accepted}")["status"] == "success"


def held_connection(held: ExitStack, world: World):
    """One of those that the server has, until the block ends."""
    connection = psycopg2.connect(world.database)
    held.callback(connection.close)
    connection.autocommit = True
    return connection


UNFINISHED = "SELECT count(*) FROM workflow_executions WHERE finished_at IS NULL"


def submit_until_refused(app: App, workflow: str) -> tuple[int, str | None] | None:
    """The first answer that is not an acceptance; each run brings a large input."""
    body = b'{"input": "' + os.urandom(150_000).hex().encode() + b'", "maxCredits": 1.1}'
    for _ in range(60):
        answer = ask(app, f"/workflows/{workflow}/execute", body)
        if answer[0] not in (202, 429, 402):
            return answer
        if answer[0] == 402:
            return None
    return None


@contextmanager
def small_disk(path: Path, megabytes: int) -> Iterator[Path]:
    """A file system of its own."""
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(path)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=False)
