"""A real engine over a private database, with `World` in place of the internet."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from queue import SimpleQueue
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text

from models.db import session_scope
from models.serialization import Json
from models.services.executions import approvals, executions
from models.services.orchestration import leases, redelivery
from models.tables import Execution, ExecutionEvent, NodeExecution, User
from tests.support import factories
from tests.support.engine.isolation import Elsewhere
from tests.support.engine.runtimes import shut_down
from tests.support.engine.world import World
from workers.engine.attempts.effect_executor import EffectExecutor
from workers.engine.driver.outcomes import DriveResult
from workers.engine.process.isolation import Start
from workers.engine.process.runtime import EngineConfig, Runtime


def connect_all(*pairs: str) -> list[dict[str, str]]:
    """Connections written as `a>b` or `a:port>b`."""
    connections = []
    for pair in pairs:
        source, _, target = pair.partition(">")
        source, _, port = source.partition(":")
        connections.append({"id": pair, "from": source, "to": target} | ({"fromPort": port} if port else {}))
    return connections


def call(node_id: str, *, method: str = "GET", **rest: Any) -> dict[str, Any]:
    """An `api_call` node that calls the world under its own name."""
    config = {"method": method, "url": f"http://world/{node_id}", "retries": 0}
    return factories.node(node_id, "api_call", config=config, **rest)


def transform(node_id: str, expression: str, **rest: Any) -> dict[str, Any]:
    """A `process` node that computes `expression`."""
    return factories.node(node_id, config={"operation": "transform", "expression": expression}, **rest)


def sub(node_id: str, workflow_id: UUID, **rest: Any) -> dict[str, Any]:
    """A node that runs another workflow; `input` goes into its config."""
    config = {"workflowId": str(workflow_id)} | ({"input": rest.pop("input")} if "input" in rest else {})
    return factories.node(node_id, "subworkflow", config=config, **rest)


def ask(node_id: str = "q", **config: Any) -> dict[str, Any]:
    """A node that asks a person."""
    return factories.node(node_id, "approval", config={"message": "Go on?"} | config)


class Bench:
    """Submits graphs and drives them."""

    def __init__(self, world: World, performer: EffectExecutor | None = None) -> None:
        self.world = world
        self.performer = performer or world
        self.runtimes: list[Runtime] = []
        self.enqueued: SimpleQueue[UUID] = SimpleQueue()  # runs that drivers started
        self.runtime = self.another()
        with session_scope() as session:
            self.user_id: UUID = factories.user(session, credits=100_000).id

    def another(
        self, config: EngineConfig | None = None, *, start_isolated: Start | None = None, name: str = "worker"
    ) -> Runtime:
        """A second worker process as the engine sees it; its isolated processes drive their runs."""
        config = config or EngineConfig(lease_seconds=30, heartbeat_seconds=1, effect_threads=64)
        owner = f"{name}-{len(self.runtimes)}"
        runtime = Runtime(
            self.performer,
            owner=owner,
            config=config,
            enqueue=lambda run: self.enqueued.put(run.execution_id),
            start_isolated=start_isolated or (lambda run, epoch: Elsewhere(self.another(name="isolated:"), run, epoch)),
        )
        self.runtimes.append(runtime)
        return runtime

    def submit(
        self,
        nodes: list[Mapping[str, Any]],
        *pairs: str,
        value: Json = None,
        cap: Decimal | int = 100,
        document: Mapping[str, Any] | None = None,
    ) -> UUID:
        """A queued execution of a new workflow: of `document`, or of nodes with connections between `pairs`."""
        graph = document or {"nodes": nodes, "connections": connect_all(*pairs)}
        with session_scope() as session:
            owner = session.get_one(User, self.user_id)
            workflow = factories.workflow(session, owner, graph=graph, worst_case=cap)
            return factories.execution(session, workflow, cap=cap, input=value).id

    def save(self, nodes: list[Mapping[str, Any]], *pairs: str, **columns: Any) -> UUID:
        """Save a workflow that other workflows may run."""
        with session_scope() as session:
            owner = session.get_one(User, self.user_id)
            graph = {"nodes": nodes, "connections": connect_all(*pairs)}
            return factories.workflow(session, owner, graph=graph, **columns).id

    def settle(self, execution_id: UUID, seconds: float = 30) -> Execution:
        """Drive a run and all its child runs, until it has ended or nothing can continue."""
        todo, until = [execution_id], time.monotonic() + seconds
        while todo and time.monotonic() < until:
            run = todo.pop(0)
            left = self.runtime.drive(run)
            while not self.enqueued.empty():
                todo.append(self.enqueued.get())
            find = redelivery.woken_by if left is None else redelivery.next_after
            todo.extend(turn.execution_id for turn in find(run))
        return self.execution(execution_id)

    def children(self, execution_id: UUID) -> list[Execution]:
        """The runs that a run started, the oldest first."""
        with session_scope() as session:
            mine = select(Execution).where(Execution.parent_execution_id == execution_id)
            return list(session.scalars(mine.order_by(Execution.created_at, Execution.id)))

    def run(self, nodes: list[Mapping[str, Any]], *pairs: str, **rest: Any) -> Execution:
        """Submit a run and drive it to its end."""
        execution_id = self.submit(nodes, *pairs, **rest)
        self.runtime.drive(execution_id)
        return self.execution(execution_id)

    def in_background(self, execution_id: UUID, runtime: Runtime | None = None) -> Callable[[], DriveResult | None]:
        """Drive in another thread; return a function that waits for the result."""
        result: list[DriveResult | None] = []
        thread = threading.Thread(target=lambda: result.append((runtime or self.runtime).drive(execution_id)))
        thread.start()

        def wait() -> DriveResult | None:
            thread.join(20)
            assert not thread.is_alive(), "the driver hangs"
            return result[0]

        return wait

    def crash(self, execution_id: UUID, *, owner: str = "") -> None:
        """Let a worker claim the run and die."""
        with session_scope() as session:
            lease = leases.claim(session, execution_id, owner=owner or f"doomed with {execution_id}", seconds=-1)
        assert lease

    def execution(self, execution_id: UUID) -> Execution:
        with session_scope() as session:
            return session.get_one(Execution, execution_id)

    def nodes(self, execution_id: UUID) -> dict[str, NodeExecution]:
        """The run's nodes by node id, or `id@path` within loops."""
        with session_scope() as session:
            rows = session.scalars(select(NodeExecution).where(NodeExecution.execution_id == execution_id))
            return {row.node_id + (f"@{row.path}" if row.path else ""): row for row in rows}

    def events(self, execution_id: UUID) -> list[ExecutionEvent]:
        with session_scope() as session:
            mine = select(ExecutionEvent).where(ExecutionEvent.execution_id == execution_id)
            return list(session.scalars(mine.order_by(ExecutionEvent.seq)))

    def sql(self, statement: str, **values: Any) -> Any:
        with session_scope() as session:
            result = session.execute(text(statement), values)
            return result.scalar() if result.returns_rows else None

    def violations(self) -> list[Any]:
        with session_scope() as session:
            return list(session.execute(text("SELECT * FROM ledger_violations()")))


def cancel(bench: Bench, execution_id: UUID) -> Execution:
    """Cancel the run as its owner does."""
    with session_scope() as session:
        return executions.request_cancel(session, session.get_one(User, bench.user_id), execution_id)


def approve(bench: Bench, execution_id: UUID, node_id: str = "q") -> None:
    """Approve the run's question as its owner does."""
    with session_scope() as session:
        approvals.approve(session, session.get_one(User, bench.user_id), execution_id, node_id, approved=True)


def event_types(bench: Bench, execution_id: UUID) -> list[str]:
    """The types of a run's events, in order."""
    return [event.type for event in bench.events(execution_id)]


@pytest.fixture
def bench(committed_database: str) -> Iterator[Bench]:
    world = World()
    bench = Bench(world)
    yield bench
    world.release.set()
    for runtime in bench.runtimes:
        shut_down(runtime)
    assert bench.violations() == []
