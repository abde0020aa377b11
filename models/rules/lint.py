"""Judges a graph before it is saved and before it runs. Never raises, whatever document it is given."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from models.rules.config import check_config
from models.rules.estimate import worst_case
from models.rules.findings import Finding, Severity, error, warning
from models.rules.graph import Graph, Node, parse
from models.rules.lint_graph import (
    Draft,
    check_connections,
    check_containers,
    check_cycles,
    check_nodes,
    check_ports,
    find_order,
)
from models.rules.lint_references import check_references
from models.rules.lint_shape import check_shape
from models.rules.nodes import KINDS

__all__ = ["Finding", "Report", "Severity", "check_shape", "lint"]

Json = Any
MAX_TIMEOUT = 3600  # seconds
MAX_DEADLINE = 90 * 86_400  # seconds
_ON_ERROR = ("fail", "continue", "branch")
_ON_CRASH = ("retry", "fail")
_RETRY = (("maxAttempts", 1, 10), ("initialInterval", 0, 600), ("backoff", 1, 10), ("maxInterval", 0, 3600))
_STRUCTURE = frozenset({"unknown_parent", "not_a_container", "contains_itself", "nested_too_deeply"})


@dataclass(frozen=True)
class Report:
    """What the linter found; `worst_case_credits` is None where the graph is too broken to tell."""

    findings: tuple[Finding, ...]
    worst_case_credits: Decimal | None

    @property
    def errors(self) -> tuple[Finding, ...]:
        """What forbids a run."""
        return tuple(finding for finding in self.findings if finding.severity is Severity.ERROR)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """What is worth a look."""
        return tuple(finding for finding in self.findings if finding.severity is Severity.WARNING)

    @property
    def worst_case(self) -> Decimal:
        """The worst case, nothing where it cannot be told (such a graph cannot run)."""
        return self.worst_case_credits or Decimal("0.00")


def lint(document: Json) -> Report:
    """Everything that is wrong with `{nodes, connections}`, errors first, and what a run of it costs at most."""
    misshapen = check_shape(document)
    if misshapen:
        return Report(misshapen, None)
    graph = parse({"nodes": document.get("nodes", []), "connections": document.get("connections", [])})
    ids = [item["id"] for item in document.get("nodes", [])]
    places: dict[str, str] = {}
    for index, node_id in enumerate(ids):
        places[node_id] = f"nodes.{index}"  # as the parser, the last of several with one id counts
    known = tuple(c for c in graph.connections if c.source in graph.nodes and c.target in graph.nodes)
    draft = Draft(Graph(graph.nodes, known), KINDS, places)
    found = list(_findings(draft, graph, ids))
    broken = any(finding.code in _STRUCTURE for finding in found)
    found.sort(key=lambda finding: finding.severity is not Severity.ERROR)
    return Report(tuple(found), None if broken else worst_case(draft.graph, KINDS))


def _findings(draft: Draft, graph: Graph, ids: list[str]) -> Iterator[Finding]:
    yield from check_nodes(draft, ids)
    yield from check_connections(draft, graph.connections)
    contained = list(check_containers(draft))
    yield from contained
    order, cycles = find_order(draft.graph)
    yield from check_cycles(draft, cycles)
    yield from check_ports(draft)
    node_ids = frozenset(draft.graph.nodes)
    for node in draft.graph.nodes.values():
        yield from _check_policy(node, draft.places[node.id])
        kind = draft.kinds.get(node.type)
        if kind:
            yield from check_config(kind, node, node_ids, f"{draft.places[node.id]}.config")
    sound = not cycles and not any(finding.code in _STRUCTURE for finding in contained)
    yield from check_references(draft, order if sound else None)


def _check_policy(node: Node, where: str) -> Iterator[Finding]:
    """What a node says about failures, whatever its type."""
    for name, value, allowed in (
        ("onError", node.on_error, _ON_ERROR),
        ("onCrash", node.on_crash, _ON_CRASH),
        ("sideEffects", node.side_effects or "once", ("once",)),
    ):
        if value not in allowed:
            message = f"`{name}` must be one of {', '.join(allowed)}, not `{value}`."
            yield error("invalid_policy", f"{where}.{name}", message, node_id=node.id)
    for name, seconds, most in (("timeout", node.timeout, MAX_TIMEOUT), ("deadline", node.deadline, MAX_DEADLINE)):
        if seconds is not None and not 0 < seconds <= most:
            message = f"`{name}` must be more than 0 and at most {most} seconds."
            yield error("invalid_policy", f"{where}.{name}", message, node_id=node.id)
    if node.default_value is not None and node.on_error != "continue":
        message = "`defaultValue` is used with `onError: continue` only."
        yield warning("unused_default", f"{where}.defaultValue", message, node_id=node.id)
    retry = node.retry
    values: tuple[Any, ...] = (
        (retry.max_attempts, retry.initial_interval, retry.backoff, retry.max_interval) if retry else ()
    )
    for (name, low, high), value in zip(_RETRY, values, strict=False):
        if not low <= value <= high or (name == "maxAttempts" and value != int(value)):
            message = f"`{name}` must be between {low} and {high}."
            yield error("invalid_policy", f"{where}.retry.{name}", message, node_id=node.id)
