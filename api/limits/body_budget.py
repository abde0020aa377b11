"""Budget of a process for request bodies: the bytes that were received of requests that are not answered yet.

Without it, thousands of clients that each send a megabyte would fill the memory. A body that does not fit is refused
at once, because to wait unread would hold a connection and its buffers for as long as the slowest of them sends. Each
user, and all strangers together, have a share, so that nobody's uploads keep those of others out. It is used on the
event loop only.
"""

from collections import Counter
from collections.abc import Callable
from functools import cached_property

from flask import Flask, request

from api.limits.concurrency import Overloaded

MAX_BYTES = 64 * 1024 * 1024
MAX_GROUP_BYTES = MAX_BYTES // 8  # of a user, of all strangers, or of machines
FREE_BYTES = 4 * 1024  # of each body, which do not count: whoever signs in or submits something small is not refused
REFUSED = "agentforge.body_refused"  # in the environment of a request whose body did not fit


class BodyBudget:
    """The bytes that are held, by group."""

    def __init__(self) -> None:
        self._held: Counter[str] = Counter()
        self._total = 0

    def take(self, group: str, number: int) -> bool:
        """Hold `number` more bytes for `group`; returns False, and holds none, if there is no room for them."""
        if self._total + number > MAX_BYTES or self._held[group] + number > MAX_GROUP_BYTES:
            return False
        self._total += number
        self._held[group] += number
        return True

    def release(self, group: str, number: int) -> None:
        """Hold `number` bytes less for `group`."""
        self._total -= number
        self._held[group] -= number
        if not self._held[group]:
            del self._held[group]


class HeldBody:
    """The body of one request, which holds bytes of the budget until the request is answered."""

    is_refused = False

    def __init__(self, budget: BodyBudget, group_of: Callable[[], str]) -> None:
        """`group_of` finds out whose the request is; it is called if the body is large enough to count."""
        self._budget, self._group_of = budget, group_of
        self._counted = 0

    def grow(self, size: int) -> bool:
        """Hold `size` bytes in all from now on; returns False, and holds none, if there is no room for them."""
        more = max(0, size - FREE_BYTES) - self._counted
        if more and not self._budget.take(self._group, more):
            self.release()
            self.is_refused = True
            return False
        self._counted += more
        return True

    def release(self) -> None:
        """Hold none any more."""
        if self._counted:
            self._budget.release(self._group, self._counted)
            self._counted = 0

    @cached_property
    def _group(self) -> str:
        return self._group_of()


def init_app(app: Flask) -> None:
    """Refuse requests whose body did not fit. Register it before bodies are read."""

    @app.before_request
    def refuse() -> None:
        if request.environ.get(REFUSED):
            raise Overloaded
