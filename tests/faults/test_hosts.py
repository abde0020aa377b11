"""Three hosts: two with our processes, one with the database and Redis. One is cut off, or lost, in mid-run."""

import tempfile
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen
from uuid import UUID

import pytest

from models.db import SessionFactory
from tasks.queue import QueueName
from tests.support.faults.hosts import Host, HostsWorld, missing, running_hosts
from tests.support.faults.programs import ALL, Program, eventually, measured

pytestmark = [pytest.mark.faults, pytest.mark.skipif(bool(missing()), reason=missing() or "hosts can be made")]

HIGH, OTHERS = QueueName.EXECUTIONS_HIGH, "executions.normal,executions.low,maintenance"
CHARGE = Decimal("1.30")  # three nodes and the run


@pytest.fixture(scope="module")
def deployment() -> Iterator[tuple[HostsWorld, Host, Host, Host]]:
    with tempfile.TemporaryDirectory(prefix="agentforge-hosts-") as folder, running_hosts(Path(folder)) as hosts:
        yield hosts


@pytest.fixture
def hosts(deployment: tuple[HostsWorld, Host, Host, Host]) -> Iterator[tuple[HostsWorld, Host, Host, Host]]:
    """The hosts, joined again at the end, with every run settled."""
    world, *others = deployment
    SessionFactory.configure(bind=world.engine)
    yield deployment
    try:
        for host in others:
            world.network.plug_in(host)
        eventually(lambda: world.wrongs() == [], otherwise=lambda: str(world.wrongs()), pause=0.3)
    finally:
        SessionFactory.configure(bind=None)
        world.kill_all()


def worker_on(world: HostsWorld, host: Host, queues: str = ALL) -> Program:
    world.place = host
    return world.worker(queues=queues, hooked=False)


def chain(world: HostsWorld, tag: str) -> UUID:
    """A run of three calls, of which the second is held, driven by whoever takes from the queue of high priority."""
    world.outside.hold(f"{tag}/a")
    run = world.submit([world.call(name, tag=tag) for name in "zab"], "z>a", "a>b", publish=False)
    world.enqueue(run, HIGH)
    world.outside.await_call(f"{tag}/a")
    return run


def continued_elsewhere(world: HostsWorld, tag: str) -> None:
    def called_again() -> bool:
        world.sweep()
        return world.outside.times(f"{tag}/")[f"{tag}/a"] == 2

    measured(f"{tag}: goes on elsewhere after {eventually(called_again, pause=0.2):.1f} s")


def rows(world: HostsWorld, run: UUID) -> list[tuple]:
    return world.sql("SELECT * FROM execution_events WHERE execution_id = %s ORDER BY seq", run)


def test_a_run_of_a_host_that_is_cut_off_goes_on_once(hosts):
    world, first, second, _ = hosts
    cut, _ = worker_on(world, second, HIGH).ready(), worker_on(world, first, OTHERS).ready()
    run = chain(world, "cut-off")
    world.network.unplug(second)
    continued_elsewhere(world, "cut-off")
    world.outside.release("cut-off/a")
    world.finish(run)
    before = rows(world, run)
    world.network.plug_in(second)
    eventually(lambda: '"how":"lost"' in cut.output, otherwise=lambda: cut.output[-3000:])
    assert (world.status(run), world.charged(run), rows(world, run)) == ("success", CHARGE, before)
    assert len({one.key for one in world.outside.asked("cut-off/a")}) == 1  # the called API can tell that it is one
    world.outside.release("following/a")
    following = world.submit([world.call("a", tag="following")], publish=False)
    world.enqueue(following, HIGH)  # only the host that was cut off takes it
    world.finish(following)


def test_a_run_of_a_host_that_is_lost_goes_on_once(hosts):
    world, first, second, _ = hosts
    lost, _ = worker_on(world, second, HIGH).ready(), worker_on(world, first, OTHERS).ready()
    run = chain(world, "lost")
    world.network.unplug(second)  # first, so that no connection is closed
    lost.kill()
    continued_elsewhere(world, "lost")
    world.outside.release("lost/a")
    world.finish(run)
    assert (world.status(run), world.charged(run)) == ("success", CHARGE)
    assert world.outside.times("lost/") == {"lost/z": 1, "lost/a": 2, "lost/b": 1}


def test_every_run_ends_once_after_the_database_was_cut_off(hosts):
    world, first, second, data = hosts
    for host in (first, second):
        worker_on(world, host).ready()
    world.place = first
    world.beat()
    nodes = [world.call(name, tag="flood", delay=0.2) for name in "abc"]
    runs = world.submit_many(nodes, "a>b", "b>c", number=40)
    world.outside.await_call("flood/b", times=5)
    world.network.unplug(data)
    time.sleep(12)  # four times a lease
    world.network.plug_in(data)
    back = time.monotonic()
    world.finish(*runs, sweep=False)
    measured(f"40 runs over {time.monotonic() - back:.1f} s after the database was back")
    assert {(world.status(run), world.charged(run)) for run in runs} == {("success", CHARGE)}
    keys = [one.key for one in world.outside.asked("flood/")]
    assert len(set(keys)) == 120
    measured(f"{len(keys) - 120} of 120 calls were repeated, each with its key")


def test_the_api_says_that_its_database_is_gone_and_recovers(hosts):
    world, first, _, data = hosts
    world.place = first
    api, url = world.api()
    api.ready()

    def status() -> int:
        try:
            with urlopen(f"{url}/health/ready", timeout=30) as answer:
                return answer.status
        except HTTPError as error:
            return error.code

    assert status() == 200
    world.network.unplug(data)
    began = time.monotonic()
    eventually(lambda: status() == 503, 30)
    measured(f"not ready {time.monotonic() - began:.1f} s after the database was cut off")
    world.network.plug_in(data)
    measured(f"ready {eventually(lambda: status() == 200, 30):.1f} s after it was back")
