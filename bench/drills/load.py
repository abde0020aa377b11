"""Users who buy credits and run workflows, and a record of what the API acknowledged to them."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from devstack.app_client import AppClient, AppClientError


@dataclass(frozen=True)
class Acknowledged:
    """Something that a user was told is stored."""

    kind: str  # "run" or "purchase"
    id: str
    at: float  # seconds since the epoch


class Load:
    """Each user repeats a run and a purchase until the end of the block."""

    def __init__(self, users: Sequence[tuple[AppClient, str]], *, pause: float, purchases: bool = True) -> None:
        self.acknowledged: list[Acknowledged] = []
        self.refused: Counter[str] = Counter()
        self._pause, self._purchases = pause, purchases
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._use, args=user) for user in users]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End it, after the requests that are under way."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def ids(self, kind: str) -> list[str]:
        """What was acknowledged of a kind."""
        return [one.id for one in self.acknowledged if one.kind == kind]

    def _use(self, app: AppClient, workflow_id: str) -> None:
        while not self._over.is_set():
            self._ask("run", lambda: app.execute(workflow_id, None))
            if self._purchases:
                self._ask("purchase", lambda: _buy(app))
            self._over.wait(self._pause)

    def _ask(self, kind: str, request: Callable[[], str]) -> None:
        try:
            self.acknowledged.append(Acknowledged(kind, request(), time.time()))
        except AppClientError as refusal:
            self.refused[f"{refusal.status} {refusal.code}"] += 1
        except OSError as error:
            self.refused[type(error).__name__] += 1


def _buy(app: AppClient) -> str:
    order = {"packageId": "pack_100", "paymentMethodId": "pm_card_visa"}
    return str(app.call("POST", "/credits/purchase", order)["id"])
