"""The lines that the documents tell newcomers to type work as they stand, one document after the other."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack import control
from tests.support.stack.running import ROOT, running_stack

pytestmark = pytest.mark.faults
DOCUMENTS = ("docs/getting-started.md", "docs/backend-guide.md")
USUAL = {"api": "http://127.0.0.1:3000", "mail": "http://127.0.0.1:18793"}  # the addresses in documents


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[control.RunningStack]:
    with running_stack(tmp_path_factory.mktemp("stack")) as stack:
        yield stack


def lines_of(document: str) -> str:
    """The lines of its shell blocks."""
    return "\n".join(re.findall(r"^```sh\n(.*?)^```", (ROOT / document).read_text(), re.MULTILINE | re.DOTALL))


def test_what_a_newcomer_types_works_as_it_stands(stack: control.RunningStack, tmp_path: Path) -> None:
    script = "\n".join(lines_of(document) for document in DOCUMENTS)
    for name, address in USUAL.items():
        assert address in script
        script = script.replace(address, stack.addresses[name])
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    printed = done.stdout.splitlines()
    assert "180" in printed  # the discount of getting-started
    status, events = printed[-2:]
    assert status == "success"
    assert int(events) > 5  # the state, and the history of three nodes
