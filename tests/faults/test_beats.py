"""Two beats, no beat, and sweeps that die half way: nothing is done twice, and health reports it."""

import json
import signal
import time
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from tests.support import factories
from tests.support.faults.programs import eventually, measured
from tests.support.faults.world import World

pytestmark = pytest.mark.faults


def test_two_beats_enqueue_everything_and_do_nothing_twice(world: World):
    workers = [world.worker(hooked=False), world.worker(hooked=False)]
    for program in (world.beat(), world.beat(), *workers):
        program.ready()
    lost = world.submit_many([world.call("a", tag="beats")], number=20, publish=False)
    timers = world.submit_many(
        [factories.node("w", "wait", config={"seconds": 12}), world.call("a", tag="timers")], "w>a", number=20
    )
    world.finish(*lost, *timers, sweep=False)
    assert world.outside.times("beats/") == {"beats/a": 20}
    assert world.outside.times("timers/") == {"timers/a": 20}
    assert {world.run(run)["epoch"] for run in lost} == {1}
    assert {world.run(run)["epoch"] for run in timers} == {2}


def test_a_beat_that_was_stopped_does_nothing_twice_when_it_goes_on(world: World):
    world.worker(hooked=False).ready()
    stopped = world.beat()
    world.finish(world.submit([world.call("lost", tag="before-the-stop")], publish=False), sweep=False)
    stopped.signal(signal.SIGSTOP)
    timers = world.submit_many(
        [factories.node("w", "wait", config={"seconds": 12}), world.call("a", tag="stopped-beat")], "w>a", number=20
    )
    eventually(lambda: {world.status(run) for run in timers} == {"waiting"})
    other = world.beat()
    eventually(lambda: world.outside.times("stopped-beat/")["stopped-beat/a"] > 0)
    stopped.signal(signal.SIGCONT)
    world.finish(*timers, sweep=False)
    assert stopped.alive
    assert other.alive
    assert world.outside.times("stopped-beat/") == {"stopped-beat/a": 20}
    assert {world.run(run)["epoch"] for run in timers} == {2}


def test_a_sweep_that_dies_after_its_commit_is_made_good_by_the_next(world: World):
    doomed = world.worker().ready()
    timers = world.submit_many(
        [factories.node("w", "wait", config={"seconds": 11}), world.call("a", tag="swept")], "w>a", number=10
    )
    eventually(lambda: {world.status(run) for run in timers} == {"waiting"})
    world.arm("publishing")
    eventually(lambda: world.sweep() or not doomed.alive, pause=0.5)
    assert doomed.wait() == -signal.SIGKILL
    world.worker(hooked=False).ready()
    world.beat()
    world.finish(*timers, sweep=False)
    assert world.outside.times("swept/") == {"swept/a": 10}


def test_without_a_beat_health_says_so_and_with_one_again_it_is_well(world: World):
    worker, (api, url) = world.worker(hooked=False), world.api()
    worker.ready()
    api.ready()
    beat = world.beat().ready()
    eventually(lambda: health(url).get("beat") == "up", 90, lambda: str(health(url)), pause=1)
    beat.kill()
    waited = eventually(lambda: health(url).get("beat") == "down", 200, lambda: str(health(url)), pause=1)
    measured(f"a dead beat shows after {waited:.0f} s")
    begun = time.monotonic()
    world.beat()
    eventually(lambda: health(url).get("beat") == "up", 120, pause=1)
    measured(f"and a new one after {time.monotonic() - begun:.0f} s")


def health(url: str) -> dict:
    try:
        with urlopen(f"{url}/health", timeout=10) as answer:
            return json.loads(answer.read())
    except HTTPError as error:
        with error:
            return json.loads(error.read())
