"""The calls of one account or gateway in this process: those that wait, and the limit as far as it is known here."""

import heapq
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from workers.engine.values.queued_calls import QueuedCall

TYPICAL_CALL = 5.0  # seconds; the initial estimate of a call's duration
UNSHARED = 1_000_000  # places of a process that shares its limits with no other


@dataclass(frozen=True)
class Demand:
    """What a process wants of a limit, and what it has learned about it since it last said so."""

    held: int  # places that it has, used or not
    wanted: int  # calls in progress and queued
    maximum: int
    limit: float  # as far as this process knows
    grown: float = 0.0
    cut_to: float | None = None
    pause: float = 0.0  # seconds that the provider asked for


@dataclass(frozen=True)
class Grant:
    """The places of a limit that a process may use until it asks again."""

    places: int
    elsewhere: int = 0  # places of other processes
    limit: float | None = None  # of all processes together; None: nothing new is known
    pause: float = 0.0  # seconds
    contested: bool = False  # whether other processes have fewer places than they want


@dataclass
class ProviderQueue:
    """Calls to one account or gateway; `busy` of them are in progress."""

    limit: float  # of all processes together
    maximum: int
    growing_fast: bool
    places: int = UNSHARED  # of the limit, which this process may use
    elsewhere: int = 0  # calls that other processes have in progress, when we last heard
    contested: bool = False
    busy: int = 0
    paused_until: float = 0.0
    halved_at: float = 0.0
    consecutive_refusals: int = 0
    call_seconds: float = TYPICAL_CALL
    grown: float = 0.0  # since the others were told
    cut_to: float | None = None  # likewise
    used_at: float = field(default_factory=time.monotonic)
    waiting: OrderedDict[UUID, list[tuple[datetime, int, QueuedCall]]] = field(default_factory=OrderedDict)

    def __len__(self) -> int:
        return sum(not call.cancelled for calls in self.waiting.values() for *_, call in calls)

    @property
    def room(self) -> int:
        """The number of calls that may be in progress here."""
        return min(int(self.limit), self.places)

    @property
    def is_used_up(self) -> bool:
        """Whether all processes together make as many calls as the limit allows, of which one has just ended."""
        return self.busy + 1 + self.elsewhere >= int(self.limit)

    def pop_next(self) -> QueuedCall | None:
        """Take the oldest call of the next user, round robin."""
        while self.waiting:
            user_id, calls = self.waiting.popitem(last=False)
            call = heapq.heappop(calls)[2]
            if calls:
                self.waiting[user_id] = calls
            if not call.cancelled:
                return call
            if calls:  # only a cancelled call was removed, so it is still this user's turn
                self.waiting.move_to_end(user_id, last=False)
        return None

    def end_call(self) -> None:
        """Count a call as ended; its place is given up if another process waits for one."""
        self.busy -= 1
        if self.contested:
            self.places = max(self.busy, self.places - 1)

    def grow(self) -> None:
        """Allow one call more for a whole round of successful calls, or for each while the limit is new."""
        before = self.limit
        self.limit = min(float(self.maximum), self.limit + (1.0 if self.growing_fast else 1.0 / self.limit))
        self.grown += self.limit - before

    def halve(self, now: float, *, is_configured: bool) -> None:
        """Halve the limit: a configured one as it is, an account's from the part in use."""
        used = self.limit if is_configured else min(self.limit, self.busy + self.elsewhere + 1.0)
        self.limit = self.cut_to = max(1.0, used / 2)
        self.grown = 0.0
        self.halved_at = now
        self.consecutive_refusals += 1

    def demand(self, now: float) -> Demand:
        """What to ask for. Places that are not wanted are given up before the others hear of that."""
        wanted = self.busy + len(self)
        self.places = max(self.busy, min(self.places, wanted))
        asked = Demand(
            self.places, wanted, self.maximum, self.limit, self.grown, self.cut_to, max(0.0, self.paused_until - now)
        )
        self.grown, self.cut_to = 0.0, None
        return asked

    def take(self, grant: Grant, now: float) -> None:
        """Use what was granted."""
        self.places, self.elsewhere, self.contested = max(self.busy, grant.places), grant.elsewhere, grant.contested
        if grant.limit is not None and not self.grown and self.cut_to is None:
            self.limit = min(grant.limit, float(self.maximum))
        if grant.pause:
            self.paused_until = max(self.paused_until, now + grant.pause)
