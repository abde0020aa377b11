"""A reference implementation of the schedule: no counters, no frames, everything computed anew each time."""

from models.rules.graph.graph import Graph


def interpret(
    graph: Graph, chosen: dict[str, str | None], failing: set[str], iterations: dict[str, int]
) -> dict[str, int]:
    """How often each node runs, with `chosen` ports by node, `failing` nodes on their error port, and loop counts."""
    runs = dict.fromkeys(graph.nodes, 0)
    _run_container(graph, None, chosen, failing, iterations, runs)
    return runs


def _run_container(
    graph: Graph,
    container: str | None,
    chosen: dict[str, str | None],
    failing: set[str],
    iterations: dict[str, int],
    runs: dict[str, int],
) -> None:
    members = [node.id for node in graph.nodes.values() if node.parent_id == container]
    settled: dict[str, str | None] = {}  # node -> "ran", "failed" or None for skipped
    while len(settled) < len(members):
        for node in members:
            into = [c for c in graph.connections if c.target == node]
            if node in settled or any(c.source not in settled for c in into):
                continue
            if into and not any(_taken(c.port, settled[c.source], chosen[c.source]) for c in into):
                settled[node] = None
                continue
            runs[node] += 1
            settled[node] = "failed" if node in failing else "ran"
            for _ in range(iterations.get(node, 0) if node not in failing else 0):
                _run_container(graph, node, chosen, failing, iterations, runs)


def _taken(port: str | None, how: str | None, chosen: str | None) -> bool:
    if port is None:
        return how == "ran"
    return (how == "ran" and port == chosen) or (how == "failed" and port == "error")
