"""A worker is killed before and after every single write of a rich run: it ends as without faults, charged once.

The run has parallel calls, a decision, a loop, a retry, a call that must not be repeated, a question to a person, and a
child run. It runs once undisturbed, to list its writes; then once for every write and moment.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from itertools import count
from queue import Empty, SimpleQueue
from typing import Any
from uuid import UUID

import pytest

from models.db import session_scope
from models.errors import Conflict
from models.rules.prices.pricing import PLANS, Tier
from models.services.executions import approvals
from models.tables import User
from tasks.queue import enqueue_run, target_of
from tests.support import factories
from tests.support.engine.bench import connect_all, sub
from tests.support.faults.programs import Program, eventually, measured
from tests.support.faults.world import World
from tests.support.faults.writes import Ledger, Write

CALLS = ("left", "right", "visit", "shaky", "once", "inner")
SAFE = ("right", "visit")  # they only read, so that they may be sent before their start is stored
INSTEAD = "nobody knows"  # what the run goes on with when a worker died during the call that must not be repeated
RESULT = {name: f"{{{{ nodes.{name}.output.body }}}}" for name in ("left", "right", "shaky", "once")}
RESULT |= {"each": "{{ nodes.each.output.map(visit => visit.body) }}", "child": "{{ nodes.child.output }}"}
RESULT |= {"sure": "{{ nodes.sure.output.approved }}"}
_numbers = count(1)


@dataclass(frozen=True)
class Course:
    """The result of a run and its child run, without their tag."""

    statuses: tuple[str, ...]
    output: str
    charged: tuple[Decimal, ...]
    times: Counter[str]
    writes: list[Write]
    keys: int  # different ones among all calls; those that only read have none


@dataclass(frozen=True)
class Kill:
    """Where a worker dies: `before` or `after` the commit of the write of this number."""

    number: int
    moment: str


class Lane:
    """Workers of one tier's queue, of which one may die at any time, and another one goes on."""

    def __init__(self, world: World, tier: Tier, workers: int) -> None:
        self._world = world
        self._queues = f"executions.{PLANS[tier].priority},maintenance"
        self._tier = tier
        self._workers: list[Program] = []
        self.died = 0
        self._start(workers)

    def _start(self, number: int) -> None:
        self._workers += [self._world.worker(queues=self._queues, threads=4) for _ in range(number)]

    def _replace(self) -> bool:
        """Have at least two workers, whether ready or not; whether one had died."""
        alive = [worker for worker in self._workers if worker.alive]
        dead = len(self._workers) - len(alive)
        self.died += dead
        self._workers = alive
        self._start(max(0, 2 - len(alive)))
        return dead > 0

    def course(self, kill: Kill | None = None) -> Course:
        """Let one run take its course, disturbed or not."""
        for worker in self._workers:
            worker.ready()
        world, tag = self._world, f"write{next(_numbers)}"
        ledger = Ledger(world.points, tag)
        if kill:
            ledger.ask(kill.number, kill.moment)
        owner = world.user(tier=self._tier)
        run = world.submit(*rich(world, owner, tag), owner=owner, value={"tag": tag, "items": [1, 2, 3]})

        def is_over() -> bool:
            if self._replace():
                world.pass_time()
            world.sweep()
            answer(owner, run)
            return world.over(run)

        before = self.died
        eventually(is_over, otherwise=lambda: f"{kill} of {tag}: {world.run(run)} {ledger.writes()}", pause=0.1)
        if kill and self.died == before:  # what is written last is written after the end
            patience = time.monotonic() + 5
            while not self._replace() and time.monotonic() < patience:
                time.sleep(0.02)
        return self._course(run, tag, ledger)

    def _course(self, run: UUID, tag: str, ledger: Ledger) -> Course:
        tree = self._world.sql(
            "SELECT status, credits_charged, output FROM workflow_executions"
            " WHERE id = %s OR parent_execution_id = %s ORDER BY depth",
            run,
            run,
        )
        asked = self._world.outside.asked(f"{tag}/")
        return Course(
            statuses=tuple(status for status, _, _ in tree),
            output=json.dumps(tree[0][2], sort_keys=True).replace(tag, "TAG"),
            charged=tuple(charged for _, charged, _ in tree),
            times=Counter(one.name.removeprefix(f"{tag}/") for one in asked),
            writes=ledger.writes(),
            keys=len({one.key for one in asked if one.key}),
        )


def rich(world: World, owner: UUID, tag: str) -> tuple[Any, ...]:
    """A graph with everything in it, as `World.submit` takes it."""
    inner = {
        "nodes": [world.call("inner", tag=tag), output("told", {"inner": "{{ nodes.inner.output.body }}"})],
        "connections": connect_all("inner>told"),
    }
    with session_scope() as session:
        child = factories.workflow(session, session.get_one(User, owner), graph=inner, worst_case=2).id
    call = partial(world.call, tag=tag)
    once = {"sideEffects": "once", "onCrash": "fail", "onError": "continue", "defaultValue": {"body": INSTEAD}}
    nodes = [
        call("left"),
        call("right", method="GET"),
        factories.node("both", "merge"),
        factories.node("large", "decision", config={"condition": "{{ input.items.length > 2 }}"}),
        factories.node("each", "loop", config={"items": "{{ input.items }}", "concurrency": 2}),
        call("visit", parentId="each", method="GET"),
        call("shaky", unwell=1, retry={"maxAttempts": 3, "initialInterval": 0.1}),
        call("once", **once),
        factories.node("sure", "approval", config={"message": "Sure?"}),
        sub("child", child, input={"tag": tag}),
        output("told", RESULT),
        output("small", {}),
    ]
    ways = ["left>both", "right>both", "both>large", "large:true>each", "large:false>small", "each>shaky"]
    return nodes, *ways, "shaky>once", "once>sure", "sure:approved>child", "child>told"


