"""Whatever is written and whatever the data is, an expression answers JSON or refuses."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import ExpressionError, ExpressionFailed
from models.rules.expressions.evaluate import compile_expression
from models.rules.values.scope import Scope
from tests.support.expressions import IDS, PIECES, SCOPE
from tests.support.thorough import examples


@pytest.mark.thorough
@given(st.lists(PIECES, max_size=25).map("".join))
@settings(max_examples=examples(300))
def test_answers_json_or_refuses_whatever_is_written(source):
    try:
        value = compile_expression(source, IDS).evaluate(SCOPE)
    except (ExpressionError, ExpressionFailed):
        return
    assert value is None or isinstance(value, str | bool | int | float | list | dict)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)
SOURCES = st.sampled_from(
    ["input.map(x => x)", "[...input].sort()", "input.a.b", "input + input", "[input, input]", "input[0]", "sum(input)"]
)


@pytest.mark.thorough
@given(SOURCES, JSON)
@settings(max_examples=examples(200))
def test_answers_or_refuses_whatever_the_data_is(source, data):
    with contextlib.suppress(ExpressionFailed):
        compile_expression(source).evaluate(Scope({"input": data}))


def exact(value):
    """The value as JavaScript keeps it: whole numbers past 2^53 as strings, -0 and 1.0 as whole numbers."""
    if isinstance(value, list):
        return [exact(item) for item in value]
    if isinstance(value, dict):
        return {name: exact(item) for name, item in value.items()}
    return str(value) if isinstance(value, int) and abs(value) >= 2**53 else value


@pytest.mark.thorough
@given(JSON)
@settings(max_examples=examples(200))
def test_values_cross_unchanged(data):
    crossed = compile_expression("(input)").evaluate(Scope({"input": data}))
    assert crossed == exact(data) or "\\u0000" in repr(data) or "\\x00" in repr(data) or "\\ud" in repr(data)
