"""One step of a node, with what it is given and what it says."""

import pytest

from models.rules.config import compile_config
from models.rules.effects import Done
from models.rules.expressions import ExpressionFailed
from models.rules.graph import Node
from models.rules.kinds import NodeCall
from models.rules.nodes import KINDS


def call(node_type, config=None, *, run_input=None, data=None, scope=None, label="Step"):
    """A call as the engine makes one."""
    node = Node("n1", node_type, label, config or {})
    seen = {"input": run_input, "data": data, "nodes": {}, "item": None, "index": None, **(scope or {})}
    compiled = compile_config(KINDS[node_type], node, frozenset())
    return NodeCall(node, compiled.resolve(seen), seen, data)


def begin(node_type, config=None, **given):
    return KINDS[node_type].begin(call(node_type, config, **given))


def result(node_type, config=None, **given):
    done = begin(node_type, config, **given)
    assert isinstance(done, Done)
    return done.output


def fails(node_type, config=None, **given):
    with pytest.raises(ExpressionFailed) as failure:
        begin(node_type, config, **given)
    return failure.value.detail
