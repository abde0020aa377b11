"""The buffer of one driver's progress: gathers rows and events, keeps totals, flushes them in order."""

import time
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Protocol
from uuid import UUID

from models.rules.executions.schedule import Schedule, Step
from models.rules.executions.states import NodeStatus
from models.rules.values.json_values import clean
from models.rules.values.scope import FuelMeter
from models.serialization import Json
from models.services.orchestration.journal import Ending, EventRow, NodeRow, Progress
from models.services.orchestration.leases import Lease
from models.services.orchestration.run_size import MAX_RUN_BYTES, event_bytes, node_bytes
from workers import metrics
from workers.engine.journal.node_spans import NodeSpans
from workers.engine.journal.writer import OnWritten
from workers.engine.values import clock
from workers.engine.values.events import FollowUp, Post, StartReceipt, Stored, WriteRefused

MAX_MESSAGE = 2_000  # characters
MANY_ROWS = 200
MANY_BYTES = 512 * 1024  # of results; from then on a write is due and counts as unwritten until it is stored
MAX_UNWRITTEN = 4 * 1024 * 1024  # bytes of results that wait for the journal; past them the run waits too
LONG_AGO = 0.25  # seconds
HAND_OVER_SECONDS = 0.0002  # for the event loop to send a call


class ProgressWriter(Protocol):
    """The writer of progress: the process's journal."""

    def is_free_for(self, execution_id: UUID) -> bool:
        """Whether no write is pending, so that all are answered, and no other run has written just now."""

    def write(self, progress: Progress, on_written: OnWritten, *, may_wait: bool = False) -> None:
        """Write soon, then call `on_written` with None or the error; with `may_wait` perhaps before this returns."""


