"""The schedule agrees with the plain reading of the rules, in any order of arrival, in linear time."""

import random
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.rules.executions.schedule import Advance, Schedule, Step
from models.rules.graph.effects import Iterate
from models.rules.graph.graph import Graph, Node, NodeConnection
from models.rules.graph.plan import GraphPlan
from tests.support.engine.reference_schedule import interpret
from tests.support.thorough import examples

PORTS = [None, None, "true", "false", "error"]


def node(node_id: str, parent: str | None = None, type_: str = "process") -> Node:
    return Node(node_id, type_, node_id, {}, parent_id=parent)


def graph_of(*edges: tuple[str, str] | tuple[str, str, str], parents: dict[str, str] | None = None) -> Graph:
    ids = dict.fromkeys(name for edge in edges for name in edge[:2])
    nodes = {n: node(n, (parents or {}).get(n)) for n in ids}
    return Graph(nodes, tuple(NodeConnection(f"c{i}", e[0], e[1], *e[2:]) for i, e in enumerate(edges)))


def play(
    schedule: Schedule,
    chosen: dict[str, str | None] | None = None,
    failing: frozenset[str] | set[str] = frozenset(),
    loops: dict[str, int] | None = None,
    pick: random.Random | None = None,
    see: Callable[[Step], None] = lambda _: None,
) -> tuple[Counter[str], Counter[str]]:
    """Run to the end, finishing waiting steps in any order; counts runs and skips by node."""
    ran: Counter[str] = Counter()
    skipped: Counter[str] = Counter()
    ready: list[Step] = []

    def follow(advance: Advance) -> None:
        ready.extend(advance.ready)
        skipped.update(step.node_id for step in advance.skipped)
        for loop in advance.iterations:
            more = Advance()
            while schedule.wants_more(loop) and schedule.next_iteration(loop):
                more.add(schedule.iterate(loop))
            if schedule.has_loop(loop) and schedule.is_idle(loop):
                follow(schedule.settle(loop, succeeded=True, output=schedule.leave(loop)))
            follow(more)

    follow(schedule.start())
    while ready:
        step = ready.pop(pick.randrange(len(ready)) if pick else 0)
        ran[step.node_id] += 1
        see(step)
        if step.node_id in failing:
            follow(schedule.settle(step, succeeded=False, port="error"))
        elif loops and step.node_id in loops:
            follow(schedule.enter(step, Iterate(tuple(range(loops[step.node_id])), concurrency=2)))
        else:
            follow(schedule.settle(step, succeeded=True, port=(chosen or {}).get(step.node_id), output=str(step)))
    assert schedule.over
    return ran, skipped


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Graph, dict[str, str | None], set[str], dict[str, int]]:
    count = draw(st.integers(1, 12))
    ids = [f"n{i}" for i in range(count)]
    loops: dict[str, int] = {}
    parents: dict[str, str | None] = {}
    for i, name in enumerate(ids):
        candidates = [None, *(n for n in ids[:i] if n in loops)]
        parents[name] = draw(st.sampled_from(candidates))
        if draw(st.integers(0, 4)) == 0:
            loops[name] = draw(st.integers(0, 3))
    nodes = {n: node(n, parents[n], "loop" if n in loops else "process") for n in ids}
    connections = []
    for i, target in enumerate(ids):
        for source in ids[:i]:
            if parents[source] == parents[target] and draw(st.integers(0, 2)) == 0:
                connections.append(NodeConnection(f"{source}-{target}", source, target, draw(st.sampled_from(PORTS))))
    chosen = {n: None if n in loops else draw(st.sampled_from([None, "true", "false"])) for n in ids}
    failing = {n for n in ids if draw(st.integers(0, 5)) == 0}
    return Graph(nodes, tuple(connections)), chosen, failing, loops


class TestAgainstTheReference:
    @pytest.mark.thorough
    @given(graphs(), st.randoms(use_true_random=False))
    @settings(max_examples=examples(200))
    def test_each_node_runs_as_often_as_the_plain_rules_say_in_any_order(self, case, pick):
        graph, chosen, failing, loops = case
        ran, _ = play(Schedule(GraphPlan(graph)), chosen, failing, loops, pick)
        expected = interpret(graph, chosen, failing, loops)
        assert {n: ran[n] for n in graph.nodes} == expected

    @pytest.mark.thorough
    @given(graphs(), st.randoms(use_true_random=False))
    @settings(max_examples=examples(100))
    def test_every_top_level_node_either_runs_or_is_skipped(self, case, pick):
        graph, chosen, failing, loops = case
        ran, skipped = play(Schedule(GraphPlan(graph)), chosen, failing, loops, pick)
        for name, its in graph.nodes.items():
            if its.parent_id is None:
                assert ran[name] + skipped[name] == 1


