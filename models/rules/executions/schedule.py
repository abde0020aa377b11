"""The schedule: pure rules by which a run advances through its graph.

A connection settles with its source; it is *taken* if the source succeeded on that connection's port. A node is ready
once all its incoming connections are settled and one was taken; if none was, it is skipped, which settles its own. A
loop's children run in a frame per iteration. Every connection is visited once per frame: the time grows linearly.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from models.rules.graph.effects import Iterate
from models.rules.graph.plan import GraphPlan
from models.serialization import Json


class Step(NamedTuple):
    """A node in an iteration; `path` has the iteration indexes from the outside in, such as `3.0`, or is empty."""

    node_id: str
    path: str = ""

    def inner_path(self, index: int) -> str:
        """The path of the steps in iteration `index` of the loop at this step."""
        return f"{self.path}.{index}" if self.path else str(index)


@dataclass
class Advance:
    """The consequences of a settled node: steps that may start, steps that never will, loops due for an iteration."""

    ready: list[Step] = field(default_factory=list)
    skipped: list[Step] = field(default_factory=list)
    iterations: list[Step] = field(default_factory=list)  # loops that may start another iteration, or are finished

    def add(self, other: "Advance") -> None:
        """Append the consequences in `other`."""
        self.ready += other.ready
        self.skipped += other.skipped
        self.iterations += other.iterations


_STATE = "container index item open outputs parent path pending readers sources started"


class _Frame:
    """The state of a container's nodes in an iteration; the top level is a frame too."""

    __slots__ = _STATE.split()

    def __init__(
        self, plan: GraphPlan, container: str | None, path: str, parent: "_Frame | None", index: int, item: Json
    ) -> None:
        members = plan.members.get(container, ())
        self.container, self.path, self.parent = container, path, parent
        self.index, self.item = index, item
        self.pending = {node_id: plan.waits[node_id] for node_id in members}
        self.sources: dict[str, list[str]] = {}  # by node: the sources of its taken connections, in order of arrival
        self.outputs: dict[str, Json] = {}
        self.started: set[str] = set()
        self.open = len(members)  # nodes not settled yet
        # By node: how many nodes have not ended that read its result. Results to be kept are not counted here.
        self.readers = {node_id: plan.readers[node_id] for node_id in members if node_id in plan.readers}


@dataclass
class _Loop:
    effect: Iterate
    frame: _Frame  # the frame in which the loop node itself stands
    started: int = 0
    running: int = 0
    results: dict[int, Json] = field(default_factory=dict)


