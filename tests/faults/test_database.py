"""Postgres that restarts, cuts its connections, has none left, or has no room: nothing is half done."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import psycopg2
import pytest

from devstack.app_client import AppClient
from tests.support import factories
from tests.support.faults.phones import ask, phone
from tests.support.faults.programs import Program, eventually
from tests.support.faults.world import World

pytestmark = pytest.mark.faults


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
    def test_without_a_free_connection_requests_get_retry_after(self, served: tuple[World, str]):
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


def at_work(world: World, tag: str, **more: float) -> tuple[Program, AppClient, str]:
    """A worker whose leases last longer than the trouble, and an app with a workflow."""
    worker, (api, url) = world.worker(hooked=False, env={"LEASE_SECONDS": "60"}), world.api()
    api.ready()
    return worker.ready(), *phone(world, url, tag, **more)


class TestNoRoom:
    def test_without_space_for_rows_reads_work_and_drivers_write_later(self, world: World, tmp_path: Path):
        """The rows are on a small disk, the log of the database is not: statements fail, and the server lives."""
        with small_disk(tmp_path / "disk", megabytes=64) as disk, rows_on(disk, world):
            worker, app, workflow = at_work(world, "rows")
            large = factories.node("large", config={"operation": "transform", "expression": "input"})
            run = world.submit([world.call("a", tag="room", delay=4), large], "a>large", value=LARGE)
            world.outside.await_call("room/a")
            with filled(disk, world):
                before = footprint(world)
                for _ in range(3):
                    assert ask(app, f"/workflows/{workflow}/execute", SUBMISSION) == (503, "2")
                    assert ask(app) == ask(app, "/executions") == (200, None)
                assert footprint(world) == before
                eventually(lambda: "journal.retry" in worker.output)
                assert world.status(run) == "running"
            world.finish(run)
            assert (world.run(run)["status"], world.charged(run)) == ("success", Decimal("1.20"))
            assert world.outside.times("room/") == {"room/a": 1}
            assert ask(app, f"/workflows/{workflow}/execute", SUBMISSION)[0] == 202
            eventually(lambda: world.sweep() or world.sql(UNFINISHED) == [(0,)], pause=0.5)

    def test_without_space_for_its_log_it_stops_and_work_resumes_afterwards(self, world: World, tmp_path: Path):
        with small_disk(tmp_path / "disk", megabytes=64) as disk, log_on(disk, world):
            _, app, workflow = at_work(world, "log", delay=4)
            begun = UUID(app.execute(workflow, None))
            world.outside.await_call("log/a")
            with filled(disk, world):
                answers = [ask(app, f"/workflows/{workflow}/execute", SUBMISSION) for _ in range(5)]
                time.sleep(4)  # the call's answer comes while nobody can write it down
            assert "PANIC" in world.postgres.log_path.read_text()
            assert (503, "2") in answers
            assert {status for status, _ in answers} <= {202, 503}
            if not world.postgres.is_ready():
                world.postgres.stop("immediate")
                world.postgres.start()
            runs = world.sql("SELECT id FROM workflow_executions WHERE workflow_id = %s", workflow)
            assert len(runs) == 1 + sum(status == 202 for status, _ in answers)
            world.finish(*[UUID(run) for (run,) in runs])
            assert (world.status(begun), world.outside.times("log/")) == ("success", {"log/a": len(runs)})
            assert ask(app, f"/workflows/{workflow}/execute", SUBMISSION)[0] == 202
            eventually(lambda: world.sweep() or world.sql(UNFINISHED) == [(0,)], pause=0.5)


def held_connection(held: ExitStack, world: World):
    """One of those that the server has, until the block ends."""
    connection = psycopg2.connect(world.database)
    held.callback(connection.close)
    connection.autocommit = True
    return connection


UNFINISHED = "SELECT count(*) FROM workflow_executions WHERE finished_at IS NULL"
LARGE = os.urandom(150_000).hex()
SUBMISSION = b'{"input": "%s", "maxCredits": 1.1}' % LARGE.encode()


def footprint(world: World) -> list[tuple[int, ...]]:
    """How many rows there are of all that a submission leaves."""
    tables = ("workflow_executions", "credit_holds", "execution_events", "idempotency_keys")
    return world.sql("SELECT " + ", ".join(f"(SELECT count(*) FROM {table})" for table in tables))


@contextmanager
def rows_on(disk: Path, world: World) -> Iterator[None]:
    """The database's rows, but not its log, on this disk."""
    ((data,),) = world.sql("SHOW data_directory")
    place, owner = disk / "rows", Path(data).stat()
    place.mkdir(mode=0o700)
    os.chown(place, owner.st_uid, owner.st_gid)
    administer(world, f"CREATE TABLESPACE small LOCATION '{place}'")
    administer(world, "ALTER DATABASE world SET TABLESPACE small")
    try:
        yield
    finally:
        world.kill_all()
        world.sql("DROP TABLE IF EXISTS waste")
        administer(world, "ALTER DATABASE world SET TABLESPACE pg_default")
        administer(world, "DROP TABLESPACE small")


@contextmanager
def log_on(disk: Path, world: World) -> Iterator[None]:
    """The database's log, but not its rows, on this disk."""
    ((data,),) = world.sql("SHOW data_directory")
    usual, away, there = Path(data, "pg_wal"), Path(data, "pg_wal.away"), disk / "pg_wal"
    world.postgres.stop()
    subprocess.run(["cp", "-a", usual, there], check=True)
    usual.rename(away)
    usual.symlink_to(there)
    world.postgres.start()
    try:
        yield
    finally:
        world.kill_all()
        world.postgres.stop()
        usual.unlink()
        shutil.rmtree(away)
        subprocess.run(["cp", "-a", there, usual], check=True)
        world.postgres.start()
        world.sql("DROP TABLE IF EXISTS waste")


def administer(world: World, statement: str) -> None:
    """Run a statement outside of the world's database, which has no connections then."""
    world.engine.dispose()
    with closing(psycopg2.connect(world.postgres.url())) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'world'")
            cursor.execute(statement)


@contextmanager
def filled(disk: Path, world: World) -> Iterator[None]:
    """No room on the disk of the database, not even in what it has set aside, until the block ends."""
    ballast = disk / "ballast"
    world.sql("CREATE TABLE waste (junk text)")
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free - 4096)
    try:
        eventually(lambda: not wastes(world), pause=0)
        yield
    finally:
        ballast.unlink()


def wastes(world: World) -> bool:
    """Whether there was room for one more row."""
    try:
        world.sql("INSERT INTO waste SELECT %s", LARGE)
    except psycopg2.OperationalError:
        return False
    return True


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
