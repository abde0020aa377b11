"""The doctor on a whole stack: nothing is wrong while it works, and what was broken is named."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devstack import control
from devstack.stack import EXECUTION_QUEUES, OTHER_QUEUES
from tests.support.stack.command_line import agentforge, environment
from tests.support.stack.processes import eventually
from tests.support.stack.running import running_stack

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[control.RunningStack]:
    with running_stack(tmp_path_factory.mktemp("stack")) as stack:
        yield stack


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