class Schedule:
    """The state of a run. Not thread-safe: its driver owns it."""

    def __init__(self, plan: GraphPlan) -> None:
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
        """The settled share of the run, 0 to 1; a running loop counts by its finished iterations."""
        if not self.total:
            return 1.0
        partial = sum(
            len(loop.results) / len(loop.effect.items)
            for step, loop in self._loops.items()
            if not step.path and loop.effect.items
        )
        return (self.total - self._top.open + partial) / self.total

    def start(self) -> Advance:
        """The first steps of a run: the nodes without incoming connections."""
        return self._open(self._top)

    def settle(self, step: Step, *, succeeded: bool, port: str | None = None, output: Json = None) -> Advance:
        """Record the end of `step` and return its consequences.

        A node that failed with `onError: branch` settles with `succeeded=False, port="error"`; a node of which no
        connection is taken settles with `succeeded=False` only.
        """
        frame = self._frame(step)
        frame.outputs[step.node_id] = output
        advance = Advance()
        self._spread(frame, step.node_id, succeeded, port, advance)
        if frame.readers.get(step.node_id) == 0:  # all its readers ended before it
            frame.outputs.pop(step.node_id, None)
        return advance

    def enter(self, step: Step, effect: Iterate) -> Advance:
        """Begin the loop at `step`, which makes it due for its first iteration."""
        self._loops[step] = _Loop(effect, self._frame(step))
        advance = Advance()
        self._iteration(step, advance)
        return advance

    def next_iteration(self, step: Step) -> tuple[int, Json] | None:
        """Index and item of the next iteration of the loop at `step`; None if every item has had its iteration.

        A `while` loop's item is the result of the previous iteration.
        """
        loop = self._loops[step]
        if loop.effect.items is None:
            return loop.started, loop.results.get(loop.started - 1)
        if loop.started < len(loop.effect.items):
            return loop.started, loop.effect.items[loop.started]
        return None

    def iterate(self, step: Step) -> Advance:
        """Start the next iteration of the loop at `step`; raises `ValueError` if there is none."""
        loop = self._loops[step]
        following = self.next_iteration(step)
        if following is None:
            raise ValueError(f"the loop {step.node_id} has no item left")
        index, item = following
        loop.started += 1
        loop.running += 1
        frame = _Frame(self.plan, step.node_id, step.inner_path(index), loop.frame, index, item)
        self._frames[step.node_id, frame.path] = frame
        advance = self._open(frame)
        if frame.open == 0:  # a loop without children
            self._close(frame, advance)
        return advance

    def leave(self, step: Step) -> list[Json]:
        """Remove the loop at `step`, finished or abandoned, with its frames; returns the results of its iterations."""
        loop = self._loops.pop(step)
        if loop.running:
            for key in [key for key, frame in self._frames.items() if self._is_within(frame, step)]:
                del self._frames[key]
            for inner in [inner for inner in self._loops if self.is_inside(inner, step)]:
                del self._loops[inner]
        return [loop.results[index] for index in sorted(loop.results)]

    def knows(self, step: Step) -> bool:
        """Whether `step` still belongs to this run; false for steps of an abandoned loop."""
        return (self.plan.graph.nodes[step.node_id].parent_id, step.path) in self._frames

    def enclosing_loop(self, step: Step) -> Step | None:
        """The step of the loop in whose iteration `step` runs; None at the top level."""
        container = self.plan.graph.nodes[step.node_id].parent_id
        return None if container is None else Step(container, step.path.rpartition(".")[0])

    def outputs(self, step: Step, node_ids: Iterable[str] | None) -> dict[str, Json]:
        """Outputs of `node_ids` (None: of all) as `step` sees them, its own iteration first; None for missing ones."""
        if node_ids is None:
            chain = self._chain(self._frame(step))
            return {node_id: output for frame in reversed(chain) for node_id, output in frame.outputs.items()}
        chain = self._chain(self._frame(step))
        return {
            node_id: next((frame.outputs[node_id] for frame in chain if node_id in frame.outputs), None)
            for node_id in node_ids
        }

    def incoming(self, step: Step) -> Mapping[str, Json] | None:
        """Outputs by node id of the sources of taken connections to `step`; None for a root."""
        frame = self._frame(step)
        connections = self.plan.graph.incoming.get(step.node_id)
        if not connections:
            return None
        arrived = dict.fromkeys(frame.sources.get(step.node_id, ()))  # an ordered set
        if step.node_id in self.plan.joins_any:
            return {source: frame.outputs[source] for source in list(arrived)[:1]}
        return {c.source: frame.outputs[c.source] for c in connections if c.source in arrived}

    def iteration(self, step: Step) -> tuple[int, Json] | None:
        """Index and item of the iteration that `step` runs in; None at the top level, unless a trial has them."""
        frame = self._frame(step)
        return (frame.index, frame.item) if frame.parent else self.plan.iteration

    def final_outputs(self, type_: str | None = None) -> dict[str, Json]:
        """Outputs by id of the top-level nodes that ran: of `type_`, or the last ones; of a trial the tried one's."""
        nodes, type_ = self.plan.graph.nodes, None if self.plan.graph.trial else type_
        last = (n for n, node in nodes.items() if node.type == type_) if type_ else self.plan.leaves.get(None, ())
        return {node_id: self._top.outputs[node_id] for node_id in last if node_id in self._top.outputs}

    def _open(self, frame: _Frame) -> Advance:
        ready = [Step(node_id, frame.path) for node_id, waits in frame.pending.items() if not waits]
        frame.started.update(step.node_id for step in ready)
        return Advance(ready=ready)

    def _spread(self, frame: _Frame, node_id: str, succeeded: bool, port: str | None, advance: Advance) -> None:
        ended = [(node_id, succeeded, port)]
        while ended:
            source, has_succeeded, chosen = ended.pop()
            frame.open -= 1
            self._drop_unread(frame, source)
            for connection in self.plan.graph.outgoing.get(source, ()):
                taken = has_succeeded if connection.port is None else connection.port == chosen
                if self._arrive(frame, source, connection.target, taken, advance):
                    ended.append((connection.target, False, None))
        if frame.open == 0 and frame.parent:
            self._close(frame, advance)

    def _drop_unread(self, frame: _Frame, ended: str) -> None:
        """Drop the results that no node reads any more after the end of `ended`."""
        for source in self.plan.sources.get(ended, ()):
            frame.readers[source] -= 1
            if not frame.readers[source]:
                frame.outputs.pop(source, None)

    def _arrive(self, frame: _Frame, source: str, target: str, taken: bool, advance: Advance) -> bool:
        """Settle a connection; returns whether its target is skipped because of that."""
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
        """End an iteration: keep its result, drop its frame, make its loop due for the next one."""
        if frame.container is None or frame.parent is None:
            return
        step = Step(frame.container, frame.parent.path)
        loop = self._loops[step]
        leaves = {n: frame.outputs[n] for n in self.plan.leaves.get(frame.container, ()) if n in frame.outputs}
        loop.results[frame.index] = next(iter(leaves.values())) if len(leaves) == 1 else (leaves or None)
        loop.running -= 1
        del self._frames[frame.container, frame.path]
        self._iteration(step, advance)

    def _iteration(self, step: Step, advance: Advance) -> None:
        loop = self._loops[step]
        asks_condition = loop.effect.items is None
        if asks_condition or loop.running < loop.effect.concurrency:
            advance.iterations.append(step)

    def has_loop(self, step: Step) -> bool:
        """Whether the loop at `step` was entered and not left."""
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
        """Whether the loop at `step` may start another iteration beside the running ones."""
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
