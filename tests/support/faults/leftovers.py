"""Finds resources that surviving processes still hold when nothing is in progress: threads, connections, calls.

SIGUSR1 lets Celery write the stacks of all threads into a worker's log.
"""

import re
import signal
from collections import Counter

import psutil

from tests.support.faults.programs import Program, eventually
from tests.support.faults.world import World

_STACK = re.compile(r"^(\S.*)\n={49}\n((?:  .*\n)+)={49}\nLOCAL VARIABLES$", re.MULTILINE)
_POOLED = re.compile(r".*_\d+")
_PASSING = ("leaving", "thread-failures")  # short-lived threads; of the others there is one each
CONNECTIONS = 20  # database connections that a process may keep


def leftovers(world: World) -> list[str]:
    """The leftovers as sentences; empty once every process is idle."""
    left = [f"{world.outside.open} calls are still open"] if world.outside.open else []
    sessions = dict(world.sql(_SESSIONS))
    for program in world.programs:
        if program.alive:
            left += [f"{program.name}: {what}" for what in _busy_threads(program) + _sessions_of(program, sessions)]
    return left


_SESSIONS = """
    SELECT client_port, xact_start IS NOT NULL FROM pg_stat_activity
     WHERE datname = current_database() AND client_port IS NOT NULL AND pid <> pg_backend_pid()
"""


def _busy_threads(program: Program) -> list[str]:
    """Busy threads of pools, with their current line."""
    if not program.name.startswith("worker"):
        return []
    known = len(program.output)
    program.signal(signal.SIGUSR1)
    eventually(lambda: "\nMainThread\n" in program.output[known:] or not program.alive)
    stacks = [(name, stack.splitlines()[-2].strip()) for name, stack in _STACK.findall(program.output[known:])]
    busy = [(name, at) for name, at in stacks if _POOLED.fullmatch(name) and not at.endswith(" in _worker")]
    kinds = Counter(re.sub(r"\d+", "", name) for name, _ in stacks if not _POOLED.fullmatch(name))
    left = [f"thread {name} is at {at}" for name, at in busy]
    return left + [f"{number} threads {kind}" for kind, number in kinds.items() if number > (kind not in _PASSING)]


def _sessions_of(program: Program, sessions: dict[int, bool]) -> list[str]:
    processes = [psutil.Process(program.pid), *psutil.Process(program.pid).children(recursive=True)]
    left = []
    for process in processes:
        ports = _ports(process) & sessions.keys()
        if len(ports) > CONNECTIONS:
            left.append(f"{len(ports)} connections to the database")
        if any(sessions[port] for port in ports):
            left.append("an open transaction")
    return left


def _ports(process: psutil.Process) -> set[int]:
    """The local ports of its connections; empty for a child that has just ended."""
    try:
        return {line.laddr.port for line in process.net_connections("tcp") if line.laddr}
    except psutil.NoSuchProcess:
        return set()
