"""Servers, simulators and settings around a `World`; outside services run in the test's process and survive."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Engine

from devstack.servers.ports import LOOPBACK
from devstack.servers.postgres import PostgresServer
from devstack.servers.redis_server import RedisServer
from models.db import SessionFactory, connect
from simulators.ai.server import AiSimulator, running_ai_simulator
from simulators.counting_server import CountingServer, running_counting_server
from simulators.openclaw import Simulator, running_simulator
from tasks.publisher import TaskPublisher
from tasks.queue import set_publisher
from tests.support.faults.programs import ROOT
from tests.support.faults.world import HEARTBEAT, LEASE, World

W = TypeVar("W", bound=World)


@contextmanager
def running_world(directory: Path) -> Iterator[World]:
    """Servers that write as durably as production, simulators, and no process of ours yet."""
    with (
        PostgresServer(directory / "postgres") as postgres,
        RedisServer(directory / "redis") as redis,
        world_around(directory, postgres, redis) as world,
    ):
        yield world


@contextmanager
def world_around(
    directory: Path, postgres: PostgresServer, redis: RedisServer, *, kind: type[W] = World, outside_at: str = LOOPBACK
) -> Iterator[W]:
    """A world of that kind on these servers, with a migrated database; the counting server is at `outside_at`."""
    with ExitStack() as held:
        outside = held.enter_context(running_counting_server(outside_at))
        openclaw = held.enter_context(running_simulator(delay=0.05))
        ai = held.enter_context(running_ai_simulator())
        postgres.create_database("world")
        settings = _environment(directory, postgres, redis, outside, openclaw, ai)
        _migrate(settings)
        world = kind(directory, postgres, redis, settings)
        world.outside, world.openclaw, world.ai = outside, openclaw, ai
        held.callback(world.kill_all)
        held.enter_context(_connected(world))
        yield world


@contextmanager
def _connected(world: World) -> Iterator[Engine]:
    """Let this process submit runs: connect it to the world's database and broker."""
    world.broker = TaskPublisher(world.redis.url("0"))
    before = set_publisher(world.broker)
    engine = world.engine = connect(world.database)
    try:
        yield engine
    finally:
        set_publisher(before)
        engine.dispose()
        SessionFactory.configure(bind=None)


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
