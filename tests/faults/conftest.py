"""One deployment for all tests of a process; each test leaves it settled, and its programs idle before they end."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.db import SessionFactory
from tests.support.faults.deployment import running_world
from tests.support.faults.leftovers import leftovers
from tests.support.faults.programs import eventually
from tests.support.faults.world import World


@pytest.fixture(scope="session")
def deployment() -> Iterator[World]:
    with tempfile.TemporaryDirectory(prefix="agentforge-faults-") as folder, running_world(Path(folder)) as world:
        yield world


@pytest.fixture
def world(deployment: World) -> Iterator[World]:
    """The deployment, with nothing wrong in it at the end, whatever happened to it."""
    known = set(deployment.wrongs())  # of a test that failed; it has said so
    SessionFactory.configure(bind=deployment.engine)  # other tests of this process have databases of their own
    yield deployment
    try:
        assert set(deployment.wrongs()) - known == set()
        eventually(lambda: leftovers(deployment) == [], otherwise=lambda: str(leftovers(deployment)), pause=0.3)
    finally:
        SessionFactory.configure(bind=None)
        deployment.kill_all()
        for left in deployment.points.iterdir():
            left.unlink()
