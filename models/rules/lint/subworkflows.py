"""Validates the calls of workflows by workflows: their existence, depth, number of runs and worst case.

The called workflows are given as values, because they may change after the graph was saved.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from models.rules.graph.findings import Finding, Severity
from models.rules.graph.graph import Graph
from models.rules.lint.estimate import runs
from models.rules.nodes.subworkflow import workflow_of
from models.serialization import Json

TYPE = "subworkflow"
MAX_DEPTH = 5  # levels of runs below the topmost one
MAX_CHILDREN = 1_000  # runs that a run may start, directly or indirectly


class SubworkflowCall(NamedTuple):
    """A node that runs a workflow: at most `times` times, and if `certain` in every successful run of the graph."""

    node_id: str
    field: str  # its path in the document
    workflow_id: UUID
    times: int
    certain: bool
    attempts: int = 1  # each attempt is a run with a fee of its own

    def to_json(self) -> Json:
        """The form that is stored with the version."""
        return [self.node_id, self.field, str(self.workflow_id), self.times, self.certain, self.attempts]

    @classmethod
    def from_json(cls, stored: Json) -> "SubworkflowCall":
        """Read the form that is stored with the version."""
        node_id, location, workflow_id, *rest = stored
        return cls(node_id, location, UUID(workflow_id), *rest)


@dataclass(frozen=True)
class Called:
    """A workflow that is called; `error` says why it cannot run, if it cannot."""

    name: str
    own_credits: Decimal  # its worst case without its calls
    calls: tuple[SubworkflowCall, ...] = ()
    error: str | None = None


@dataclass(frozen=True)
class CallValidation:
    """The findings about the calls of a graph, and the credits that they add to its worst case."""

    findings: tuple[Finding, ...]
    credits: Decimal

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings with which the graph cannot run."""
        return tuple(finding for finding in self.findings if finding.severity is Severity.ERROR)


def calls_of(graph: Graph) -> tuple[SubworkflowCall, ...]:
    """The calls of a graph, whose containers must not contain themselves."""
    found = [(index, node) for index, node in enumerate(graph.nodes.values()) if node.type == TYPE]
    if not found:
        return ()
    times, certain = runs(graph), _certain(graph)
    return tuple(
        SubworkflowCall(
            node.id,
            f"nodes.{index}.config.workflowId",
            workflow_id,
            times[node.id],
            node.id in certain,
            node.retry.max_attempts if node.retry else 1,
        )
        for index, node in found
        if (workflow_id := workflow_of(node.config))
    )


def judge(calls: Sequence[SubworkflowCall], known: Mapping[UUID, Called], depth: int = 0) -> CallValidation:
    """Validate the calls of a graph that runs at `depth` below the topmost run; `known` are workflows by id."""
    tree = _Tree(known)
    findings = [finding for call in calls for finding in tree.findings(call, depth + 1)]
    started = sum(call.times * tree.runs(call.workflow_id, depth + 1) for call in calls)
    if started > MAX_CHILDREN:
        maximum = max(calls, key=lambda call: call.times * tree.runs(call.workflow_id, depth + 1))
        message = f"This may start {started:,} runs of other workflows; at most {MAX_CHILDREN:,} are allowed."
        findings.append(Finding(Severity.ERROR, "too_many_subworkflows", message, maximum.field, maximum.node_id))
    return CallValidation(tuple(findings), tree.credits(calls, depth + 1))


@dataclass
class _Tree:
    """The tree of calls; the results for each workflow at each depth are cached, as many paths may lead to it."""

    known: Mapping[UUID, Called]
    _runs: dict[tuple[UUID, int], int] = field(default_factory=dict)
    _credits: dict[tuple[UUID, int], Decimal] = field(default_factory=dict)
    _problems: dict[tuple[UUID, int, bool], tuple[Severity, str, str] | None] = field(default_factory=dict)

    def runs(self, workflow_id: UUID, depth: int) -> int:
        """The number of runs that a run of this workflow makes, including itself and all below it."""
        called, key = self.known.get(workflow_id), (workflow_id, depth)
        if called is None or depth > MAX_DEPTH:
            return 0
        if key not in self._runs:
            self._runs[key] = 1 + sum(c.times * self.runs(c.workflow_id, depth + 1) for c in called.calls)
        return self._runs[key]

    def credits(self, calls: Sequence[SubworkflowCall], depth: int) -> Decimal:
        """The most credits that the runs of `calls` cost, with all runs below them."""
        costs = (call.times * call.attempts * self._cost(call.workflow_id, depth) for call in calls)
        return sum(costs, Decimal(0))

    def findings(self, call: SubworkflowCall, depth: int) -> Iterator[Finding]:
        """The first problem of a call, if any."""
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
            self._problems[key] = self._visit(workflow_id, depth, certain)
        return self._problems[key]

    def _visit(self, workflow_id: UUID, depth: int, certain: bool) -> tuple[Severity, str, str] | None:
        called = self.known.get(workflow_id)
        if called is None:
            return Severity.ERROR, "unknown_workflow", f"You have no workflow {workflow_id}."
        if called.error:
            return Severity.ERROR, "workflow_not_runnable", f"`{called.name}` cannot run: {called.error}"
        if depth > MAX_DEPTH:
            maximum = f"workflows may be nested at most {MAX_DEPTH} deep"
            if certain:
                return Severity.ERROR, "nested_too_deeply", f"`{called.name}` would be one too many: {maximum}."
            return (
                Severity.WARNING,
                "may_nest_too_deeply",
                f"`{called.name}` may be one too many, and then fails: {maximum}.",
            )
        found = None
        for call in called.calls:
            problem = self._problem(call.workflow_id, depth + 1, certain and call.certain)
            if problem and (found is None or problem[0] is Severity.ERROR):
                found = problem
        return found and (found[0], found[1], f"In `{called.name}`: {found[2]}")


def _certain(graph: Graph) -> set[str]:
    """Nodes that run in every successful run: neither behind a port nor in a loop, which may have no items."""
    found: set[str] = set()
    pending = [n.id for n in graph.nodes.values() if n.parent_id is None and n.id not in graph.incoming]
    while pending:
        node_id = pending.pop()
        if node_id not in found:
            found.add(node_id)
            pending.extend(c.target for c in graph.outgoing.get(node_id, ()) if c.port is None)
    return found
