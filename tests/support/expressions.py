"""Variables and shortcuts for tests of expressions."""

from datetime import UTC, datetime

import pytest
from hypothesis import strategies as st

from models.errors import ExpressionFailed
from models.rules.expressions.evaluate import compile_expression
from models.rules.values.scope import Scope

SCOPE = Scope(
    {
        "input": {"a": 1, "b": [1, 2, 3], "f": 1.5, "s": "hi", "huge": 2**70, "none": None, "smile": "a\U0001f600"},
        "data": {"rows": [{"n": 3}, {"n": 1}]},
        "nodes": {"node-1": {"output": {"x": 5}}, "n": {"output": None}, "3": {"output": "three"}},
        "item": None,
    },
    datetime(2026, 7, 1, 10, 30, 15, 123_456, tzinfo=UTC),
    "run node",
)
IDS = frozenset({"node-1", "node", "n", "3", "a b"})
PIECES = st.sampled_from(
    [
        *("input", ".a", ".b", ".s", "data", ".rows", "[0]", "nodes", ".n", ".output", "x", "1", "2.5", "'t'", "true"),
        *(" + ", " * ", " / ", " == ", " < ", " && ", " || ", " ? ", " : ", " in ", "(", ")", "[", "]", "{", "}", ","),
        *(".map(x => ", ".filter(x => ", ".length", ".split(", ".join(", "String(", "...", "`", "${", "-", "!", "=>"),
        *("null", "'\\", '"', "\u00e9", "\x00", "\ud800", "//", "/*", "9007199254740993", ".sort()", "?.", "??", "\n"),
    ]
)


def value_of(source, scope=SCOPE, mode="expression"):
    return compile_expression(source, IDS, mode).evaluate(scope)


def refused(source, scope=SCOPE, mode="expression"):
    with pytest.raises(ExpressionFailed) as failure:
        value_of(source, scope, mode)
    return failure.value.detail
