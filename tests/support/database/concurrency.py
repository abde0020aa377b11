"""Calls services from as many threads at once as there are connections."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any


def at_once(times: int, act: Callable[[int], Any]) -> list[Any]:
    """Results of `act(0)`, `act(1)`, ..., started together in as many threads as there are connections."""
    start = Barrier(min(times, 16))

    def run(number: int) -> Any:
        if number < start.parties:
            start.wait(10)
        return act(number)

    with ThreadPoolExecutor(start.parties) as pool:
        return list(pool.map(run, range(times)))
