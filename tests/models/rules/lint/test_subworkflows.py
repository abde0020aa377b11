"""Workflows that run workflows: what is refused before anything runs, and what all of it costs at most."""

from decimal import Decimal
from uuid import UUID

import pytest

from models.rules.graph.findings import Severity
from models.rules.graph.graph import Graph, Node, NodeConnection
from models.rules.lint.estimate import worst_case
from models.rules.lint.subworkflows import MAX_CHILDREN, MAX_DEPTH, Called, SubworkflowCall, calls_of, judge
from models.rules.nodes import KINDS

A, B, C = (UUID(int=number) for number in (1, 2, 3))


def call(workflow_id: UUID, times: int = 1, certain: bool = True) -> SubworkflowCall:
    return SubworkflowCall("sub", "nodes.0.config.workflowId", workflow_id, times, certain)


def called(*calls: SubworkflowCall, credits: str = "1.10", refusal: str | None = None, name: str = "W") -> Called:
    return Called(name, Decimal(credits), calls, refusal)


def node(node_id: str, workflow_id: UUID = B, parent: str | None = None) -> Node:
    return Node(node_id, "subworkflow", node_id, {"workflowId": str(workflow_id)}, parent_id=parent)


def step(node_id: str, type_: str = "process", **config: object) -> Node:
    return Node(node_id, type_, node_id, config)


def graph(*nodes: Node, pairs: tuple[str, ...] = ()) -> Graph:
    links = []
    for pair in pairs:
        source, _, target = pair.partition(">")
        source, _, port = source.partition(":")
        links.append(NodeConnection(pair, source, target, port or None))
    return Graph({n.id: n for n in nodes}, tuple(links))


class TestWhatAGraphCalls:
    def test_each_node_names_its_workflow_and_its_position(self):
        found = calls_of(graph(step("a"), node("s", B), pairs=("a>s",)))
        assert found == (SubworkflowCall("s", "nodes.1.config.workflowId", B, 1, True),)

    def test_behind_a_port_it_is_not_certain(self):
        nodes = (step("q", "decision"), node("s"), step("x"), node("t"))
        found = calls_of(graph(*nodes, pairs=("q:true>s", "s>t", "q>x")))
        assert [(c.node_id, c.certain) for c in found] == [("s", False), ("t", False)]

    def test_a_port_beside_a_plain_connection_changes_nothing(self):
        found = calls_of(graph(step("q", "decision"), step("x"), node("s"), pairs=("q:true>s", "q>x", "x>s")))
        assert found[0].certain

    def test_in_a_loop_it_runs_as_often_as_the_loop_may(self):
        found = calls_of(graph(step("l", "loop", maxIterations=7), node("s", parent="l")))
        assert (found[0].times, found[0].certain) == (7, False)

    def test_is_kept_and_read_again(self):
        kept = call(B, 7, certain=False)
        assert SubworkflowCall.from_json(kept.to_json()) == kept

    def test_the_price_of_a_graph_itself_is_that_of_its_nodes(self):
        assert worst_case(graph(node("s")), KINDS) == Decimal("1.10")


class TestCost:
    def test_what_is_called_costs_what_it_costs_itself(self):
        assert judge([call(B, 3)], {B: called(credits="2.50")}).credits == Decimal("7.50")

    def test_and_what_it_calls(self):
        known = {B: called(call(C, 2), credits="1.10"), C: called(credits="5")}
        assert judge([call(B, 3)], known).credits == 3 * (Decimal("1.10") + 10)

    def test_a_workflow_that_may_call_itself_costs_down_to_the_deepest(self):
        known = {B: called(call(B, certain=False))}
        assert judge([call(B)], known).credits == MAX_DEPTH * Decimal("1.10")
        assert judge([call(B)], known, depth=3).credits == 2 * Decimal("1.10")

    def test_many_paths_to_the_same_are_checked_once(self):
        ids = [UUID(int=number) for number in range(1, 41)]
        known = {i: called(*(call(j, certain=False) for j in ids)) for i in ids}
        assert judge([call(ids[0])], known).errors  # 40 ** 5 runs, told at once


class TestRefusals:
    def codes(self, *calls: SubworkflowCall, known: dict[UUID, Called], depth: int = 0) -> list[tuple[str, str]]:
        return [(f.severity.value, f.code) for f in judge(calls, known, depth).findings]

    def test_a_sound_call_has_no_findings(self):
        assert judge([call(B)], {B: called()}).findings == ()

    @pytest.mark.parametrize(
        ("known", "code"),
        [
            ({}, "unknown_workflow"),
            ({B: called(refusal="it has errors.")}, "workflow_not_runnable"),
            ({B: called(call(C))}, "unknown_workflow"),
            ({B: called(call(C)), C: called(refusal="it is too large.")}, "workflow_not_runnable"),
            ({B: called(call(B))}, "nested_too_deeply"),
            ({B: called(call(C)), C: called(call(B))}, "nested_too_deeply"),
            ({B: called(call(C, MAX_CHILDREN)), C: called()}, "too_many_subworkflows"),
        ],
    )
    def test_names_the_node_and_the_field(self, known: dict[UUID, Called], code: str):
        (finding,) = judge([call(B)], known).errors
        assert (finding.code, finding.node_id, finding.field) == (code, "sub", "nodes.0.config.workflowId")

    def test_what_may_end_before_it_is_too_deep_is_a_warning(self):
        known = {B: called(call(B, certain=False))}
        assert self.codes(call(B), known=known) == [("warning", "may_nest_too_deeply")]

    def test_as_deep_as_is_allowed_is_fine(self):
        ids = [UUID(int=number) for number in range(1, MAX_DEPTH + 1)]
        known = {i: called(*([call(j)] if j else [])) for i, j in zip(ids, [*ids[1:], None], strict=True)}
        assert self.codes(call(ids[0]), known=known) == []
        assert self.codes(call(ids[0]), known=known, depth=1) == [("error", "nested_too_deeply")]

    def test_the_path_to_it_is_named(self):
        known = {B: called(call(C), name="Outer"), C: called(refusal="it has errors.", name="Inner")}
        message = judge([call(B)], known).findings[0].message
        assert message == "In `Outer`: `Inner` cannot run: it has errors."

    def test_an_error_comes_before_a_warning(self):
        known = {B: called(call(B, certain=False), call(C, certain=False))}
        assert judge([call(B)], known).findings[0].severity is Severity.ERROR

    def test_a_thousand_runs_are_allowed_and_not_one_more(self):
        assert self.codes(call(B, MAX_CHILDREN), known={B: called()}) == []
        assert self.codes(call(B, MAX_CHILDREN + 1), known={B: called()}) == [("error", "too_many_subworkflows")]


def test_each_attempt_of_a_node_may_be_a_run_that_is_paid_for():
    once, thrice = (SubworkflowCall("s", "nodes.0.config.workflowId", B, 2, True, attempts) for attempts in (1, 3))
    known = {B: Called("b", Decimal("1.10"))}
    assert [judge([call], known).credits for call in (once, thrice)] == [Decimal("2.20"), Decimal("6.60")]
