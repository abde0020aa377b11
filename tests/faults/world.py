"""A small deployment of real processes for fault tests: servers, workers, APIs and beats, each with a pid to be killed.

Everything outside is in this process and survives: the server that nodes call, the gateway, the AI providers.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Self
from uuid import UUID

import psutil
from celery import Celery
from sqlalchemy import Engine

from devstack.ai_simulator import AiSimulator, running_ai_simulator
from devstack.counting_server import CountingServer, running_counting_server
from devstack.openclaw_simulator import Simulator, running_simulator
from devstack.ports import LOOPBACK, free_port
from devstack.postgres import PostgresServer
from devstack.process import spawn
from devstack.redis_server import RedisServer
from devstack.run_audit import query, wrongs
from devstack.stack import answers
from models.db import SessionFactory, connect, session_scope
from models.rules.pricing import Tier
from models.services import executions
from models.user import User
from tasks.queue import Broker, Doorbell, QueueName, TaskName, enqueue, publish_through
from tests import factories
from tests.engine.conftest import connect_all

ROOT = Path(__file__).parent.parent.parent
EXECUTIONS = "executions.high,executions.normal,executions.low"
ALL = f"{EXECUTIONS},maintenance,billing,notifications"
LEASE, HEARTBEAT = 3, 1  # seconds: short, so that tests wait little, and long enough for a busy machine


@dataclass
class Program:
    """One process and its log."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    is_ready: Callable[[str], bool]

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def ready(self, seconds: float = 60) -> Self:
        """Wait until it works."""
        eventually(lambda: not self.alive or self.is_ready(self.output), seconds, lambda: self.output[-2000:])
        assert self.alive, self.output[-2000:]
        return self

    def signal(self, number: int) -> Self:
        self.process.send_signal(number)
        return self

    def kill(self) -> None:
        """kill -9, children included, and see it gone."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()

    def wait(self, seconds: float = 30) -> int:
        """Its status once it has ended by itself."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} does not end:\n{self.output[-2000:]}") from None


class World:
    """Use `running_world`. Runs are submitted in this process, by the code that the API calls."""

    def __init__(self, directory: Path, postgres: PostgresServer, redis: RedisServer, env: Mapping[str, str]) -> None:
        self.directory = directory
        self.postgres, self.redis = postgres, redis
        self.database = postgres.url("world")
        self.points = directory / "points"
        self.points.mkdir(exist_ok=True)
        self.programs: list[Program] = []
        self.outside: CountingServer
        self.openclaw: Simulator
        self.ai: AiSimulator
        self._env = dict(env)
        self._numbers = 0

    # Processes -------------------------------------------------------------------------------

    def worker(
        self, *, queues: str = ALL, threads: int = 16, hooked: bool = True, env: Mapping[str, str] | None = None
    ) -> Program:
        """Start a worker; it is of production but for the points at which tests may interfere."""
        app = "tests.faults.worker_app:app" if hooked else "celery_config:app"
        name = f"worker{self._number()}"
        command = ["celery", "--quiet", "-A", app, "worker", "-P", "threads", "-c", str(threads), "-Q", queues]
        command += ["--without-gossip", "--without-mingle", "--loglevel", "INFO", "-n", f"{name}@%h"]
        return self._start(name, command, lambda output: " ready." in output, env)

    def beat(self) -> Program:
        """Start a beat."""
        command = ["celery", "--quiet", "-A", "celery_config:app", "beat", "--loglevel", "INFO", "--pidfile="]
        return self._start(f"beat{self._number()}", command, lambda _: True)

    def api(self, *, app: str = "wsgi:app", env: Mapping[str, str] | None = None) -> tuple[Program, str]:
        """Start an API as in production, and answer its address."""
        port = free_port()
        command = ["gunicorn", "-c", "deploy/gunicorn.conf.py", "--bind", f"{LOOPBACK}:{port}", app]
        ready = partial(answers, port, "/health/live")
        program = self._start(f"api{self._number()}", command, lambda _: ready(), env)
        return program, f"http://{LOOPBACK}:{port}"

    def _start(
        self, name: str, module: list[str], is_ready: Callable[[str], bool], env: Mapping[str, str] | None = None
    ) -> Program:
        log = self.directory / f"{name}.log"
        with log.open("wb") as output:
            command = [sys.executable, "-m", *module]
            process = spawn(command, env=self._env | dict(env or {}), output=output, cwd=ROOT)
        program = Program(name, process, log, is_ready)
        self.programs.append(program)
        return program

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    @property
    def alive(self) -> int:
        """How many programs run."""
        return sum(program.alive for program in self.programs)

    def kill_all(self) -> None:
        """End every program that a test left behind."""
        for program in self.programs:
            program.kill()
        self.programs.clear()

    def owner(self, execution_id: UUID) -> Program:
        """The worker that drives a run, once there is one."""

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
        self, nodes: list[dict[str, Any]], *pairs: str, owner: UUID | None = None, value: Any = None, ring: bool = True
    ) -> UUID:
        """Accept a run of a new workflow as the API does; without `ring` its doorbell is lost."""
        return self.submit_many(nodes, *pairs, owner=owner, value=value, ring=ring, number=1)[0]

    def submit_many(
        self,
        nodes: list[dict[str, Any]],
        *pairs: str,
        number: int,
        owner: UUID | None = None,
        value: Any = None,
        ring: bool = True,
    ) -> list[UUID]:
        """Accept so many runs of one new workflow, each in a transaction of its own."""
        owner = owner or self.user()
        graph = {"nodes": nodes, "connections": connect_all(*pairs)}
        with session_scope() as session:
            workflow = factories.workflow(session, session.get_one(User, owner), graph=graph, worst_case=20)
        submitted = []
        for _ in range(number):
            with session_scope() as session:
                run = executions.submit(session, session.get_one(User, owner), workflow.id, input=value)
                if ring:
                    enqueue(session, TaskName.DRIVE_EXECUTION, priority=run.priority, execution_id=run.id)
                submitted.append(run.id)
        return submitted

    def call(self, name: str, **rest: Any) -> dict[str, Any]:
        """A node that posts to the counting server under its own name, with `delay` seconds if given."""
        seconds = rest.pop("delay", 0)
        tag = rest.pop("tag", "run")
        url = f"{self.outside.url}/{tag}/{name}" + (f"?delay={seconds}" if seconds else "")
        return factories.node(name, "api_call", config={"method": "POST", "url": url}, **rest)

    def ring(self, execution_id: UUID | str, queue: QueueName = QueueName.EXECUTIONS_NORMAL) -> None:
        """Publish one doorbell by hand."""
        self.broker(Doorbell(TaskName.DRIVE_EXECUTION, queue, {"execution_id": str(execution_id)}))

    def sweep(self) -> None:
        """What beat sends every five seconds."""
        self.broker(Doorbell(TaskName.SWEEP, QueueName.MAINTENANCE))

    def arm(self, point: str, wish: str = "kill") -> None:
        """Let whoever comes to `point` first obey."""
        draft = self.points / f".{point}"
        draft.write_text(wish)
        draft.rename(self.points / point)

    def taken(self, point: str) -> bool:
        """Whether somebody came there."""
        return not (self.points / point).exists()

    # Looking ---------------------------------------------------------------------------------

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        return query(self.database, statement, [str(v) if isinstance(v, UUID) else v for v in values])

    def status(self, execution_id: UUID) -> str:
        return str(self.sql("SELECT status FROM workflow_executions WHERE id = %s", execution_id)[0][0])

    def run(self, execution_id: UUID) -> dict[str, Any]:
        """What a run came to."""
        columns = ("status", "error", "credits_charged", "crashes", "epoch", "output")
        row = self.sql(f"SELECT {', '.join(columns)} FROM workflow_executions WHERE id = %s", execution_id)[0]
        return dict(zip(columns, row, strict=True))

    def over(self, *execution_ids: UUID) -> bool:
        statement = "SELECT count(*) FROM workflow_executions WHERE id = ANY(%s::uuid[]) AND finished_at IS NOT NULL"
        return self.sql(statement, [str(execution_id) for execution_id in execution_ids])[0][0] == len(execution_ids)

    def finish(self, *execution_ids: UUID, seconds: float = 60, sweep: bool = True) -> None:
        """Wait until all of them are over; `sweep` does what beat does, only more often."""

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

    broker: Broker
    engine: Engine


