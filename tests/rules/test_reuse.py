"""A result is taken over only when it would come out the same."""

from models.rules.graph import Connection, Graph, Node
from models.rules.reuse import reusable
from models.rules.schedule import Step
from models.rules.states import NodeStatus

OK, BAD, SKIPPED = NodeStatus.SUCCESS, NodeStatus.FAILED, NodeStatus.SKIPPED


def graph(*pairs: str, parents: dict[str, str] | None = None, alone: str = "") -> Graph:
    ids = dict.fromkeys([*(name for pair in pairs for name in pair.split(">")), *alone.split()])
    nodes = {n: Node(n, "process", n, {}, parent_id=(parents or {}).get(n)) for n in ids}
    return Graph(nodes, tuple(Connection(pair, *pair.split(">")) for pair in pairs))


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
