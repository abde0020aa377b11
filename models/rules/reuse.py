"""Which results of an ended run a new one may take over: those that would come out the same."""

from collections.abc import Iterator, Mapping

from models.rules.graph import Graph
from models.rules.schedule import Step
from models.rules.states import NodeStatus

SETTLED = (NodeStatus.SUCCESS, NodeStatus.SKIPPED)


def reusable(graph: Graph, past: Mapping[Step, NodeStatus]) -> set[Step]:
    """The steps that succeeded and whose every input, back to the roots, is taken over too.

    A node behind one that failed and was mended (`onError`) runs again, because its input may differ this time.
    """
    paths: dict[str, list[str]] = {}
    for step in past:
        paths.setdefault(step.node_id, []).append(step.path)
    stable: set[Step] = set()
    for node_id in _in_order(graph):
        for path in paths.get(node_id, ()):
            step = Step(node_id, path)
            if past[step] in SETTLED and all(source in stable for source in _sources(graph, step)):
                stable.add(step)
    return {step for step in stable if past[step] is NodeStatus.SUCCESS}


def _sources(graph: Graph, step: Step) -> Iterator[Step]:
    """What a step's input is made of: the steps before it, and before the loops around it."""
    node_id: str | None = step.node_id
    path = step.path
    while node_id is not None:
        yield from (Step(connection.source, path) for connection in graph.incoming.get(node_id, ()))
        node_id = graph.nodes[node_id].parent_id
        path = path.rpartition(".")[0]


def _in_order(graph: Graph) -> Iterator[str]:
    """Node ids, each after all that its input is made of."""
    waits = {node_id: {source.node_id for source in _sources(graph, Step(node_id))} for node_id in graph.nodes}
    following: dict[str, list[str]] = {}
    for node_id, sources in waits.items():
        for source in sources:
            following.setdefault(source, []).append(node_id)
    left = {node_id: len(sources) for node_id, sources in waits.items()}
    free = [node_id for node_id, count in left.items() if not count]
    for node_id in free:
        yield node_id
        for later in following.get(node_id, ()):
            left[later] -= 1
            if not left[later]:
                free.append(later)
