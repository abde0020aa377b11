"""The state of one Stripe account: its objects, its clock, scheduled jobs, and the events of changes.

Requests and jobs run one after the other under `lock`, like transactions.
"""

import heapq
import itertools
import secrets
import string
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

from stripe._api_version import _ApiVersion

from simulators.stripe.state.errors import missing

API_VERSION = _ApiVersion.CURRENT
_ID_CHARACTERS = string.ascii_letters + string.digits

_WITHOUT = {"refund": ("livemode",), "subscription_item": ("livemode",), "invoice_payment": ("metadata",)}

StripeObject = dict[str, Any]


class AccountState:
    """The state of an account. `publish` is called with each new event; it must not block."""

    def __init__(self, publish: Callable[[StripeObject], None]) -> None:
        self.lock = threading.RLock()
        self._publish = publish
        self.base_url = ""
        self.request: dict[str, str | None] | None = None  # the request that causes the present events
        # Hooks between kinds of objects, set by `wiring`, so that their modules need not import each other.
        self.after_payment: Callable[[StripeObject], None] = _nothing
        self.after_charge: Callable[[StripeObject, str], None] = _nothing
        self.before_deletion: Callable[[StripeObject], None] = _nothing
        self.invoice_settled: Callable[[StripeObject, StripeObject | None], None] = _nothing
        self.invoice_failed: Callable[[StripeObject], None] = _nothing
        self.seed: Callable[[AccountState], None] = _nothing
        self.clear()

    def clear(self) -> None:
        """Forget everything, and reset the clock to the real time."""
        self.offset = 0
        self.objects: dict[str, dict[str, StripeObject]] = defaultdict(dict)
        self.hidden: dict[str, dict[str, Any]] = defaultdict(dict)  # facts about an object that the API does not show
        self.keep_processing = False
        self.dunning_days: tuple[int, ...] = (3, 5, 7)
        self.dunning_end = "canceled"
        self._jobs: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._sequence = itertools.count()
        self.seed(self)

    # Objects ---------------------------------------------------------------------------------

    def new_id(self, prefix: str) -> str:
        return f"{prefix}_1{''.join(secrets.choice(_ID_CHARACTERS) for _ in range(23))}"

    def add(self, prefix: str, kind: str, **fields: Any) -> StripeObject:
        """Create an object of `kind` with a new id, or with `fields["id"]`."""
        made = {"id": self.new_id(prefix), "object": kind, "created": self.now(), "livemode": False, "metadata": {}}
        made = {name: value for name, value in made.items() if name not in _WITHOUT.get(kind, ())} | fields
        self.objects[kind][made["id"]] = made
        return made

    def get(self, kind: str, object_id: str, param: str = "id") -> StripeObject:
        """Return the object, or raise Stripe's error for an unknown id."""
        found = self.objects[kind].get(object_id)
        if found is None or (found.get("deleted") and param != "id"):
            raise missing(kind, object_id, param)
        return found

    def find(self, object_id: str) -> StripeObject | None:
        """Return the object of any kind, None if there is none."""
        return next((known[object_id] for known in self.objects.values() if object_id in known), None)

    def all(self, kind: str, **equal: Any) -> list[StripeObject]:
        """The objects of `kind` whose fields equal these, oldest first."""
        wanted = {name: value for name, value in equal.items() if value is not None}
        return [
            found
            for found in self.objects[kind].values()
            if all(found.get(name) == value for name, value in wanted.items())
        ]

    @contextmanager
    def changing(self, changed: StripeObject, event: str) -> Iterator[StripeObject]:
        """Create `event`, with the previous values, if the block changes the object."""
        before = deepcopy(changed)
        yield changed
        previous = {name: before.get(name) for name in changed if before.get(name) != changed[name]}
        if previous:
            self.emit(event, changed, previous)

    def emit(self, kind: str, about: StripeObject, previous: StripeObject | None = None) -> StripeObject:
        """Create an event with the object as it is now, and publish it."""
        data: StripeObject = {"object": deepcopy(about)}
        if previous is not None:
            data["previous_attributes"] = deepcopy(previous)
        event = {
            "id": self.new_id("evt"),
            "object": "event",
            "api_version": API_VERSION,
            "created": self.now(),
            "data": data,
            "livemode": False,
            "pending_webhooks": 1,
            "request": self.request or {"id": None, "idempotency_key": None},
            "type": kind,
        }
        self.objects["event"][event["id"]] = event
        self._publish(event)
        return event

    # Time ------------------------------------------------------------------------------------

    def now(self) -> int:
        """The movable clock's time, in seconds since 1970."""
        return int(time.time()) + self.offset

    def schedule(self, at: int, job: Callable[..., None], *args: Any) -> None:
        """Call `job(self, *args)` at that time; the job checks whether it still applies."""
        heapq.heappush(self._jobs, (at, next(self._sequence), job, args))

    def run_due(self) -> None:
        """Run all jobs that are due."""
        with self.lock:
            self._run_until(self.now())

    def advance(self, seconds: int) -> None:
        """Move the clock forward, stopping at the time of each job."""
        with self.lock:
            target = self.now() + seconds
            while self._jobs and self._jobs[0][0] <= target:
                self.offset += max(0, self._jobs[0][0] - self.now())
                self._run_until(self.now())
            self.offset += max(0, target - self.now())

    def _run_until(self, now: int) -> None:
        request, self.request = self.request, None
        try:
            while self._jobs and self._jobs[0][0] <= now:
                _, _, job, args = heapq.heappop(self._jobs)
                job(self, *args)
        finally:
            self.request = request


def _nothing(*_: object) -> None:
    """The default hook, before `wiring` sets one."""
