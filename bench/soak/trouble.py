"""Faults of the soak: workers are killed, webhooks are held back and delivered in another order."""

import json
import random
import signal
import threading
import time
from collections import Counter
from types import TracebackType
from typing import Any, Self
from urllib.request import Request, urlopen

import psutil

from devstack.stack import EXECUTION_QUEUES, OTHER_QUEUES

BILLING, EXECUTIONS = "billing", "execution"
# Both kinds of worker are killed equally often, although there are more of the second.
QUEUES = {BILLING: OTHER_QUEUES, EXECUTIONS: EXECUTION_QUEUES}


class Stripe:
    """The controls of the simulated Stripe."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __call__(self, name: str, **arguments: Any) -> Any:
        """Call a control by its name."""
        request = Request(f"{self._url}/_control/{name}", data=json.dumps(arguments).encode(), method="POST")
        with urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())


def workers(supervisor: int, kind: str) -> list[psutil.Process]:
    """The stack's worker processes of a kind."""
    found = []
    for child in psutil.Process(supervisor).children():
        try:
            if QUEUES[kind] in child.cmdline():
                found.append(child)
        except psutil.Error:  # it has just ended
            continue
    return found


class Trouble:
    """Injects faults in the background during the block; `kills` and `shuffled` count them."""

    def __init__(self, supervisor: int, stripe: Stripe, *, every: float, seed: int) -> None:
        self.kills: Counter[str] = Counter()
        self.shuffled = 0
        self._supervisor, self._stripe, self._every = supervisor, stripe, every
        self._seed = seed
        self._over = threading.Event()
        self._threads = [threading.Thread(target=work) for work in (self._kill, self._shuffle)]

    def __enter__(self) -> Self:
        self._stripe("set_chaos", drop=0.2, duplicate=0.2, max_delay=3.0, seed=self._seed)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        self._stripe("set_chaos")

    def _kill(self) -> None:
        dice = random.Random(self._seed)
        while not self._over.wait(dice.uniform(0.5, 1.5) * self._every):
            kind = dice.choice(list(QUEUES))
            # A worker that was just started does nothing yet that could be interrupted.
            grown = [worker for worker in workers(self._supervisor, kind) if time.time() - worker.create_time() > 5]
            if grown:
                dice.choice(grown).send_signal(signal.SIGKILL)
                self.kills[kind] += 1

    def _shuffle(self) -> None:
        dice = random.Random(self._seed + 1)
        while not self._over.wait(dice.uniform(1, 4)):
            self._stripe("hold_webhooks")
            self._over.wait(1)
            self.shuffled += len(self._stripe("release_webhooks", order="shuffled", seed=dice.randrange(1 << 30)))