class TestJoins:
    def test_a_join_waits_for_all_its_settled_connections(self):
        schedule = Schedule(GraphPlan(graph_of(("a", "c"), ("b", "c"))))
        schedule.start()
        assert schedule.settle(Step("a"), succeeded=True).ready == []
        assert schedule.settle(Step("b"), succeeded=True).ready == [Step("c")]

    def test_a_join_that_takes_any_runs_at_the_first_and_once(self):
        schedule = Schedule(GraphPlan(graph_of(("a", "c"), ("b", "c")), joins_any=["c"]))
        schedule.start()
        assert schedule.settle(Step("b"), succeeded=True, output="from b").ready == [Step("c")]
        assert schedule.incoming(Step("c")) == {"b": "from b"}
        assert schedule.settle(Step("a"), succeeded=True, output="from a").ready == []
        assert schedule.incoming(Step("c")) == {"b": "from b"}
        assert schedule.settle(Step("c"), succeeded=True).ready == []
        assert schedule.over

    def test_only_taken_connections_bring_data(self):
        schedule = Schedule(GraphPlan(graph_of(("d", "x", "true"), ("d", "y", "false"), ("x", "m"), ("y", "m"))))
        schedule.start()
        advance = schedule.settle(Step("d"), succeeded=True, port="true")
        assert (advance.ready, advance.skipped) == ([Step("x")], [Step("y")])
        assert schedule.settle(Step("x"), succeeded=True, output=1).ready == [Step("m")]
        assert schedule.incoming(Step("m")) == {"x": 1}

    def test_a_dead_path_dies_to_its_end(self):
        schedule = Schedule(GraphPlan(graph_of(("d", "a", "true"), ("a", "b"), ("b", "c"), ("d", "z"))))
        schedule.start()
        advance = schedule.settle(Step("d"), succeeded=True, port="false")
        assert advance.skipped == [Step("a"), Step("b"), Step("c")]
        assert advance.ready == [Step("z")]


def ancestors(graph: Graph, node_id: str) -> set[str]:
    """The nodes that ran before this one, and before the loops around it."""
    found: set[str] = set()
    queue = [node_id]
    while queue:
        current = queue.pop()
        sources = {connection.source for connection in graph.incoming.get(current, ())} - found
        found |= sources
        queue += sources
        if (parent := graph.nodes[current].parent_id) and parent not in queue:
            queue.append(parent)
    return found


class TestForgetting:
    @pytest.mark.thorough
    @given(graphs(), st.data())
    @settings(max_examples=examples(150))
    def test_every_step_sees_what_it_saw_before_and_the_run_ends_with_it(self, case, data):
        graph, chosen, failing, loops = case
        reads: dict[str, frozenset[str] | None] = {
            name: frozenset(data.draw(st.sets(st.sampled_from(sorted(before))))) if before else frozenset()
            for name, before in ((name, ancestors(graph, name)) for name in graph.nodes)
        }
        joins_any = [name for name in graph.nodes if data.draw(st.integers(0, 4)) == 0]
        seed = data.draw(st.integers())

        def watched(plan: GraphPlan) -> tuple[Schedule, list[object]]:
            schedule, seen = Schedule(plan), []

            def see(step: Step) -> None:
                seen.append((step, schedule.incoming(step), schedule.outputs(step, reads[step.node_id] or ())))

            play(schedule, chosen, failing, loops, random.Random(seed), see)
            return schedule, seen

        whole, all_seen = watched(GraphPlan(graph, joins_any))
        forgetful, seen = watched(GraphPlan(graph, joins_any, reads))
        assert seen == all_seen
        assert forgetful.final_outputs() == whole.final_outputs()
        leaves = {name for name in graph.nodes if not graph.outgoing.get(name)}
        assert set(forgetful._top.outputs) <= leaves

    def test_a_result_goes_when_the_last_one_that_reads_it_has_ended(self):
        graph = graph_of(("a", "b"), ("b", "c"), ("c", "d"))
        plan = GraphPlan(graph, reads={"a": frozenset(), "b": frozenset(), "c": frozenset("a"), "d": frozenset()})
        schedule = Schedule(plan)
        schedule.start()
        kept = []
        for name in "abcd":
            schedule.settle(Step(name), succeeded=True, output=name)
            kept.append("".join(sorted(schedule._top.outputs)))
        assert kept == ["a", "ab", "c", "d"]

    def test_where_anything_may_be_read_everything_is_kept(self):
        schedule = Schedule(GraphPlan(graph_of(("a", "b")), reads={"a": None, "b": frozenset()}))
        schedule.start()
        schedule.settle(Step("a"), succeeded=True, output=1)
        schedule.settle(Step("b"), succeeded=True, output=2)
        assert schedule.outputs(Step("b"), ["a"]) == {"a": 1}


