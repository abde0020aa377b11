"""What one driver has to say: gathers rows and events, keeps the totals, and hands them to the journal in order."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, Protocol
from uuid import UUID

from models.rules.schedule import Step
from models.rules.states import NodeStatus
from models.services.journal import Ending, EventRow, NodeRow, Progress
from models.services.leases import Lease
from workers.engine import clock
from workers.engine.outputs import storable

Json = Any
OnWritten = Callable[[Exception | None], None]
OnFlushed = Callable[[Progress, Exception | None], None]

MAX_MESSAGE = 2_000  # characters
MANY_ROWS = 200
LONG_AGO = 0.25  # seconds


class Writer(Protocol):
    """Where progress goes: the process's journal."""

    def write(self, progress: Progress, on_written: OnWritten) -> None:
        """Write soon, and tell."""


class Recorder:
    """Owned by one driver's thread; only `Writer.write` leaves it."""

    def __init__(self, lease: Lease, writer: Writer, percent: Callable[[], int], *, kin: bool) -> None:
        self._lease = lease
        self._writer = writer
        self._percent = percent
        self._kin = kin  # it has a parent, or may have children
        self._abandoned: list[UUID] = []
        self._nodes: list[NodeRow] = []
        self._events: list[EventRow] = []
        self._written_at = time.monotonic()
        self.charged = lease.charged
        self.executed = lease.executed
        self.seq = lease.last_seq

    def node(self, row: NodeRow) -> None:
        """Keep a step's new state; a success is counted and charged."""
        self._nodes.append(replace(row, error=storable(row.error)) if row.error else row)
        self.charged += row.credits
        self.executed += row.status is NodeStatus.SUCCESS

    def event(
        self,
        type_: str,
        message: str,
        *,
        step: Step | None = None,
        level: str = "info",
        data: Mapping[str, Json] | None = None,
    ) -> None:
        """Add a line to the run's history."""
        self.seq += 1
        text = storable(message)[:MAX_MESSAGE]
        self._events.append(EventRow(self.seq, clock.now(), type_, text, level, step, storable(data)))

    def abandon(self, child: UUID) -> None:
        """Nobody waits for this run any more: stop it with what is written next."""
        self._abandoned.append(child)

    @property
    def has_news(self) -> bool:
        """Whether something was not handed over yet."""
        return bool(self._nodes or self._events)

    @property
    def is_due(self) -> bool:
        """Whether so much or so old news waits that it should be written although nobody asks for it."""
        return len(self._nodes) >= MANY_ROWS or (self.has_news and time.monotonic() - self._written_at > LONG_AGO)

    def flush(self, on_flushed: OnFlushed, *, ending: Ending | None = None, fee: Decimal = Decimal(0)) -> None:
        """Hand over everything gathered so far; `on_flushed` runs in the journal's thread."""
        progress = Progress(
            execution_id=self._lease.execution_id,
            epoch=self._lease.epoch,
            charged=self.charged + fee,
            executed=self.executed,
            seq=self.seq,
            percent=self._percent(),
            nodes=self._nodes,
            events=self._events,
            ending=ending,
            kin=self._kin,
            abandoned=self._abandoned,
        )
        self._nodes, self._events, self._abandoned = [], [], []
        self._written_at = time.monotonic()
        self._writer.write(progress, lambda error: on_flushed(progress, error))

    def refused(self, progress: Progress) -> None:
        """What could not be stored did not happen, and is not charged for."""
        self.charged -= sum((row.credits for row in progress.nodes), Decimal(0))
        self.executed -= sum(row.status is NodeStatus.SUCCESS for row in progress.nodes)
