"""Spans of a run's nodes: begun with the first call, or afterwards for nodes that call nothing outside."""

from models.rules.executions.schedule import Step
from models.rules.executions.states import NodeStatus
from models.rules.graph.graph import Node
from models.services.orchestration.journal import NodeRow
from telemetry import tracing
from telemetry.tracing import Span


class NodeSpans:
    """Owned by the driver's thread, in whose span they are."""

    def __init__(self) -> None:
        self._parent = tracing.traceparent()
        self._open: dict[Step, Span] = {}

    def begin(self, step: Step, node: Node) -> str | None:
        """Begin the span of a node; returns its place, for its calls."""
        if not tracing.is_on():
            return None
        self._open[step] = span = tracing.begin(f"node {node.type}", parent=self._parent, attributes=_facts(step, node))
        return span.traceparent

    def end(self, node: Node, row: NodeRow) -> None:
        """End the span of a node with its result; one that was skipped has none."""
        span = self._open.pop(row.step, None)
        if span is None:
            if not row.started_at or not tracing.is_on():
                return
            span = tracing.begin(
                f"node {node.type}", parent=self._parent, at=row.started_at, attributes=_facts(row.step, node)
            )
        if row.status is not NodeStatus.SUCCESS:
            span.fail(str((row.error or {}).get("code") or row.status.value))
        span.end(row.finished_at)

    def close(self) -> None:
        """End the spans of nodes that another driver goes on with, or that wait."""
        for span in self._open.values():
            span.end()
        self._open.clear()


def _facts(step: Step, node: Node) -> tracing.Attributes:
    return {
        "agentforge.node_id": step.node_id,
        "agentforge.node_type": node.type,
        "agentforge.path": step.path or None,
    }