def eventually(
    holds: Callable[[], bool], seconds: float = 30, otherwise: Callable[[], str] = lambda: "", pause: float = 0.02
) -> float:
    """Wait until `holds()` and answer how long that took; fails with the words of `otherwise` after `seconds`."""
    begun = time.monotonic()
    while not holds():
        assert time.monotonic() - begun < seconds, f"it did not come true within {seconds} s. {otherwise()}"
        time.sleep(pause)
    return time.monotonic() - begun


def measured(sentence: str) -> None:
    """Say what a test measured; pytest shows it with -rP."""
    sys.stdout.write(f"measured: {sentence}\n")


@contextmanager
def running_world(directory: Path, env: Mapping[str, str] | None = None) -> Iterator[World]:
    """Servers that write as durably as production, simulators, and no process of ours yet."""
    with ExitStack() as held:
        postgres = held.enter_context(PostgresServer(directory / "postgres"))
        redis = held.enter_context(RedisServer(directory / "redis"))
        outside = held.enter_context(running_counting_server())
        openclaw = held.enter_context(running_simulator(delay=0.05))
        ai = held.enter_context(running_ai_simulator())
        postgres.create_database("world")
        settings = _environment(directory, postgres, redis, outside, openclaw, ai) | dict(env or {})
        _migrate(settings)
        world = World(directory, postgres, redis, settings)
        world.outside, world.openclaw, world.ai = outside, openclaw, ai
        held.callback(world.kill_all)
        held.enter_context(_connected(world))
        yield world


@contextmanager
def _connected(world: World) -> Iterator[Engine]:
    """Let this process submit runs: bound to the world's database, ringing through its broker."""
    app = Celery("world", broker=world.redis.url("0"))
    world.broker = Broker(app)
    before = publish_through(world.broker)
    engine = world.engine = connect(world.database)
    try:
        yield engine
    finally:
        publish_through(before)
        engine.dispose()
        SessionFactory.configure(bind=None)
        app.close()


def _environment(
    directory: Path,
    postgres: PostgresServer,
    redis: RedisServer,
    outside: CountingServer,
    openclaw: Simulator,
    ai: AiSimulator,
) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": "ignore:You're running the worker with superuser privileges",
        "AGENTFORGE_ENV": "test",
        "DATABASE_URL": postgres.url("world"),
        "REDIS_URL": redis.url("0"),
        "LIMITER_URL": redis.url("1"),
        "LEASE_SECONDS": str(LEASE),
        "HEARTBEAT_SECONDS": str(HEARTBEAT),
        "OPENCLAW_URL": openclaw.url,
        "OPENCLAW_TOKEN": openclaw.token,
        "EGRESS_ALLOW": outside.host,
        "OPENAI_BASE_URL": ai.openai,
        "FAULT_POINTS": str(directory / "points"),
    }


def _migrate(env: Mapping[str, str]) -> None:
    command = [sys.executable, "-m", "alembic", "upgrade", "head"]
    answer = subprocess.run(command, cwd=ROOT, env=dict(env), capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
