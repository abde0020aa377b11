"""Workflows that run workflows: what a graph calls, how deep that goes, and what all of it costs at most.

Pure: what is known of the called workflows is given as a value, because they change after the graph was saved.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from models.rules.estimate import runs
from models.rules.findings import Finding, Severity
from models.rules.graph import Graph
from models.rules.nodes.subworkflow import workflow_of

Json = Any
TYPE = "subworkflow"
MAX_DEPTH = 5  # runs below the one that somebody asked for
MAX_CHILDREN = 1_000  # runs that one run may start, together with those that they start


class Call(NamedTuple):
    """One node that runs a workflow: how often at most, and whether it surely does once the graph succeeds."""

    node_id: str
    field: str  # its place in the document
    workflow_id: UUID
    times: int
    certain: bool

    def to_json(self) -> Json:
        """As it is kept with the version."""
        return [self.node_id, self.field, str(self.workflow_id), self.times, self.certain]

    @classmethod
    def from_json(cls, kept: Json) -> "Call":
        """As it was kept."""
        node_id, place, workflow_id, times, certain = kept
        return cls(node_id, place, UUID(workflow_id), times, certain)


@dataclass(frozen=True)
class Called:
    """What is known of a workflow that is called; `refusal` says why it cannot run, if it cannot."""

    name: str
    own_credits: Decimal  # its worst case without what it calls
    calls: tuple[Call, ...] = ()
    refusal: str | None = None


@dataclass(frozen=True)
class Verdict:
    """What there is to say about the calls of one graph, and what they add to its worst case."""

    findings: tuple[Finding, ...]
    credits: Decimal

    @property
    def errors(self) -> tuple[Finding, ...]:
        """What forbids a run."""
        return tuple(finding for finding in self.findings if finding.severity is Severity.ERROR)


def calls_of(graph: Graph) -> tuple[Call, ...]:
    """What a graph calls; its containers must not contain themselves."""
    found = [(index, node) for index, node in enumerate(graph.nodes.values()) if node.type == TYPE]
    if not found:
        return ()
    times, certain = runs(graph), _certain(graph)
    return tuple(
        Call(node.id, f"nodes.{index}.config.workflowId", workflow_id, times[node.id], node.id in certain)
        for index, node in found
        if (workflow_id := workflow_of(node.config))
    )


def judge(calls: Sequence[Call], known: Mapping[UUID, Called], depth: int = 0) -> Verdict:
    """Judge the calls of a graph that runs `depth` runs below the one that somebody asked for."""
    tree = _Tree(known)
    findings = [finding for call in calls for finding in tree.findings(call, depth + 1)]
    started = sum(call.times * tree.runs(call.workflow_id, depth + 1) for call in calls)
    if started > MAX_CHILDREN:
        most = max(calls, key=lambda call: call.times * tree.runs(call.workflow_id, depth + 1))
        message = f"This may start {started:,} runs of other workflows; at most {MAX_CHILDREN:,} are allowed."
        findings.append(Finding(Severity.ERROR, "too_many_subworkflows", message, most.field, most.node_id))
    return Verdict(tuple(findings), tree.credits(calls, depth + 1))


@dataclass
class _Tree:
    """Each workflow is looked at once for every depth, however many ways lead to it."""

    known: Mapping[UUID, Called]
    _runs: dict[tuple[UUID, int], int] = field(default_factory=dict)
    _credits: dict[tuple[UUID, int], Decimal] = field(default_factory=dict)
    _problems: dict[tuple[UUID, int, bool], tuple[Severity, str, str] | None] = field(default_factory=dict)

    def runs(self, workflow_id: UUID, depth: int) -> int:
        """How many runs one run of it is, with all that it starts."""
        called, key = self.known.get(workflow_id), (workflow_id, depth)
        if called is None or depth > MAX_DEPTH:
            return 0
        if key not in self._runs:
            self._runs[key] = 1 + sum(c.times * self.runs(c.workflow_id, depth + 1) for c in called.calls)
        return self._runs[key]

    def credits(self, calls: Sequence[Call], depth: int) -> Decimal:
        """What the runs that `calls` start cost at most, with all that they start."""
        return sum((call.times * self._cost(call.workflow_id, depth) for call in calls), Decimal(0))

    def findings(self, call: Call, depth: int) -> Iterator[Finding]:
        """The first thing that is wrong with one call."""
        problem = self._problem(call.workflow_id, depth, call.certain)
        if problem:
            severity, code, message = problem
            yield Finding(severity, code, message, call.field, call.node_id)

    def _cost(self, workflow_id: UUID, depth: int) -> Decimal:
        called, key = self.known.get(workflow_id), (workflow_id, depth)
        if called is None or depth > MAX_DEPTH:
            return Decimal(0)
        if key not in self._credits:
            self._credits[key] = called.own_credits + self.credits(called.calls, depth + 1)
        return self._credits[key]

    def _problem(self, workflow_id: UUID, depth: int, certain: bool) -> tuple[Severity, str, str] | None:
        key = (workflow_id, depth, certain)
        if key not in self._problems:
            self._problems[key] = self._look(workflow_id, depth, certain)
        return self._problems[key]

    def _look(self, workflow_id: UUID, depth: int, certain: bool) -> tuple[Severity, str, str] | None:
        called = self.known.get(workflow_id)
        if called is None:
            return Severity.ERROR, "unknown_workflow", f"You have no workflow {workflow_id}."
        if called.refusal:
            return Severity.ERROR, "workflow_not_runnable", f"`{called.name}` cannot run: {called.refusal}"
        if depth > MAX_DEPTH:
            most = f"workflows may run each other {MAX_DEPTH} deep"
            if certain:
                return Severity.ERROR, "nested_too_deeply", f"`{called.name}` would be one too many: {most}."
            return (
                Severity.WARNING,
                "may_nest_too_deeply",
                f"`{called.name}` may be one too many: {most}, then it fails.",
            )
        found = None
        for call in called.calls:
            problem = self._problem(call.workflow_id, depth + 1, certain and call.certain)
            if problem and (found is None or problem[0] is Severity.ERROR):
                found = problem
        return found and (found[0], found[1], f"In `{called.name}`: {found[2]}")


def _certain(graph: Graph) -> set[str]:
    """Nodes that run in every run that succeeds: no port leads to them, and no loop, which may have no items."""
    found: set[str] = set()
    pending = [n.id for n in graph.nodes.values() if n.parent_id is None and n.id not in graph.incoming]
    while pending:
        node_id = pending.pop()
        if node_id not in found:
            found.add(node_id)
            pending.extend(c.target for c in graph.outgoing.get(node_id, ()) if c.port is None)
    return found
