"""Calls one step of a node type, and returns its result."""

import pytest

from models.errors import ExpressionFailed
from models.rules.graph.config import compile_config
from models.rules.graph.effects import Done
from models.rules.graph.graph import Node
from models.rules.graph.kinds import NodeCall
from models.rules.nodes import KINDS
from models.rules.values.scope import Scope


def call(node_type, config=None, *, run_input=None, data=None, scope=None, label="Step"):
    """Build a call as the engine does."""
    node = Node("n1", node_type, label, config or {})
    seen = Scope({"input": run_input, "data": data, "nodes": {}, "item": None, "index": None, **(scope or {})})
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
