"""What may run now: the pure rules by which a run advances through its graph.

A connection settles when its source does; it is *taken* when the source succeeded on that connection's port. A node is
ready once all its incoming connections are settled and one of them was taken; when none was, it is skipped, and so on
along the dead path. A loop's children run in a frame of their own for every iteration. Every connection is looked at
once per frame, so time grows linearly.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from models.rules.effects import Iterate
from models.rules.graph import Graph

Json = Any


class Step(NamedTuple):
    """One node in one iteration; `path` holds the iteration indexes from the outside in, such as `3.0`, or nothing."""

    node_id: str
    path: str = ""


@dataclass
class Advance:
    """What a settled node led to: steps that may start, steps that never will, loops that ask for their next turn."""

    ready: list[Step] = field(default_factory=list)
    skipped: list[Step] = field(default_factory=list)
    turns: list[Step] = field(default_factory=list)  # loops that may start iterations, or are finished

    def add(self, other: "Advance") -> None:
        """Append what `other` led to."""
        self.ready += other.ready
        self.skipped += other.skipped
        self.turns += other.turns


class Plan:
    """What a graph says once and for all, shared by all its runs: order, in-degrees, ports."""

    def __init__(self, graph: Graph, joins_any: Iterable[str] = ()) -> None:
        self.graph = graph
        self.joins_any = frozenset(joins_any)
        self.members = graph.children
        self.waits = {node_id: len(graph.incoming.get(node_id, ())) for node_id in graph.nodes}
        self.leaves = {
            container: tuple(node_id for node_id in nodes if not graph.outgoing.get(node_id))
            for container, nodes in self.members.items()
        }


class _Frame:
    """The state of one container's nodes in one iteration (the top level is a frame too)."""

    __slots__ = ("container", "index", "item", "open", "outputs", "parent", "path", "pending", "sources", "started")

    def __init__(
        self, plan: Plan, container: str | None, path: str, parent: "_Frame | None", index: int, item: Json
    ) -> None:
        members = plan.members.get(container, ())
        self.container, self.path, self.parent = container, path, parent
        self.index, self.item = index, item
        self.pending = {node_id: plan.waits[node_id] for node_id in members}
        self.sources: dict[str, list[str]] = {}  # by node: who was taken towards it, in the order of arrival
        self.outputs: dict[str, Json] = {}
        self.started: set[str] = set()
        self.open = len(members)  # nodes not settled yet


@dataclass
class _Loop:
    effect: Iterate
    frame: _Frame  # the frame in which the loop node itself stands
    started: int = 0
    running: int = 0
    results: dict[int, Json] = field(default_factory=dict)


