"""How many calls a provider's account bears at a time: found out by trying, and shared by all runs of this process.

One more for every round of calls that went well, half as many after one that was refused, and nobody calls while the
provider asked for a pause. Calls that may not start yet stand in a line: they hold no thread, and leave it at once when
nobody wants them any more. Users take turns in it, and within one user the oldest call comes first.
"""

import heapq
import itertools
import random
import threading
import time
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import structlog

from models.rules.effects import AgentTurn, Answer, Call, ModelCall
from models.rules.pricing import Provider
from models.rules.retries import LONGEST
from workers.gateways.base import CallFailed

log = structlog.get_logger()

FIRST_LIMIT = 8.0  # calls at a time of an account that nothing is known of
MOST_CALLS = 64  # at a time, of any account
LONG_PAUSE = 20.0  # seconds; those in line need not stay for a longer one
SHORTEST_BACKOFF, LONGEST_BACKOFF = 0.25, 30.0  # seconds, when a provider does not say how long
TYPICAL_CALL = 5.0  # seconds, until it is known better
KEPT_SECONDS = 600.0  # for which what was learned of an idle account is remembered
REFUSALS = frozenset(["rate_limited", "provider_overloaded"])  # nothing was done; come again
CONGESTION = REFUSALS | {"openclaw_rate_limited", "openclaw_overloaded"}


class Lane(NamedTuple):
    """What is limited together: one user's account at a provider, or the gateway."""

    provider: Provider
    owner: UUID | None = None


@dataclass(eq=False)
class Ticket:
    """One call, in line or under way. `go` starts it, `later` sends it away for so many seconds; neither blocks."""

    lane: Lane
    user_id: UUID
    since: datetime
    go: Callable[["Ticket"], None]
    later: Callable[["Ticket", float], None]
    started: float | None = None  # monotonic
    gone: bool = False  # left the line, or was sent away
    over: bool = False  # its place was given back


@dataclass
class _Line:
    limit: float
    most: int
    growing_fast: bool
    busy: int = 0
    paused_until: float = 0.0
    halved_at: float = 0.0
    refused_in_a_row: int = 0
    call_seconds: float = TYPICAL_CALL
    used_at: float = field(default_factory=time.monotonic)
    waiting: OrderedDict[UUID, list[tuple[datetime, int, Ticket]]] = field(default_factory=OrderedDict)

    def __len__(self) -> int:
        return sum(not ticket.gone for queue in self.waiting.values() for *_, ticket in queue)

    def next(self) -> Ticket | None:
        """Take the oldest call of the user whose turn it is out of the line."""
        while self.waiting:
            user_id, queue = self.waiting.popitem(last=False)
            ticket = heapq.heappop(queue)[2]
            if queue:
                self.waiting[user_id] = queue
            if not ticket.gone:
                return ticket
            if queue:  # it was not really its turn
                self.waiting.move_to_end(user_id, last=False)
        return None


def lane_of(effect: Call, user_id: UUID) -> Lane | None:
    """Where a call stands in line; None for those that wait for nobody."""
    if isinstance(effect, ModelCall):
        return Lane(effect.provider, user_id)  # an account is used through its user's key
    return Lane(Provider.OPENCLAW) if isinstance(effect, AgentTurn) else None


