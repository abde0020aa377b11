"""Whether expressions read what is there: nodes that ran before, and variables of the right place."""

import difflib
from collections.abc import Iterator
from itertools import islice
from typing import Any

from models.rules.config import expressions_of
from models.rules.expressions import Expression
from models.rules.findings import Finding, error
from models.rules.graph import Graph, Node
from models.rules.lint_graph import Draft
from models.rules.lint_shape import MOST_FINDINGS
from models.rules.nodes.process import LIST_OPERATIONS, operation_of

Json = Any


def check_references(draft: Draft, order: list[str] | None) -> Iterator[Finding]:
    """Unknown nodes, nodes not upstream, variables out of place. `order` is None when there is none to judge by.

    All of them are errors, and the first hundred say enough: each of them is compared with many names.
    """
    return islice(_wrong_references(draft, order), MOST_FINDINGS)


def _wrong_references(draft: Draft, order: list[str] | None) -> Iterator[Finding]:
    ids = frozenset(draft.graph.nodes)
    before = _Upstream(draft.graph, order) if order is not None else None
    for node in draft.graph.nodes.values():
        kind = draft.kinds.get(node.type)
        for path, expression in expressions_of(kind, node, ids) if kind else ():
            where = f"{draft.places[node.id]}.{path}"
            yield from _check_names(node, path, expression, where)
            for read in sorted(expression.nodes or ()):
                sentence = _why_not(draft.graph, before, node, read)
                if sentence:
                    code = "unknown_reference" if read not in ids else "not_upstream"
                    yield error(code, where, sentence, node_id=node.id)


def _why_not(graph: Graph, before: "_Upstream | None", node: Node, read: str) -> str | None:
    """Why `node` cannot read the output of `read`, or None when it can."""
    if read not in graph.nodes:
        near = difflib.get_close_matches(read, list(graph.nodes)[:500], 1)
        return f"There is no node `{read}`" + (f"; did you mean `{near[0]}`?" if near else ".")
    if before is None or before.sees(node.id, read):
        return None
    if read == node.id:
        return "A node cannot read its own output."
    parent = graph.nodes[read].parent_id
    if parent is not None and parent not in _containers(graph, node):
        return f"`{read}` is inside the loop `{parent}`; from outside, read the loop's own output."
    return f"`{read}` does not come before this node, so it has no output yet."


def _containers(graph: Graph, node: Node) -> set[str]:
    found: set[str] = set()
    parent = node.parent_id
    while parent is not None and parent not in found:
        found.add(parent)
        parent = graph.nodes[parent].parent_id
    return found


def _check_names(node: Node, path: str, expression: Expression, where: str) -> Iterator[Finding]:
    operation = operation_of(node.config) if node.type == "process" and path == "config.expression" else None
    per_item = operation in LIST_OPERATIONS or (node.type == "loop" and path == "config.while")
    if node.parent_id is None and not per_item:
        for name in sorted(expression.names & {"item", "index"}):
            message = f"`{name}` exists inside a loop, and in the expressions of filter, map, sort and reduce only."
            yield error("unknown_variable", where, message, node_id=node.id)
    if "accumulator" in expression.names and operation != "reduce":
        message = "`accumulator` exists in the expression of reduce only."
        yield error("unknown_variable", where, message, node_id=node.id)


class _Upstream:
    """Which nodes ran before which, as sets of bits: one word for 64 nodes keeps thousands of nodes cheap."""

    def __init__(self, graph: Graph, order: list[str]) -> None:
        self._bits = {node_id: 1 << index for index, node_id in enumerate(order)}
        self._graph = graph
        self._before: dict[str, int] = {}
        for node_id in order:
            before = 0
            for connection in graph.incoming.get(node_id, ()):
                before |= self._before[connection.source] | self._bits[connection.source]
            self._before[node_id] = before

    def sees(self, node_id: str, read: str) -> bool:
        """Whether `read` ran before `node_id`, or before a loop around it."""
        current: str | None = node_id
        while current is not None:
            if self._before[current] & self._bits[read]:
                return True
            current = self._graph.nodes[current].parent_id
        return False
