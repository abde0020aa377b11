"""Objects that a worker process creates once for all its threads."""

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from tasks.bootstrap import once


def test_threads_that_ask_at_once_get_the_same_one():
    """A second engine would not be shut down; a second gateway would exceed the cap of the first."""
    start = Barrier(8)

    @once
    def engine() -> object:
        time.sleep(0.05)
        return object()

    def ask() -> object:
        start.wait(5)
        return engine()

    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask) for _ in range(8)]
        assert len({id(answer.result()) for answer in asked}) == 1