class Limiter:
    """Thread-safe. `go` and `later` of a ticket are called in whatever thread made room or asked for the pause."""

    def __init__(self, most: Mapping[Provider, int] | None = None) -> None:
        self._most = most or {}
        self._lines: dict[Lane, _Line] = {}
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="limiter", daemon=True)
        self._thread.start()

    def enter(self, ticket: Ticket) -> None:
        """Start the call as soon as its lane has room: perhaps before this returns."""
        with self._changed:
            line = self._line(ticket.lane)
            pause = line.paused_until - time.monotonic()
            if pause > LONG_PAUSE:
                ticket.gone = True
            else:
                queue = line.waiting.setdefault(ticket.user_id, [])
                heapq.heappush(queue, (ticket.since, next(self._order), ticket))
                self._changed.notify()
            ready = self._take(line)
        if ticket.gone:
            ticket.later(ticket, pause)
        _start(ready)

    def leave(self, ticket: Ticket) -> bool:
        """Leave the line; False when the call has started already."""
        with self._changed:
            left = ticket.started is None and not ticket.gone
            ticket.gone = True
            return left

    def done(self, ticket: Ticket, outcome: Answer | CallFailed) -> None:
        """The call is over, and this came of it; None when it was not made after all. What is said later is ignored."""
        away: list[Ticket] = []
        with self._changed:
            if ticket.over:  # its thread could not be started, they said, and then another one made the call
                return
            ticket.over = True
            line, now = self._lines[ticket.lane], time.monotonic()
            line.busy -= 1
            if isinstance(outcome, CallFailed):
                away = self._failed(line, ticket, outcome, now)
            elif outcome is not None:
                self._went_well(line, ticket, now)
            pause = line.paused_until - now
            ready = self._take(line)
        for other in away:
            other.later(other, pause)
        _start(ready)

    def expected_wait(self, lane: Lane) -> float:
        """Seconds that the last one in line has to wait, as far as one can tell."""
        with self._changed:
            line = self._line(lane)
            return max(0.0, line.paused_until - time.monotonic()) + len(line) * line.call_seconds / line.limit

    def snapshot(self) -> dict[Lane, tuple[int, int, int]]:
        """For each lane: how many calls it may have, has, and lets wait."""
        with self._changed:
            return {lane: (int(line.limit), line.busy, len(line)) for lane, line in self._lines.items()}

    def by_provider(self) -> dict[str, dict[str, int]]:
        """The same, the accounts of a provider together."""
        told: dict[str, Counter[str]] = defaultdict(Counter)
        for lane, (allowed, under_way, in_line) in self.snapshot().items():
            told[lane.provider].update(allowed=allowed, under_way=under_way, in_line=in_line)
        return {provider: dict(states) for provider, states in told.items()}

    def stop(self) -> None:
        """End the thread; who is in line stays there."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def _line(self, lane: Lane) -> _Line:
        if lane not in self._lines:
            self._forget_idle()
            most = self._most.get(lane.provider, MOST_CALLS)
            # The gateway's room is known, an account's is not.
            first = float(most) if lane.owner is None else min(FIRST_LIMIT, float(most))
            self._lines[lane] = _Line(limit=first, most=most, growing_fast=True)
        return self._lines[lane]

    def _forget_idle(self) -> None:
        long_ago = time.monotonic() - KEPT_SECONDS
        idle = [lane for lane, line in self._lines.items() if line.used_at < long_ago and not line.busy + len(line)]
        for lane in idle:
            del self._lines[lane]

    def _take(self, line: _Line) -> list[Ticket]:
        """Those that may start now; they count as under way."""
        now = line.used_at = time.monotonic()
        ready: list[Ticket] = []
        while line.busy < int(line.limit) and line.paused_until <= now and (ticket := line.next()):
            ticket.started = now
            line.busy += 1
            ready.append(ticket)
        return ready

    def _went_well(self, line: _Line, ticket: Ticket, now: float) -> None:
        line.refused_in_a_row = 0
        line.call_seconds += 0.2 * (now - (ticket.started or now) - line.call_seconds)
        is_telling = (ticket.started or now) >= line.halved_at and line.busy + 1 >= int(line.limit)
        if is_telling:  # of calls under the present limit, and while it was used up
            line.limit = min(float(line.most), line.limit + (1.0 if line.growing_fast else 1.0 / line.limit))

    def _failed(self, line: _Line, ticket: Ticket, failure: CallFailed, now: float) -> list[Ticket]:
        """Halve once for all calls that were under way together; answers who is sent away meanwhile."""
        if failure.code not in CONGESTION:
            return []
        line.growing_fast = False
        asked = failure.retry_after
        if (ticket.started or now) >= line.halved_at:
            # An account's limit counts for what was used of it; the gateway's is known, and the trouble is behind it.
            used = line.limit if ticket.lane.owner is None else min(line.limit, line.busy + 1.0)
            line.limit = max(1.0, used / 2)
            line.halved_at = now
            line.refused_in_a_row += 1
            if asked is None and failure.code in REFUSALS:
                asked = min(LONGEST_BACKOFF, SHORTEST_BACKOFF * 2.0 ** (line.refused_in_a_row - 1))
                asked *= 0.5 + random.random() / 2
            log.info("limiter.halved", provider=ticket.lane.provider, limit=int(line.limit), code=failure.code)
        if asked is None or failure.code not in REFUSALS:
            return []
        line.paused_until = max(line.paused_until, now + min(asked, LONGEST))
        self._changed.notify()
        if line.paused_until - now <= LONG_PAUSE:
            return []
        away = [waiting for queue in line.waiting.values() for *_, waiting in queue if not waiting.gone]
        line.waiting.clear()
        for other in away:
            other.gone = True
        log.warning("limiter.paused", provider=ticket.lane.provider, seconds=round(asked), sent_away=len(away))
        return away

    def _run(self) -> None:
        """Start calls whose lane's pause is over."""
        while True:
            with self._changed:
                now = time.monotonic()
                pauses = [line.paused_until - now for line in self._lines.values() if line.waiting]
                self._changed.wait(min((pause for pause in pauses if pause > 0), default=None))
                if self._stopping:
                    return
                ready = [ticket for line in self._lines.values() if line.waiting for ticket in self._take(line)]
            _start(ready)


def _start(ready: Iterable[Ticket]) -> None:
    for ticket in ready:
        ticket.go(ticket)
