"""Users of a service that is changed under them, and what they saw."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from devstack.app_client import AppClient, AppClientError


@dataclass
class Requests:
    """What clients saw."""

    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)  # that were acknowledged

    def timed(self, request: Callable[[], Any]) -> Any:
        """Send one request; a failure is kept, and None returned."""
        begun = time.monotonic()
        try:
            return request()
        except AppClientError as refusal:
            self.failures.append(f"{refusal.status} {refusal.code}")
        except OSError as error:
            self.failures.append(type(error).__name__)
        finally:
            self.seconds.append(time.monotonic() - begun)
        return None


class Clients:
    """Users in the background: some run a workflow and long-poll until its end, as many list."""

    def __init__(self, users: list[tuple[AppClient, str]]) -> None:
        self.seen = Requests()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=work, args=user) for user in users for work in (self._run, self._list)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End after the requests that are under way."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _run(self, app: AppClient, workflow_id: str) -> None:
        while not self._over.is_set():
            run = self.seen.timed(lambda: app.execute(workflow_id, None))
            if run is None:
                continue
            self.seen.runs.append(run)
            state: Any = {"status": "queued", "seq": 0}
            while state and state["status"] not in ("success", "failed", "cancelled") and not self._over.is_set():
                path = f"/executions/{run}?wait=10&since={state['seq']}"
                state = self.seen.timed(lambda path=path: app.call("GET", path)) or state

    def _list(self, app: AppClient, _: str) -> None:
        while not self._over.wait(0.1):
            self.seen.timed(lambda: app.call("GET", "/workflows"))