class ProgressBuffer:
    """Owned by one driver's thread; only `ProgressWriter.write` crosses threads."""

    def __init__(
        self,
        lease: Lease,
        writer: ProgressWriter,
        schedule: Schedule,
        post: Post,
        *,
        in_tree: bool,
        fee: Decimal = Decimal(0),
    ) -> None:
        self._lease = lease
        self._writer = writer
        self._schedule = schedule  # for the share of settled steps
        self._post = post
        self._in_tree = in_tree  # it has a parent, or may have children
        self._abandoned: list[UUID] = []
        self._nodes: list[NodeRow] = []
        self._events: list[EventRow] = []
        self._starts: list[StartReceipt] = []
        self._must_be_first = False  # something gathered must be stored before any call is sent
        self._written_at = time.monotonic()
        self.fee_due = Decimal(0) if lease.charged else fee  # for the run itself, once a node of it begins
        self._new_fee = Decimal(0)  # charged with the next write
        self.charged = lease.charged
        self.succeeded = lease.succeeded
        self.seq = lease.last_seq
        self.stored = lease.stored_bytes
        self.fuel = FuelMeter(lease.fuel_spent)
        self.spans = NodeSpans()
        self._open: dict[Step, int] = {}  # bytes of the rows that will be replaced
        self._gathered = 0  # bytes of results not flushed yet
        self._unwritten = 0  # bytes of results flushed but not yet stored

    def node(self, row: NodeRow) -> None:
        """Record a step's new state, count a success, and charge for it and once for the run."""
        row = replace(row, error=clean(row.error)) if row.error else row
        self._nodes.append(row)
        self._gathered += len(row.output or b"")
        size = node_bytes(row)
        self.stored += size - self._open.pop(row.step, 0)
        if row.finished_at is None:
            self._open[row.step] = size
        else:
            node = self._schedule.plan.graph.nodes[row.step.node_id]
            metrics.node_ended(node, row)
            self.spans.end(node, row)
        if row.status is not NodeStatus.SKIPPED:
            self._new_fee += self.fee_due
            self.charged += self.fee_due
            self.fee_due = Decimal(0)
        self.charged += row.credits
        self.succeeded += row.status is NodeStatus.SUCCESS

    def event(
        self,
        type_: str,
        message: str,
        *,
        step: Step | None = None,
        level: str = "info",
        data: Mapping[str, Json] | None = None,
    ) -> None:
        """Add an event to the run's history."""
        self.seq += 1
        text = clean(message)[:MAX_MESSAGE]
        row = EventRow(self.seq, clock.now(), type_, text, level, step, clean(data))
        self._events.append(row)
        self.stored += event_bytes(row)

    def fits_in_run(self, more: int = 0) -> bool:
        """Whether the run may store so many bytes more."""
        return self.stored + more <= MAX_RUN_BYTES

    def start(self, row: NodeRow, receipt: StartReceipt) -> None:
        """Add the start of an attempt to the next write; its result is passed to the receipt."""
        self.node(row)
        self._starts.append(receipt)

    def keep_first(self) -> None:
        """Store what is gathered before any further call is sent, because it cannot be had again."""
        self._must_be_first = True

    def abandon(self, child: UUID) -> None:
        """Stop this child run with the next write."""
        self._abandoned.append(child)

    @property
    def has_unwritten(self) -> bool:
        """Whether there is anything to flush."""
        return bool(self._nodes or self._events)

    @property
    def is_due(self) -> bool:
        """Whether the buffer is so large or so old that it should be flushed."""
        many = len(self._nodes) >= MANY_ROWS or self._gathered >= MANY_BYTES
        return many or (self.has_unwritten and time.monotonic() - self._written_at > LONG_AGO)

    @property
    def is_backed_up(self) -> bool:
        """Whether so many results wait to be stored that no new step should begin."""
        return self._unwritten > MAX_UNWRITTEN

    def flush(self, then: FollowUp | None = None, *, ending: Ending | None = None, may_wait: bool = True) -> None:
        """Hand everything gathered to the writer; `then` is posted once it is stored.

        Without `may_wait`, the caller goes on with other work meanwhile.
        """
        if may_wait and self._starts and not self._must_be_first:
            self._send_early()
        progress, starts = self._progress(ending), self._starts
        size = self._gathered if self._gathered >= MANY_BYTES else 0
        self._nodes, self._events, self._starts, self._abandoned, self._new_fee = [], [], [], [], Decimal(0)
        self._written_at, self._gathered, self._must_be_first = time.monotonic(), 0, False
        self._unwritten += size

        def on_written(error: Exception | None) -> None:  # in the thread that writes
            if size:
                self._post(Stored(size))
            if error:
                self._post(WriteRefused(progress, error, then, starts))
            for start in starts:
                start.tell(error)
            if then and not error:
                self._post(then)

        self._writer.write(progress, on_written, may_wait=may_wait)

    def _send_early(self) -> None:
        """Send the calls that need not wait for this write.

        Only while no other write is pending, so that all earlier ones are stored. On a busy worker it would cost more
        than it gains, because calls of many drivers leave together after a common write.
        """
        early = [start.send_early for start in self._starts if start.send_early]
        if early and self._writer.is_free_for(self._lease.execution_id):
            for send in early:
                send()
            time.sleep(HAND_OVER_SECONDS)  # else the event loop waits for the interpreter until this write is prepared

    def write_done(self, size: int) -> None:
        """Count so many bytes of results, which `Stored` named, as no longer unwritten."""
        self._unwritten -= size

    def undo(self, progress: Progress) -> None:
        """Take back the totals and charges of progress that could not be stored."""
        self.stored -= sum(node_bytes(row) for row in progress.nodes)
        self.charged -= sum((row.credits for row in progress.nodes), progress.fee)
        self.fee_due += progress.fee
        self.succeeded -= sum(row.status is NodeStatus.SUCCESS for row in progress.nodes)

    def _progress(self, ending: Ending | None) -> Progress:
        return Progress(
            execution_id=self._lease.execution_id,
            epoch=self._lease.epoch,
            charged=self.charged,
            fee=self._new_fee,
            succeeded=self.succeeded,
            seq=self.seq,
            percent=int(100 * self._schedule.settled_share),
            nodes=self._nodes,
            events=self._events,
            ending=ending,
            in_tree=self._in_tree,
            abandoned=self._abandoned,
            stored=self.stored + (len(ending.output or b"") if ending else 0),
            fuel=self.fuel.spent,
            request_id=self._lease.request_id,
        )
