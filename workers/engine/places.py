"""The places of one run's calls in the lines of their providers: taken, kept while it is worth it, left."""

import random
from collections.abc import Callable
from functools import partial
from uuid import UUID

from models.rules.retries import LONGEST
from workers.engine.limiter import LONG_PAUSE, Lane, Limiter, Ticket
from workers.engine.running import Running

Post = Callable[[Callable[[], None]], None]
OnPatience = Callable[[Running, float, str], None]


class Places:
    """Owned by the driver's thread; `start` is called in whichever thread makes room."""

    def __init__(
        self,
        limiter: Limiter,
        *,
        start: Callable[[Running, Ticket], None],
        post: Post,
        on_patience: OnPatience,
    ) -> None:
        self._limiter = limiter
        self._start = start
        self._post = post
        self._on_patience = on_patience

    def take(self, running: Running, lane: Lane, user_id: UUID) -> bool:
        """Stand in line; True when the call has started already."""
        running.ticket = Ticket(
            lane, user_id, running.started_at, go=partial(self._go, running), later=self._later(running)
        )
        self._limiter.enter(running.ticket)
        return running.ticket.started is not None

    def leave(self, running: Running) -> bool:
        """Leave the line; False when it does not stand there."""
        ticket, running.ticket = running.ticket, None
        return ticket is not None and self._limiter.leave(ticket)

    def step_aside(self, running: Running, ticket: Ticket | None) -> None:
        """The line is long: wait as a row, and let the worker drive other runs. Its age keeps its place."""
        if ticket and running.ticket is ticket and ticket.started is None and self.leave(running):
            seconds = min(max(LONG_PAUSE, self._limiter.expected_wait(ticket.lane)), LONGEST)
            self._on_patience(running, seconds, f"{ticket.lane.provider} is busy with calls that came before.")

    def _go(self, running: Running, ticket: Ticket) -> None:
        try:
            self._start(running, ticket)
        except RuntimeError:  # the pool is closed, because the process leaves, or there are no more threads
            self._limiter.done(ticket, None)

    def _later(self, running: Running) -> Callable[[Ticket, float], None]:
        return lambda ticket, seconds: self._post(partial(self._send_away, running, ticket, seconds))

    def _send_away(self, running: Running, ticket: Ticket, seconds: float) -> None:
        """The provider asked for a long pause."""
        if running.ticket is ticket:
            seconds *= 1 + random.random() / 10
            self._on_patience(running, seconds, f"{ticket.lane.provider} allows no calls for now.")
