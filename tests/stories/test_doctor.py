"""The doctor on a whole stack: nothing is wrong while it works, and what was broken is named."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from devstack import control
from devstack.servers.postgres import postgres_programs
from devstack.stack import EXECUTION_QUEUES, OTHER_QUEUES
from tests.support.stack.processes import command_of, eventually
from tests.support.stack.running import ROOT, running_stack

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[control.RunningStack]:
    with running_stack(tmp_path_factory.mktemp("stack")) as stack:
        yield stack


def environment(stack: control.RunningStack, queues: str) -> dict[str, str]:
    """That of the stack's worker of these queues, and PostgreSQL's programs."""
    children = psutil.Process(stack.pid).children(recursive=True)
    worker = next(child for child in children if queues in command_of(child.pid))
    return {**worker.environ(), "PATH": f"{postgres_programs()}:{os.environ['PATH']}"}


def agentforge(env: dict[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "manage", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


def wrong(env: dict[str, str], backups: Path) -> list[dict[str, Any]]:
    document = json.loads(agentforge(env, "doctor", "--backups", backups, "--json").stdout)
    return [one for one in document if one["level"] == "wrong"]


def test_nothing_is_wrong_until_something_is_broken(stack: control.RunningStack, tmp_path: Path):
    env = environment(stack, OTHER_QUEUES)
    assert agentforge(env, "backup", "--to", tmp_path).returncode == 0
    eventually(lambda: wrong(env, tmp_path) == [])
    assert agentforge(env, "doctor").returncode == 0  # the backup is in the audit log
    for dump in tmp_path.iterdir():
        os.utime(dump, (time.time() - 3 * 86_400,) * 2)
    assert {one["check"] for one in wrong(env | {"SMTP_URL": "smtp://127.0.0.1:1"}, tmp_path)} == {"mail"}
    drives = environment(stack, EXECUTION_QUEUES)
    assert wrong(drives, tmp_path) == []
    assert {one["check"] for one in wrong(drives | {"OPENCLAW_URL": "ws://127.0.0.1:1"}, tmp_path)} == {"openclaw"}
