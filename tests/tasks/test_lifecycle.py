"""What a worker process makes once, however many of its threads ask for it first."""

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from tasks.lifecycle import once


def test_threads_that_ask_at_once_get_the_same_one():
    """A second engine would never hear that the process leaves; a second gateway would pass the cap of the first."""
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
