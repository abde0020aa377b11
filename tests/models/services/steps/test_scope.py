"""A step's variables are read back from the records as its driver had built them."""

import pytest
from sqlalchemy.orm import Session

from models.errors import NotFound
from models.rules.executions.schedule import Step
from models.rules.executions.states import ExecutionStatus, NodeStatus
from models.rules.values.scope import FuelMeter
from models.services.steps.scope import RecordedRun, StepScope
from tests.support import factories
from tests.support.factories import node

GRAPH = {
    "nodes": [
        node("in", "input"),
        node("check", "decision", config={"condition": "true"}),
        node("yes", "process"),
        node("no", "process"),
        node("both", "merge"),
        node("first", "merge", config={"mode": "any"}),
        node("rows", "loop", config={"items": "{{ nodes.in.output.rows }}"}),
        node("inner", "loop", config={"items": "{{ item.parts }}"}, parentId="rows"),
        node("part", "process", parentId="inner"),
        node("then", "process", parentId="inner"),
        node("again", "loop", config={"while": "index < 3"}),
        node("turn", "process", parentId="again"),
    ],
    "connections": [
        {"id": "1", "from": "in", "to": "check"},
        {"id": "2", "from": "check", "to": "yes", "fromPort": "true"},
        {"id": "3", "from": "check", "to": "no", "fromPort": "false"},
        {"id": "4", "from": "yes", "to": "both"},
        {"id": "5", "from": "check", "to": "both"},
        {"id": "6", "from": "yes", "to": "first"},
        {"id": "7", "from": "check", "to": "first"},
        {"id": "8", "from": "in", "to": "rows"},
        {"id": "9", "from": "part", "to": "then"},
    ],
}
INPUT = {"rows": [{"parts": ["a"]}, {"parts": ["b", "c"]}]}
PASSED = {
    ("in", ""): (INPUT, None),
    ("check", ""): (INPUT, "true"),
    ("yes", ""): ("yes!", None),
    ("inner", "1"): (["B", "C"], None),
    ("part", "1.1"): ("C", None),
    ("turn", "0"): ("after the first", None),
}


@pytest.fixture
def run(session: Session) -> RecordedRun:
    """A run of the graph with the results in `PASSED`."""
    execution = factories.execution(
        session, factories.workflow(session, graph=GRAPH), status=ExecutionStatus.SUCCESS, input=INPUT
    )
    for (node_id, path), (output, port) in PASSED.items():
        factories.ran(session, execution, node_id, path, status=NodeStatus.SUCCESS, output=output, port=port)
    factories.ran(session, execution, "no", "", status=NodeStatus.SKIPPED, output=None)
    return RecordedRun(session, execution)


def incoming(run: RecordedRun, node_id: str, path: str = "") -> object:
    return StepScope(run, Step(node_id, path), FuelMeter()).incoming()


def variables(run: RecordedRun, node_id: str, path: str = "") -> dict[str, object]:
    return dict(StepScope(run, Step(node_id, path), FuelMeter()).scope().variables)


def test_the_data_is_what_came_in(run):
    assert incoming(run, "in") == INPUT
    assert incoming(run, "check") == INPUT
    assert incoming(run, "yes") == INPUT
    assert incoming(run, "no") == {}  # the decision took the other port
    assert incoming(run, "both") == {"yes": "yes!", "check": INPUT}
    assert incoming(run, "first") in ("yes!", INPUT)


def test_an_iteration_has_its_item_and_sees_the_nodes_around_it(run):
    assert incoming(run, "inner", "1") == {"parts": ["b", "c"]}
    assert incoming(run, "part", "1.1") == "c"
    seen = variables(run, "then", "1.1")
    assert (seen["data"], seen["item"], seen["index"], seen["input"]) == ("C", "c", 1, INPUT)
    assert seen["nodes"]["part"] == {"output": "C"}
    assert seen["nodes"]["yes"] == {"output": "yes!"}
    assert seen["nodes"]["turn"] == {"output": None}  # of another loop
    with pytest.raises(KeyError):
        seen["nodes"]["missing"]


def test_an_iteration_of_while_has_the_result_before(run):
    assert variables(run, "turn", "0")["item"] is None
    assert variables(run, "turn", "1")["item"] == "after the first"


def test_facts_and_clock_are_those_of_the_run(run):
    scope = StepScope(run, Step("yes"), FuelMeter()).scope()
    assert scope.variables["execution"]["id"] == str(run.execution.id)
    assert scope.moment == (run.row(Step("yes")).started_at or run.execution.created_at)


@pytest.mark.parametrize(
    ("node_id", "path"), [("missing", ""), ("in", "0"), ("part", ""), ("part", "1"), ("part", "1.x")]
)
def test_a_step_that_the_graph_cannot_have_is_not_found(run, node_id, path):
    with pytest.raises(NotFound):
        incoming(run, node_id, path)
