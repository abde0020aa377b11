"""The whole stack for a module's tests, started as by `make up`, and queries on it."""

import base64
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import astuple
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psutil
import psycopg2

from devstack import control
from devstack.servers.ports import LOOPBACK, Ports
from tests.support.stack.processes import command_of

ROOT = Path(__file__).parents[3]
SYSTEM = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
QUICK = {"LEASE_SECONDS": "4", "HEARTBEAT_SECONDS": "1", "PRESENCE_SECONDS": "2"}
_ANY_PORTS = {"PORT": "0", "FLOWER_PORT": "0", "METRICS_PORT": "0"}


@contextmanager
def running_stack(directory: Path, **env: str) -> Iterator[control.RunningStack]:
    """A stack with its data in `directory`, short leases and frequent heartbeats; stopped at the end of the block."""
    try:
        yield control.ensure_up(directory, SYSTEM | QUICK | _ANY_PORTS | env)
    finally:
        control.stop(directory)


@contextmanager
def usual_ports_taken() -> Iterator[None]:
    """Occupy each default port."""
    with ExitStack() as held:
        for port in astuple(Ports()):
            with suppress(OSError):  # it is taken already
                held.enter_context(socket.create_server((LOOPBACK, port)))
        yield


def status_of(url: str, login: str = "") -> int:
    """The status of a GET, 0 without a response."""
    headers = {"Authorization": "Basic " + base64.b64encode(login.encode()).decode()} if login else {}
    try:
        with urlopen(Request(url, headers=headers), timeout=10) as answer:
            return int(answer.status)
    except HTTPError as error:
        with error:
            return error.code
    except OSError:
        return 0


def output_of(stack: control.RunningStack, *module: str) -> str:
    """The output of a program that finds this stack, and not the developer's."""
    env = SYSTEM | {"DEVSTACK_DIR": str(directory_of(stack))}
    command = [sys.executable, "-m", *module]
    answer = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=90, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


def directory_of(stack: control.RunningStack) -> Path:
    """The directory of the stack's data."""
    return Path(psutil.Process(stack.pid).environ()["DEVSTACK_DIR"])


def log_of(stack: control.RunningStack) -> str:
    """The log of all its processes."""
    return (directory_of(stack) / "stack.log").read_text(errors="replace")


def row(stack: control.RunningStack, query: str, *values: Any) -> tuple[Any, ...]:
    """The first row of a query on its database."""
    with closing(psycopg2.connect(stack.addresses["database"])) as connection, connection.cursor() as cursor:
        cursor.execute(query, values)
        connection.commit()
        return cursor.fetchone()


def execution_workers(supervisor: int) -> list[psutil.Process]:
    """The processes that drive executions."""
    children = psutil.Process(supervisor).children(recursive=True)
    queues = "executions.high,executions.normal,executions.low"
    found = [child for child in children if queues in command_of(child.pid)]
    assert found
    return found
