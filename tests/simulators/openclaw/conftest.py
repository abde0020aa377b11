"""One simulator for the tests of a module."""

from collections.abc import Iterator

import pytest

from simulators.openclaw import Simulator, running_simulator


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with running_simulator(delay=0.02, orphan_delay=0.3, downtime=0.05) as simulator:
        yield simulator
