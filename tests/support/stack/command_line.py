"""The operator's command line in the environment of a process of the stack."""

import os
import subprocess
import sys

import psutil

from devstack import control
from devstack.servers.postgres import postgres_programs
from tests.support.stack.processes import command_of
from tests.support.stack.running import ROOT


def environment(stack: control.RunningStack, queues: str) -> dict[str, str]:
    """That of the stack's worker of these queues, and PostgreSQL's programs."""
    children = psutil.Process(stack.pid).children(recursive=True)
    worker = next(child for child in children if queues in command_of(child.pid))
    return {**worker.environ(), "PATH": f"{postgres_programs()}:{os.environ['PATH']}"}


def agentforge(env: dict[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command of the operator's command line to its end."""
    command = [sys.executable, "-m", "manage", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