def output(node_id: str, value: Any) -> dict[str, Any]:
    return factories.node(node_id, "output", config={"outputType": "json", "value": value})


def answer(owner: UUID, run: UUID) -> None:
    """Say yes as soon as the run asks, as the API does."""
    try:
        with session_scope() as session:
            asked = approvals.approve(session, session.get_one(User, owner), run, "sure", approved=True)
            enqueue_run(session, target_of(asked))
    except Conflict:
        pass  # not yet, or it has been answered


def wrongs_of(course: Course, usual: Course, kill: Kill) -> list[str]:
    """The differences from an undisturbed run."""
    stored = [write for write in course.writes if write.number < kill.number + (kill.moment == "after")]
    begun, ended = said(stored, "running"), said(stored, "success")
    in_flight = begun - ended
    refused = said((write for write in course.writes if write.number == kill.number), "running") - begun
    maybe_sent = in_flight | {step for step in refused if step.partition("[")[0] in SAFE}
    is_unknown = "once" in in_flight
    expected = {
        "statuses": usual.statuses,
        "output": usual.output.replace('{"name": "TAG/once"}', f'"{INSTEAD}"') if is_unknown else usual.output,
        "charged": (usual.charged[0] - is_unknown * Decimal("0.10"), *usual.charged[1:]),
        "keys": usual.keys - (is_unknown and not course.times["once"]),
    }
    wrong = [f"{name}: {getattr(course, name)}" for name, value in expected.items() if getattr(course, name) != value]
    for name in CALLS:
        repeats = course.times[name] - usual.times[name]
        if name == "once":
            allowed = (-1, 0) if is_unknown else (0,)
        else:
            allowed = range(1 + sum(step.partition("[")[0] == name for step in maybe_sent))
        wrong += [f"{name} called {repeats:+d}"] if repeats not in allowed else []
    return [f"{kill}, with {sorted(in_flight)} in flight: {what}" for what in wrong]


def said(writes: Iterable[Write], status: str) -> set[str]:
    """The calls of which this was written."""
    steps = {words.removesuffix(f" {status}") for write in writes for words in write.words if words.endswith(status)}
    return {step for step in steps if step.partition("[")[0] in CALLS}


def killed(lane: Lane, kills: "SimpleQueue[Kill]", usual: Course) -> list[str]:
    """Let runs be disturbed as long as there is a way left; what went wrong."""
    wrong = []
    while True:
        try:
            kill = kills.get_nowait()
        except Empty:
            return wrong
        wrong += wrongs_of(lane.course(kill), usual, kill)


def disturb(lanes: list[Lane], choose: Callable[[list[Write]], list[Kill]]) -> tuple[int, int]:
    """Kill a worker in some of all ways; how many ways there were, and how many died."""
    usual = lanes[0].course()
    assert usual.statuses == ("success", "success")
    assert usual.times == Counter(left=1, right=1, visit=3, shaky=2, once=1, inner=1)
    assert usual.keys == 4
    kills: SimpleQueue[Kill] = SimpleQueue()
    for kill in (chosen := choose(usual.writes)):
        kills.put(kill)
    with ThreadPoolExecutor(len(lanes)) as pool:  # a worker ends with the thread that started it
        came = list(pool.map(lambda lane: killed(lane, kills, usual), lanes))
    assert [one for wrong in came for one in wrong] == []
    return len(chosen), sum(lane.died for lane in lanes)


def some(writes: list[Write]) -> list[Kill]:
    """A lost answer, a call that may have happened, a child run that is not recorded, and its end."""
    moments = {"right success": "before", "once running": "after", "starts a child": "after", "inner success": "after"}
    return [
        Kill(next(write.number for write in writes if words in write.words), moment)
        for words, moment in moments.items()
    ]


def every(writes: list[Write]) -> list[Kill]:
    """Both moments of all."""
    return [Kill(write.number, moment) for write in writes for moment in ("before", "after")]


@pytest.mark.faults
def test_workers_killed_at_some_of_the_writes_leave_every_run_whole(world: World):
    ways, dead = disturb([Lane(world, Tier.PREMIUM, workers=5)], some)
    assert dead == ways == 4


@pytest.mark.faults
def test_wherever_a_worker_is_killed_its_run_ends_as_if_nothing_had_been(world: World):
    lanes = [Lane(world, tier, workers=2) for tier in (Tier.ENTERPRISE, Tier.PREMIUM)]
    ways, dead = disturb(lanes, every)
    measured(f"{dead} workers died at {ways} moments")
    assert dead >= 0.9 * ways  # now and then two calls are written down together, and there is one write less
