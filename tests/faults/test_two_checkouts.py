"""A developer's machine as it may be: half of the usual ports are taken, and two checkouts run their demos at once."""

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import astuple
from pathlib import Path

import pytest

from devstack import control
from devstack.servers.ports import LOOPBACK, Ports

pytestmark = pytest.mark.faults
ROOT = Path(__file__).parent.parent.parent
SYSTEM = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
TAKEN = astuple(Ports())[::2]
NOT_CODE = (".git", ".venv", ".devstack", ".*_cache", ".hypothesis", "__pycache__", "build", "node_modules")


@pytest.fixture
def checkouts(tmp_path: Path) -> Iterator[list[Path]]:
    copies = [tmp_path / name for name in ("one", "two")]
    for copy in copies:
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*NOT_CODE))
    try:
        yield copies
    finally:
        for copy in copies:
            control.stop(copy / ".devstack")


def ask(checkout: Path, *module: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", *module]
    return subprocess.Popen(
        command, cwd=checkout, env=SYSTEM, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def test_both_demos_succeed_and_each_says_where_its_own_stack_is(checkouts: list[Path]) -> None:
    with ExitStack() as held:
        for port in TAKEN:
            with suppress(OSError):  # somebody listens there already
                held.enter_context(socket.create_server((LOOPBACK, port)))
        demos = [ask(checkout, "devstack.demo") for checkout in checkouts]
        said = [demo.communicate(timeout=400)[0] for demo in demos]
        assert [demo.returncode for demo in demos] == [0, 0], said
        listed = [ask(checkout, "devstack", "status").communicate(timeout=60)[0] for checkout in checkouts]
    ports = [set(map(int, re.findall(rf"{re.escape(LOOPBACK)}:(\d+)", text))) for text in listed]
    assert [len(found) for found in ports] == [7, 7]
    assert ports[0].isdisjoint(ports[1])
    assert (ports[0] | ports[1]).isdisjoint(TAKEN)
    for text, address in zip(said, listed, strict=True):
        api = re.search(r"API +(\S+)", address)[1]
        assert f"API     {api}/api/executions/" in text
        assert "Port 3000 is taken by another program" in text