class Schedule:
    """The state of one run. Not thread-safe: one driver owns it."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._top = _Frame(plan, None, "", None, 0, None)
        self._frames: dict[tuple[str | None, str], _Frame] = {(None, ""): self._top}
        self._loops: dict[Step, _Loop] = {}
        self.total = len(plan.members.get(None, ()))

    @property
    def over(self) -> bool:
        """Whether every node of the top level is settled."""
        return self._top.open == 0

    @property
    def settled_share(self) -> float:
        """How much of the run is settled, 0 to 1; a running loop counts by its finished iterations."""
        if not self.total:
            return 1.0
        partial = sum(
            len(loop.results) / len(loop.effect.items)
            for step, loop in self._loops.items()
            if not step.path and loop.effect.items
        )
        return (self.total - self._top.open + partial) / self.total

    def start(self) -> Advance:
        """The first steps of a run: every node that waits for nothing."""
        return self._open(self._top)

    def settle(self, step: Step, *, succeeded: bool, port: str | None = None, output: Json = None) -> Advance:
        """Record that `step` ended and say what follows.

        A node that failed with `onError: branch` settles with `succeeded=False, port="error"`; a node that nothing was
        taken from settles with `succeeded=False` alone.
        """
        frame = self._frame(step)
        frame.outputs[step.node_id] = output
        advance = Advance()
        self._spread(frame, step.node_id, succeeded, port, advance)
        return advance

    def enter(self, step: Step, effect: Iterate) -> Advance:
        """Begin the loop at `step`: its first iterations, or a turn when its condition must be asked first."""
        self._loops[step] = _Loop(effect, self._frame(step))
        advance = Advance()
        self._turn(step, advance)
        return advance

    def next_iteration(self, step: Step) -> tuple[int, Json] | None:
        """Index and item of the iteration that the loop at `step` would start now, None when all its items had theirs.

        A `while` loop's item is the result of the iteration before.
        """
        loop = self._loops[step]
        if loop.effect.items is None:
            return loop.started, loop.results.get(loop.started - 1)
        if loop.started < len(loop.effect.items):
            return loop.started, loop.effect.items[loop.started]
        return None

    def iterate(self, step: Step) -> Advance:
        """Start the next iteration of the loop at `step`."""
        loop = self._loops[step]
        following = self.next_iteration(step)
        if following is None:
            raise ValueError(f"the loop {step.node_id} has no item left")
        index, item = following
        loop.started += 1
        loop.running += 1
        path = f"{step.path}.{index}" if step.path else str(index)
        frame = _Frame(self.plan, step.node_id, path, loop.frame, index, item)
        self._frames[step.node_id, path] = frame
        advance = self._open(frame)
        if frame.open == 0:  # a loop without children
            self._close(frame, advance)
        return advance

    def leave(self, step: Step) -> list[Json]:
        """End the loop at `step` (finished or given up): forget its frames, answer the results of its iterations."""
        loop = self._loops.pop(step)
        if loop.running:
            for key in [key for key, frame in self._frames.items() if self._is_within(frame, step)]:
                del self._frames[key]
            for inner in [inner for inner in self._loops if self.is_inside(inner, step)]:
                del self._loops[inner]
        return [loop.results[index] for index in sorted(loop.results)]

    def knows(self, step: Step) -> bool:
        """Whether `step` still belongs to this run: false for what an abandoned loop left behind."""
        return (self.plan.graph.nodes[step.node_id].parent_id, step.path) in self._frames

    def enclosing_loop(self, step: Step) -> Step | None:
        """The loop step whose iteration `step` runs in."""
        container = self.plan.graph.nodes[step.node_id].parent_id
        return None if container is None else Step(container, step.path.rpartition(".")[0])

    def outputs(self, step: Step, node_ids: Iterable[str] | None) -> dict[str, Json]:
        """Outputs by node id as `step` sees them: its own iteration first, then outwards; None for what never ran."""
        if node_ids is None:
            chain = self._chain(self._frame(step))
            return {node_id: output for frame in reversed(chain) for node_id, output in frame.outputs.items()}
        chain = self._chain(self._frame(step))
        return {
            node_id: next((frame.outputs[node_id] for frame in chain if node_id in frame.outputs), None)
            for node_id in node_ids
        }

    def incoming(self, step: Step) -> Mapping[str, Json] | None:
        """Outputs of the nodes whose connections to `step` were taken; None for a root."""
        frame = self._frame(step)
        connections = self.plan.graph.incoming.get(step.node_id)
        if not connections:
            return None
        arrived = dict.fromkeys(frame.sources.get(step.node_id, ()))  # a set that keeps the order
        if step.node_id in self.plan.joins_any:
            return {source: frame.outputs[source] for source in list(arrived)[:1]}
        return {c.source: frame.outputs[c.source] for c in connections if c.source in arrived}

    def iteration(self, step: Step) -> tuple[int, Json] | None:
        """Index and item of the iteration that `step` runs in."""
        frame = self._frame(step)
        return (frame.index, frame.item) if frame.parent else None

    def final_outputs(self, type_: str | None = None) -> dict[str, Json]:
        """Outputs of the top-level nodes that ran: those of `type_`, or those that lead nowhere."""
        nodes = self.plan.graph.nodes
        last = (n for n, node in nodes.items() if node.type == type_) if type_ else self.plan.leaves.get(None, ())
        return {node_id: self._top.outputs[node_id] for node_id in last if node_id in self._top.outputs}

    def _open(self, frame: _Frame) -> Advance:
        ready = [Step(node_id, frame.path) for node_id, waits in frame.pending.items() if not waits]
        frame.started.update(step.node_id for step in ready)
        return Advance(ready=ready)

    def _spread(self, frame: _Frame, node_id: str, succeeded: bool, port: str | None, advance: Advance) -> None:
        ended = [(node_id, succeeded, port)]
        while ended:
            source, went_well, chosen = ended.pop()
            frame.open -= 1
            for connection in self.plan.graph.outgoing.get(source, ()):
                taken = went_well if connection.port is None else connection.port == chosen
                if self._arrive(frame, source, connection.target, taken, advance):
                    ended.append((connection.target, False, None))
        if frame.open == 0 and frame.parent:
            self._close(frame, advance)

    def _arrive(self, frame: _Frame, source: str, target: str, taken: bool, advance: Advance) -> bool:
        """Settle one connection; true when its target can never run."""
        frame.pending[target] -= 1
        if taken:
            frame.sources.setdefault(target, []).append(source)
        if target in frame.started:
            return False
        reached = target in frame.sources
        if reached and (frame.pending[target] == 0 or target in self.plan.joins_any):
            frame.started.add(target)
            advance.ready.append(Step(target, frame.path))
        elif frame.pending[target] == 0:
            frame.started.add(target)
            advance.skipped.append(Step(target, frame.path))
            return True
        return False

    def _close(self, frame: _Frame, advance: Advance) -> None:
        """An iteration ended: keep its result, free its frame, let its loop go on."""
        if frame.container is None or frame.parent is None:
            return
        step = Step(frame.container, frame.parent.path)
        loop = self._loops[step]
        leaves = {n: frame.outputs[n] for n in self.plan.leaves.get(frame.container, ()) if n in frame.outputs}
        loop.results[frame.index] = next(iter(leaves.values())) if len(leaves) == 1 else (leaves or None)
        loop.running -= 1
        del self._frames[frame.container, frame.path]
        self._turn(step, advance)

    def _turn(self, step: Step, advance: Advance) -> None:
        loop = self._loops[step]
        asks_condition = loop.effect.items is None
        if asks_condition or loop.running < loop.effect.concurrency:
            advance.turns.append(step)

    def has_loop(self, step: Step) -> bool:
        """Whether the loop at `step` was entered and not left yet."""
        return step in self._loops

    def is_idle(self, step: Step) -> bool:
        """Whether no iteration of the loop at `step` is under way."""
        return self._loops[step].running == 0

    def is_inside(self, step: Step, loop: Step) -> bool:
        """Whether `step` runs in an iteration of `loop`, at any depth."""
        outer = self.enclosing_loop(step)
        while outer is not None and outer != loop:
            outer = self.enclosing_loop(outer)
        return outer is not None

    def wants_more(self, step: Step) -> bool:
        """Whether the loop at `step` may start another iteration beside those that run."""
        loop = self._loops.get(step)
        return loop is not None and loop.running < loop.effect.concurrency

    def _frame(self, step: Step) -> _Frame:
        return self._frames[self.plan.graph.nodes[step.node_id].parent_id, step.path]

    @staticmethod
    def _chain(frame: _Frame) -> list[_Frame]:
        chain = [frame]
        while (parent := chain[-1].parent) is not None:
            chain.append(parent)
        return chain

    def _is_within(self, frame: _Frame, loop: Step) -> bool:
        return any(f.parent and f.container == loop.node_id and f.parent.path == loop.path for f in self._chain(frame))
