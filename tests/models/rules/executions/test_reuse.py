"""A result is taken over only when it would come out the same."""

from dataclasses import replace

import pytest

from models.rules.executions.reuse import reusable
from models.rules.executions.schedule import Step
from models.rules.executions.states import NodeStatus
from models.rules.graph.graph import Graph, Node, NodeConnection, Retry

OK, BAD, SKIPPED = NodeStatus.SUCCESS, NodeStatus.FAILED, NodeStatus.SKIPPED


def graph(*pairs: str, parents: dict[str, str] | None = None, alone: str = "") -> Graph:
    ids = dict.fromkeys([*(name for pair in pairs for name in pair.split(">")), *alone.split()])
    nodes = {n: Node(n, "process", n, {}, parent_id=(parents or {}).get(n)) for n in ids}
    return Graph(nodes, tuple(NodeConnection(pair, *pair.split(">")) for pair in pairs))


def test_what_stands_before_the_failure_is_kept():
    past = {Step("a"): OK, Step("b"): OK, Step("c"): BAD}
    assert reusable(graph("a>b", "b>c", "c>d"), past) == {Step("a"), Step("b")}


def test_what_was_computed_from_a_mended_failure_runs_again():
    past = {Step("a"): BAD, Step("b"): OK, Step("c"): OK, Step("x"): OK}
    assert reusable(graph("a>b", "b>c", alone="x"), past) == {Step("x")}


def test_a_skipped_branch_does_not_spoil_what_follows_the_join():
    past = {Step("d"): OK, Step("yes"): OK, Step("no"): SKIPPED, Step("join"): OK}
    assert reusable(graph("d>yes", "d>no", "yes>join", "no>join"), past) == {Step("d"), Step("yes"), Step("join")}


def test_finished_iterations_are_kept_one_by_one():
    loop = graph("s>l", "a>b", parents={"a": "l", "b": "l"})
    past = {Step("s"): OK, Step("l"): BAD} | {Step(n, i): OK for n in "ab" for i in "01"} | {Step("a", "2"): OK}
    past[Step("b", "2")] = BAD
    kept = {Step(n, i) for n in "ab" for i in "01"} | {Step("a", "2"), Step("s")}
    assert reusable(loop, past) == kept


def test_iterations_over_items_that_may_change_are_not():
    loop = graph("s>l", "a>b", parents={"a": "l", "b": "l"})
    assert reusable(loop, {Step("s"): BAD, Step("a", "0"): OK, Step("b", "0"): OK}) == set()


def test_a_loop_in_which_something_was_mended_is_entered_again_for_that():
    loop = graph("s>l", "a>b", "l>z", parents={"a": "l", "b": "l"})
    past = {Step(n): OK for n in "slz"} | {Step(n, i): OK for n in "ab" for i in "01"} | {Step("a", "1"): BAD}
    assert reusable(loop, past) == {Step("s"), Step("a", "0"), Step("b", "0")}


