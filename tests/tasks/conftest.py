"""What tests of tasks share."""

from collections.abc import Iterator

import pytest

from tasks.queue import Doorbell, publish_through


@pytest.fixture
def sent() -> Iterator[list[Doorbell]]:
    """The doorbells that were rung, in place of a broker."""
    bells: list[Doorbell] = []
    before = publish_through(bells.append)
    yield bells
    publish_through(before)
