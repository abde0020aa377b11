"""Checks the references of expressions: nodes must run before, and variables must exist at their place."""

from collections.abc import Iterator
from itertools import islice

from models.rules.expressions.evaluate import Expression
from models.rules.graph.compiler import ExpressionCompiler
from models.rules.graph.config import expressions_of
from models.rules.graph.findings import Finding, error
from models.rules.graph.graph import Graph, Node
from models.rules.lint.graph import Draft
from models.rules.lint.shape import MAX_FINDINGS
from models.rules.nodes.process import LIST_OPERATIONS, operation_of


def check_references(draft: Draft, compiler: ExpressionCompiler, order: list[str] | None) -> Iterator[Finding]:
    """Find references to unknown nodes, to nodes that are not upstream, and to variables that do not exist there.

    `order` is the topological order, None if there is none. At most `MAX_FINDINGS` are reported, because each unknown
    name is compared with many others.
    """
    return islice(_wrong_references(draft, compiler, order), MAX_FINDINGS)


def _wrong_references(draft: Draft, compiler: ExpressionCompiler, order: list[str] | None) -> Iterator[Finding]:
    before = _Upstream(draft.graph, order) if order is not None else None
    for node in draft.graph.nodes.values():
        kind = draft.kinds.get(node.type)
        for path, expression in expressions_of(kind, node, compiler) if kind else ():
            where = f"{draft.locations[node.id]}.{path}"
            yield from _check_names(node, path, expression, where)
            for read in sorted(expression.nodes or ()):
                sentence = _why_not(draft, before, node, read)
                if sentence:
                    code = "unknown_reference" if read not in draft.graph.nodes else "not_upstream"
                    yield error(code, where, sentence, node_id=node.id)


def _why_not(draft: Draft, before: "_Upstream | None", node: Node, read: str) -> str | None:
    """Why `node` cannot read the output of `read`, as a sentence; None if it can."""
    graph = draft.graph
    if read not in graph.nodes:
        near = draft.hints.nearest(read, graph.nodes)
        return f"There is no node `{read}`" + (f"; did you mean `{near}`?" if near else ".")
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
    """The nodes that run before each node, as bit sets, which are small even for thousands of nodes."""

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
        """Whether `read` runs before `node_id`, or before a loop around it."""
        current: str | None = node_id
        while current is not None:
            if self._before[current] & self._bits[read]:
                return True
            current = self._graph.nodes[current].parent_id
        return False
