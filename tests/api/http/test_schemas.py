"""Answers are written faster than marshmallow does it, and no differently."""

from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace

import pytest
from marshmallow import Schema

from api.schemas.executions.executions import NodeOut, ReceiptLineOut
from api.schemas.workflows.workflows import WorkflowOut
from models.rules.executions.states import NodeStatus
from models.services.executions.node_states import NodeState

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PENDING = NodeState("a", "A", "input", None)
ENDED = NodeState(
    "b",
    "B",
    "loop",
    "a",
    NodeStatus.SUCCESS,
    2,
    "out",
    {"n": 1},
    None,
    Decimal("0.10"),
    AT,
    AT,
    {"done": 1, "total": 2},
)


@pytest.mark.parametrize("state", [PENDING, ENDED])
def test_one_thing_is_written_as_marshmallow_writes_it(state: NodeState) -> None:
    assert NodeOut().dump(state) == Schema.dump(NodeOut(), state)


def test_a_mapping_may_lack_a_field() -> None:
    assert ReceiptLineOut().dump({"label": "A"}) == {"label": "A"}


def test_many_are_written_in_their_order() -> None:
    assert NodeOut().dump([ENDED, PENDING], many=True) == Schema.dump(NodeOut(), [ENDED, PENDING], many=True)


def test_nothing_is_written_as_nothing() -> None:
    assert NodeOut().dump([], many=True) == []


def test_a_path_into_a_document_is_followed() -> None:
    workflow = SimpleNamespace(latest=SimpleNamespace(graph={"nodes": [1]}))
    assert WorkflowOut(only=["nodes"]).dump(workflow) == {"nodes": [1]}
