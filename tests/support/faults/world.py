"""A small deployment of real processes for fault tests: submit work, and inspect the results."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import psutil
from sqlalchemy import Engine

from devstack.run_audit import query, wrongs
from devstack.servers.postgres import PostgresServer
from devstack.servers.redis_server import RedisServer
from models.db import session_scope
from models.rules.prices.pricing import Tier
from models.services.executions import executions
from models.tables import User
from simulators.ai.server import AiSimulator
from simulators.counting_server import CountingServer
from simulators.openclaw import Simulator
from tasks.publisher import TaskPublisher
from tasks.queue import QueueName, TaskMessage, TaskName, enqueue_new_run
from tests.support import factories
from tests.support.engine.bench import connect_all
from tests.support.faults.programs import LIMIT_SECONDS, Program, Programs, eventually

LEASE, HEARTBEAT = 3, 1  # seconds: short, so that tests wait little, and long enough for a busy machine


class World(Programs):
    """Use `running_world`. Runs are submitted in this process, by the code that the API calls."""

    outside: CountingServer
    openclaw: Simulator
    ai: AiSimulator
    broker: TaskPublisher
    engine: Engine

    def __init__(self, directory: Path, postgres: PostgresServer, redis: RedisServer, env: Mapping[str, str]) -> None:
        super().__init__(directory, env)
        self.postgres, self.redis = postgres, redis
        self.database = postgres.url("world")
        self.points = directory / "points"
        self.points.mkdir(exist_ok=True)

    def owner(self, execution_id: UUID) -> Program:
        """The worker that drives a run, as soon as there is one."""

        def pid() -> int | None:
            ((owner,),) = self.sql("SELECT lease_owner FROM workflow_executions WHERE id = %s", execution_id)
            return int(owner.rpartition(":")[2]) if owner else None

        eventually(lambda: pid() is not None)
        return next(program for program in self.programs if program.pid == pid())

    # Work ------------------------------------------------------------------------------------

    def user(self, *, credits: int = 10_000, tier: Tier = Tier.PREMIUM) -> UUID:
        with session_scope() as session:
            return factories.user(session, credits=credits, tier=tier).id

    def submit(
        self,
        nodes: list[dict[str, Any]],
        *pairs: str,
        owner: UUID | None = None,
        value: Any = None,
        publish: bool = True,
    ) -> UUID:
        """Accept a run of a new workflow as the API does; without `publish` its task message is lost."""
        return self.submit_many(nodes, *pairs, owner=owner, value=value, publish=publish, number=1)[0]

    def submit_many(
        self,
        nodes: list[dict[str, Any]],
        *pairs: str,
        number: int,
        owner: UUID | None = None,
        value: Any = None,
        publish: bool = True,
    ) -> list[UUID]:
        """Accept so many runs of one new workflow, each in its own transaction."""
        owner = owner or self.user()
        graph = {"nodes": nodes, "connections": connect_all(*pairs)}
        with session_scope() as session:
            workflow = factories.workflow(session, session.get_one(User, owner), graph=graph, worst_case=20)
        submitted = []
        for _ in range(number):
            with session_scope() as session:
                run = executions.submit(session, session.get_one(User, owner), workflow.id, input=value)
                if publish:
                    enqueue_new_run(session, run)
                submitted.append(run.id)
        return submitted

    def call(self, name: str, **rest: Any) -> dict[str, Any]:
        """A node that calls the counting server under its own name, by POST unless a `method` is given.

        `delay` and `unwell` change the response.
        """
        tag, method = rest.pop("tag", "run"), rest.pop("method", "POST")
        requested = urlencode(
            {requested: rest.pop(requested) for requested in ("delay", "unwell") if requested in rest}
        )
        url = f"{self.outside.url}/{tag}/{name}" + (f"?{requested}" if requested else "")
        return factories.node(name, "api_call", config={"method": method, "url": url}, **rest)

    def enqueue(self, execution_id: UUID | str, queue: QueueName = QueueName.EXECUTIONS_NORMAL) -> None:
        """Publish one task message."""
        self.broker(TaskMessage(TaskName.DRIVE_EXECUTION, queue, {"execution_id": str(execution_id)}))

    def sweep(self) -> None:
        """Send the sweep's message, as beat does every five seconds."""
        self.broker(TaskMessage(TaskName.SWEEP, QueueName.MAINTENANCE))

    def pass_time(self) -> None:
        """Expire the leases of dead workers, and make lost messages due for redelivery."""
        alive = [f"%:{program.pid}" for program in self.programs if program.alive]
        self.sql(
            "UPDATE workflow_executions SET enqueued_at = now() - interval '61 seconds', lease_expires_at ="
            " CASE WHEN lease_owner LIKE ANY(%s) THEN lease_expires_at ELSE now() - interval '1 second' END"
            " WHERE finished_at IS NULL AND (lease_owner IS NULL OR lease_expires_at IS NOT NULL)",
            alive,
        )

    def arm(self, point: str, requested: str = "kill") -> None:
        """Request a fault of the first process that reaches `point`."""
        draft = self.points / f".{point}"
        draft.write_text(requested)
        draft.rename(self.points / point)

    def taken(self, point: str) -> bool:
        """Whether a process reached the hook."""
        return not (self.points / point).exists()

    # Inspection ------------------------------------------------------------------------------

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        return query(self.database, statement, [str(v) if isinstance(v, UUID) else v for v in values])

    def status(self, execution_id: UUID) -> str:
        return str(self.sql("SELECT status FROM workflow_executions WHERE id = %s", execution_id)[0][0])

    def run(self, execution_id: UUID) -> dict[str, Any]:
        """The result of a run."""
        columns = ("status", "error", "credits_charged", "crash_log", "crash_state", "epoch", "output")
        row = self.sql(f"SELECT {', '.join(columns)} FROM workflow_executions WHERE id = %s", execution_id)[0]
        return dict(zip(columns, row, strict=True))

    def over(self, *execution_ids: UUID) -> bool:
        statement = "SELECT count(*) FROM workflow_executions WHERE id = ANY(%s::uuid[]) AND finished_at IS NOT NULL"
        return self.sql(statement, [str(execution_id) for execution_id in execution_ids])[0][0] == len(execution_ids)

    def finish(self, *execution_ids: UUID, seconds: float = LIMIT_SECONDS, sweep: bool = True) -> None:
        """Wait until all of them have ended; `sweep` sends the sweep's messages, more often than beat."""

        def looked() -> bool:
            if sweep:
                self.sweep()
            return self.over(*execution_ids)

        def stand() -> str:
            states = [self.run(execution_id) for execution_id in execution_ids if not self.over(execution_id)]
            return f"not over: {states[:3]}\n" + "\n".join(p.output[-1500:] for p in self.programs if p.alive)

        eventually(looked, seconds, stand, pause=0.2)

    def charged(self, execution_id: UUID) -> Decimal:
        return Decimal(self.run(execution_id)["credits_charged"])

    def sockets(self, program: Program) -> int:
        """Open connections of a program to the outside server."""
        port = int(self.outside.host.rpartition(":")[2])
        connections = psutil.Process(program.pid).net_connections(kind="tcp")
        return sum(bool(c.raddr) and c.raddr.port == port for c in connections)

    def wrongs(self) -> list[str]:
        return wrongs(self.database)