class TestLoops:
    def looped(self, inner: str = "b") -> Graph:
        nodes = {"l": node("l", None, "loop"), "a": node("a", "l"), inner: node(inner, "l")}
        return Graph(nodes, (NodeConnection("1", "a", inner),))

    def test_no_more_iterations_run_together_than_allowed(self):
        schedule = Schedule(GraphPlan(self.looped()))
        schedule.start()
        schedule.enter(Step("l"), Iterate(("x", "y", "z"), concurrency=2))
        schedule.iterate(Step("l"))
        assert schedule.wants_more(Step("l"))
        schedule.iterate(Step("l"))
        assert not schedule.wants_more(Step("l"))

    def test_results_keep_the_order_of_the_items_whatever_ends_first(self):
        schedule = Schedule(GraphPlan(self.looped()))
        schedule.start()
        schedule.enter(Step("l"), Iterate(("x", "y"), concurrency=2))
        for _ in range(2):
            schedule.iterate(Step("l"))
        for index in (1, 0):
            schedule.settle(Step("a", str(index)), succeeded=True)
            schedule.settle(Step("b", str(index)), succeeded=True, output=f"r{index}")
        assert schedule.leave(Step("l")) == ["r0", "r1"]

    def test_an_iteration_sees_its_own_outputs_and_those_outside(self):
        nodes = {"s": node("s"), "l": node("l", None, "loop"), "a": node("a", "l"), "b": node("b", "l")}
        schedule = Schedule(GraphPlan(Graph(nodes, (NodeConnection("1", "s", "l"), NodeConnection("2", "a", "b")))))
        schedule.start()
        schedule.settle(Step("s"), succeeded=True, output="outside")
        schedule.enter(Step("l"), Iterate((10, 20), concurrency=2))
        for _ in range(2):
            schedule.iterate(Step("l"))
        schedule.settle(Step("a", "0"), succeeded=True, output="first")
        schedule.settle(Step("a", "1"), succeeded=True, output="second")
        assert schedule.outputs(Step("b", "1"), ["s", "a", "b"]) == {"s": "outside", "a": "second", "b": None}
        assert schedule.iteration(Step("b", "1")) == (1, 20)

    def test_an_abandoned_loop_forgets_what_ran_in_it(self):
        schedule = Schedule(GraphPlan(self.looped()))
        schedule.start()
        schedule.enter(Step("l"), Iterate((1, 2), concurrency=2))
        schedule.iterate(Step("l"))
        schedule.leave(Step("l"))
        assert not schedule.knows(Step("a", "0"))
        assert schedule.knows(Step("l"))


class TestSize:
    def test_a_chain_of_five_thousand_skips_needs_no_recursion(self):
        edges = [("d", "n0", "true"), *((f"n{i}", f"n{i + 1}") for i in range(5000))]
        schedule = Schedule(GraphPlan(graph_of(*edges)))
        schedule.start()
        advance = schedule.settle(Step("d"), succeeded=True, port="false")
        assert len(advance.skipped) == 5001
        assert schedule.over

    def test_work_grows_with_connections_and_not_faster(self):
        """Counted, not timed: each connection is looked at once."""
        for width in (100, 1000):
            edges = [("s", f"m{i}") for i in range(width)] + [(f"m{i}", "j") for i in range(width)]
            schedule = Schedule(GraphPlan(graph_of(*edges)))
            looks = 0
            original = schedule._arrive

            def counting(*args, _original=original):
                nonlocal looks
                looks += 1
                return _original(*args)

            schedule._arrive = counting
            play(schedule)
            assert looks == len(edges)
