"""The linter: validates a graph before it is saved. It never raises, for any document."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from models.rules.graph import options
from models.rules.graph.compiler import ExpressionCompiler
from models.rules.graph.config import check_config
from models.rules.graph.cycles import find_order
from models.rules.graph.findings import Finding, Severity, error, warning
from models.rules.graph.graph import Graph, Node, parse
from models.rules.graph.kinds import NodeKind
from models.rules.lint.estimate import worst_case
from models.rules.lint.graph import (
    Draft,
    check_connections,
    check_containers,
    check_cycles,
    check_inputs,
    check_nodes,
    check_ports,
)
from models.rules.lint.references import check_references
from models.rules.lint.shape import check_shape
from models.rules.nodes import KINDS
from models.rules.values.run_limits import RUN_LIMITS, RunResourceLimits
from models.serialization import Json

__all__ = ["Finding", "Report", "Severity", "check_shape", "lint"]

MAX_ERRORS = MAX_WARNINGS = 100  # reported
_STRUCTURE = frozenset({"unknown_parent", "not_a_container", "contains_itself", "nested_too_deeply"})


@dataclass(frozen=True)
class Report:
    """The first findings of the linter; `worst_case_credits` is None if the graph is too broken to compute it."""

    findings: tuple[Finding, ...]
    worst_case_credits: Decimal | None
    limits: RunResourceLimits = RUN_LIMITS  # of each run

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings with which the graph cannot run."""
        return tuple(finding for finding in self.findings if finding.severity is Severity.ERROR)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The findings with which the graph can run."""
        return tuple(finding for finding in self.findings if finding.severity is Severity.WARNING)

    @property
    def worst_case(self) -> Decimal:
        """The worst case in credits; 0 if it cannot be computed, as for a graph that cannot run."""
        return self.worst_case_credits or Decimal("0.00")


def lint(document: Json) -> Report:
    """Lint `{nodes, connections}`: findings, errors first, and the most credits that a run costs.

    The time is proportional to the size of the document. Linting stops after `MAX_ERRORS` errors.
    """
    malformed = check_shape(document)
    if malformed:
        return Report(malformed, None)
    graph = parse({"nodes": document.get("nodes", []), "connections": document.get("connections", [])})
    ids = [item["id"] for item in document.get("nodes", [])]
    locations: dict[str, str] = {}
    for index, node_id in enumerate(ids):
        locations[node_id] = f"nodes.{index}"  # of several nodes with one id the last one counts, as in `parse`
    known = tuple(c for c in graph.connections if c.source in graph.nodes and c.target in graph.nodes)
    draft = Draft(Graph(graph.nodes, known), KINDS, locations)
    contained = list(check_containers(draft))
    found = _first(_findings(draft, graph, ids, contained))
    broken = any(finding.code in _STRUCTURE for finding in contained)
    return Report(found, None if broken else worst_case(draft.graph, KINDS))


def _first(findings: Iterator[Finding]) -> tuple[Finding, ...]:
    """The first errors and the first warnings, in this order."""
    errors: list[Finding] = []
    warnings: list[Finding] = []
    for finding in findings:
        if finding.severity is not Severity.ERROR:
            if len(warnings) < MAX_WARNINGS:
                warnings.append(finding)
            continue
        errors.append(finding)
        if len(errors) == MAX_ERRORS:
            break
    return (*errors, *warnings)


def _findings(draft: Draft, graph: Graph, ids: list[str], contained: list[Finding]) -> Iterator[Finding]:
    yield from check_nodes(draft, ids)
    yield from check_connections(draft, graph.connections)
    yield from contained
    order, cyclic_parts = find_order(draft.graph)
    yield from check_cycles(draft, cyclic_parts)
    yield from check_inputs(draft)
    yield from check_ports(draft)
    compiler = ExpressionCompiler(frozenset(draft.graph.nodes))
    for node in draft.graph.nodes.values():
        yield from _check_policy(node, draft.locations[node.id])
        kind = draft.kinds.get(node.type)
        if kind:
            yield from _check_attempts(kind, node, draft.locations[node.id])
            yield from check_config(kind, node, compiler, draft.hints, f"{draft.locations[node.id]}.config")
    is_valid = not cyclic_parts and not any(finding.code in _STRUCTURE for finding in contained)
    yield from check_references(draft, compiler, order if is_valid else None)


def _check_policy(node: Node, where: str) -> Iterator[Finding]:
    """Check a node's settings for failures and time limits, which all types have."""
    chosen = (node.on_error, node.on_crash, node.side_effects)
    for option, value in zip(options.CHOICES, chosen, strict=True):
        if value is not None and value not in option.choices:
            message = f"`{option.name}` must be one of {', '.join(option.choices)}, not `{value}`."
            yield error("invalid_policy", f"{where}.{option.name}", message, node_id=node.id)
    for option, seconds in zip(options.LIMITS, (node.timeout, node.deadline), strict=True):
        if seconds is not None and not options.in_range(option, seconds):
            message = f"`{option.name}` must be more than {option.low:.0f} and at most {option.high:.0f} seconds."
            yield error("invalid_policy", f"{where}.{option.name}", message, node_id=node.id)
    if node.default_value is not None and node.on_error != "continue":
        message = "`defaultValue` is used with `onError: continue` only."
        yield warning("unused_default", f"{where}.defaultValue", message, node_id=node.id)
    retry = node.retry
    values: tuple[Any, ...] = (
        (retry.max_attempts, retry.initial_interval, retry.backoff, retry.max_interval) if retry else ()
    )
    for option, value in zip(options.RETRY, values, strict=False):
        if not options.in_range(option, value):
            message = f"`{option.name}` must be between {option.low:.0f} and {option.high:.0f}."
            yield error("invalid_policy", f"{where}.retry.{option.name}", message, node_id=node.id)


def _check_attempts(kind: NodeKind, node: Node, where: str) -> Iterator[Finding]:
    """Report settings about attempts at a node whose type makes none."""
    if kind.repeats:
        return
    more = node.retry is not None and node.retry.max_attempts > 1
    for name, given in (("retry", more), ("onCrash", node.on_crash == "fail")):
        if given:
            instead = " Set it on the nodes inside the loop." if kind.container else ""
            message = f"`{name}` has no effect on a node of type {kind.type}, which makes no attempts.{instead}"
            yield error("invalid_policy", f"{where}.{name}", message, node_id=node.id)
