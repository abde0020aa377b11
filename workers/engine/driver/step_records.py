"""Records the outcome of steps: row, event and charge."""

from collections.abc import Mapping
from dataclasses import replace

from models.errors import ForgeError
from models.rules.executions.schedule import Step
from models.rules.executions.states import NodeStatus
from models.rules.graph.effects import Done
from models.rules.graph.graph import Node
from models.serialization import Json
from models.services.orchestration.journal import NodeRow
from workers.engine.driver.outcomes import failure_document
from workers.engine.driver.paused_steps import PausedStep
from workers.engine.journal.progress_buffer import ProgressBuffer
from workers.engine.values import clock
from workers.engine.values.compiled_workflow import CompiledWorkflow
from workers.engine.values.outputs import RunTooLarge, encode


class StepRecords:
    """The records of one run's steps."""

    def __init__(self, workflow: CompiledWorkflow, buffer: ProgressBuffer) -> None:
        self._workflow = workflow
        self._buffer = buffer

    def success(self, row: NodeRow, done: Done) -> Json:
        """Record a step's success; return its output as it is stored.

        Raises:
            OutputRefused, RunTooLarge: the result cannot be stored, and nothing was recorded.
        """
        output, encoded = encode(done.output)
        if not self._buffer.fits_in_run(len(encoded)):
            raise RunTooLarge
        price = self._workflow.prices[row.step.node_id]
        self._buffer.node(replace(row, finished_at=clock.now(), port=done.port, output=encoded, credits=price))
        self._buffer.event("node.success", f"{self._node(row.step).label} finished.", step=row.step)
        return output

    def failure(self, row: NodeRow, error: ForgeError, *, sent: bool, owed: bool) -> Mapping[str, Json]:
        """Record a step's final failure; return its error document. `charging.failure` decides the charge."""
        step, node = row.step, self._node(row.step)
        credits = self._workflow.failure_price(step.node_id, error, sent=sent, owed=owed)
        _, default = encode(node.default_value if node.on_error == "continue" else None)
        if isinstance(error, RunTooLarge) or not self._buffer.fits_in_run(len(default)):
            error, default = RunTooLarge(), b"null"
        document = failure_document(row, error)
        row = replace(row, status=NodeStatus.FAILED, finished_at=clock.now(), credits=credits)
        self._buffer.node(replace(row, error=document, output=default))
        message = f"{node.label} failed: {error.detail}"
        self._buffer.event("node.failed", message, step=step, level="error", data=document)
        return document

    def paused(self, paused: PausedStep) -> None:
        """Record that a step waits."""
        self._buffer.node(paused.row(NodeStatus.WAITING))
        message = f"{paused.call.node.label}: {paused.reason.message}"
        self._buffer.event("node.waiting", message, step=paused.step, data=paused.as_json())

    def skipped(self, step: Step) -> None:
        """Record that a step will never be reached."""
        now = clock.now()
        self._buffer.node(NodeRow(step, NodeStatus.SKIPPED, 0, now, now))
        self._buffer.event("node.skipped", f"{self._node(step).label} was not needed.", step=step)

    def _node(self, step: Step) -> Node:
        return self._workflow.graph.nodes[step.node_id]