class TestAnotherVersion:
    """Reuse after an edit: nodes that are unchanged, as are all nodes before them."""

    CHAIN = ("a>b", "b>c", "c>d")

    def edited(self, was: Graph, node_id: str, **changes: object) -> Graph:
        return Graph({**was.nodes, node_id: replace(was.nodes[node_id], **changes)}, was.connections)

    def kept(self, new: Graph, was: Graph, past: dict[Step, NodeStatus] | None = None) -> set[str]:
        past = past or {Step(node_id): OK for node_id in was.nodes}
        return {step.node_id + (f"@{step.path}" if step.path else "") for step in reusable(new, past, was)}

    def test_the_same_graph_keeps_everything(self):
        assert self.kept(graph(*self.CHAIN), graph(*self.CHAIN)) == set("abcd")

    def test_an_edited_node_and_all_behind_it_run_again(self):
        was = graph(*self.CHAIN, "a>x")
        assert self.kept(self.edited(was, "c", config={"expression": "2"}), was) == set("abx")

    @pytest.mark.parametrize(("before", "after"), [(1, 1.0), (1, True), ([1], [2]), ({"a": 1}, {"a": 1, "b": 2})])
    def test_similar_values_are_distinguished(self, before: object, after: object):
        was = self.edited(graph("a>b"), "b", config={"v": before})
        assert self.kept(self.edited(was, "b", config={"v": after}), was) == {"a"}

    @pytest.mark.parametrize(
        "changes",
        [{"label": "Other"}, {"retry": Retry(3)}, {"timeout": 5.0}, {"on_error": "branch"}, {"side_effects": "once"}],
    )
    def test_what_does_not_change_a_result_does_not_matter(self, changes: dict[str, object]):
        was = graph(*self.CHAIN)
        assert self.kept(self.edited(was, "b", **changes), was) == set("abcd")

    def test_another_type_is_another_node(self):
        was = graph("a>b")
        assert self.kept(self.edited(was, "b", type="merge"), was) == {"a"}

    def test_another_connection_is_another_input(self):
        assert self.kept(graph("a>c", "b>c", "c>d"), graph("a>c", "c>d", alone="b")) == {"a", "b"}
        assert self.kept(graph("b>c", alone="a"), graph("a>c", "b>c")) == {"a", "b"}

    def test_another_port_is_another_input(self):
        was = Graph(graph("q>a").nodes, (NodeConnection("1", "q", "a", "true"),))
        new = Graph(was.nodes, (NodeConnection("1", "q", "a", "false"),))
        assert self.kept(new, was) == {"q"}

    def test_a_skipped_branch_stays_skipped_unless_its_decision_changed(self):
        was = graph("q>yes", "q>no", "yes>j", "no>j")
        past = {Step(n): OK for n in ("q", "yes", "j")} | {Step("no"): SKIPPED}
        assert self.kept(self.edited(was, "j", config={"x": 1}), was, past) == {"q", "yes"}
        assert self.kept(self.edited(was, "no", config={"x": 1}), was, past) == {"q", "yes"}
        assert self.kept(self.edited(was, "q", config={"x": 1}), was, past) == set()

    def test_a_new_node_runs_and_a_removed_one_is_forgotten(self):
        assert self.kept(graph("a>b", "b>new"), graph("a>b", "b>old")) == {"a", "b"}

    LOOP = graph("s>l", "a>b", "l>z", parents={"a": "l", "b": "l"})
    TURNS = {Step(n): OK for n in "slz"} | {Step(n, i): OK for n in "ab" for i in "01"}

    def test_an_edited_node_in_a_loop_runs_again_in_every_iteration(self):
        new = self.edited(self.LOOP, "b", config={"x": 1})
        assert self.kept(new, self.LOOP, self.TURNS) == {"s", "a@0", "a@1"}

    def test_an_edited_loop_runs_all_its_children_again(self):
        new = self.edited(self.LOOP, "l", config={"items": [1]})
        assert self.kept(new, self.LOOP, self.TURNS) == {"s"}

    def test_a_loop_that_lost_or_gained_a_child_is_another_loop(self):
        fewer = graph("s>l", "l>z", parents={"a": "l"}, alone="a")
        more = graph("s>l", "a>b", "b>c", "l>z", parents={"a": "l", "b": "l", "c": "l"})
        assert self.kept(fewer, self.LOOP, self.TURNS) == {"s", "a@0", "a@1"}
        assert self.kept(more, self.LOOP, self.TURNS) == {"s", "a@0", "a@1", "b@0", "b@1"}

    def test_after_the_loop_only_what_follows_runs_again(self):
        new = self.edited(self.LOOP, "z", config={"x": 1})
        assert self.kept(new, self.LOOP, self.TURNS) == {"s", "l", "a@0", "a@1", "b@0", "b@1"}

    def test_iterations_of_a_while_loop_after_a_changed_result_run_again(self):
        was = self.edited(self.LOOP, "l", config={"while": "index < 2"})
        new = self.edited(was, "b", config={"x": 1})
        assert self.kept(new, was, self.TURNS) == {"s", "a@0"}

    def test_nested_loops_are_taken_over_inside_out(self):
        was = graph("s>l", "a>m", "x>y", "l>z", parents={"a": "l", "m": "l", "x": "m", "y": "m"})
        past = {Step(n): OK for n in "slz"} | {Step("a", "0"): OK, Step("m", "0"): OK}
        past |= {Step("x", "0.0"): OK, Step("y", "0.0"): OK}
        assert self.kept(self.edited(was, "y", config={"x": 1}), was, past) == {"s", "a@0", "x@0.0"}
        assert self.kept(self.edited(was, "a", config={"x": 1}), was, past) == {"s"}
