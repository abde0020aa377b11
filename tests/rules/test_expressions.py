"""What expressions compute, what they refuse, and that none of them runs away."""

import contextlib
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.rules.expression_regex import states
from models.rules.expressions import Budget, ExpressionError, ExpressionFailed, compile_expression

SCOPE = {
    "input": {"a": 1, "b": [1, 2, 3], "f": 1.5, "s": "hi", "huge": 2**70, "none": None},
    "data": {"rows": [{"n": 3}, {"n": 1}]},
    "nodes": {"node-1": {"output": {"x": 5}}, "n": {"output": None}, "3": {"output": "three"}},
}
IDS = frozenset({"node-1", "node", "n", "3", "a b"})


def value_of(source, scope=SCOPE):
    return compile_expression(source, IDS).evaluate(scope)


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("input.a + 1", 2),
        ("input.s + '!'", "hi!"),
        ("input.b.map(x, x * 2).filter(y, y > 2)", [4, 6]),
        ("input.b.exists(x, x == 2) && input.a == 1", True),
        ("input.b.map(item, item + 1)", [2, 3, 4]),
        ("'a,b'.split(',').join('-')", "a-b"),
        ("{'b': 1, 'a': input.b}", {"a": [1, 2, 3], "b": 1}),
        ("timestamp('2026-01-31T12:00:00Z')", "2026-01-31T12:00:00Z"),
        ("duration('90s')", 90),
        ("input.huge", 2**70),
        ("input.huge + 1.0", float(2**70)),
        ("string(true) + string([1]) + string(2.0)", "true[1]2"),
        ("'abc'.matches('^a.c$')", True),
        ("urlEncode('a b/ü&') + 'x y'.urlEncode()", "a%20b%2F%C3%BC%26x%20y"),
        ("{1: 'x'}", {"1": "x"}),
        ("has(input.a) && !has(input.zz)", True),
        ("double(input.a) * 1.5", 1.5),
    ],
)
def test_computes(source, value):
    assert value_of(source) == value


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("nodes.node-1.output.x", 5),
        ("nodes.node-1.output.x + 1", 6),
        ("nodes.3.output", "three"),
        ("nodes['node-1'].output.x", 5),
        ("'nodes.node-1.output'", "nodes.node-1.output"),
    ],
)
def test_finds_nodes_whose_ids_are_no_identifiers(source, value):
    assert value_of(source) == value


def test_says_which_nodes_and_variables_it_reads():
    expression = compile_expression("nodes.node-1.output.x + nodes.n.output.y + input.a", IDS)
    assert (expression.nodes, expression.names) == ({"node-1", "n"}, {"nodes", "input"})


def test_reads_any_node_when_the_id_is_computed():
    assert compile_expression("nodes[input.s].output").nodes is None


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("input.zz.y", "There is no `zz` in input."),
        ("nodes.n.output.text", "nodes.n.output is null, so it has no `text`."),
        ("nodes.gone.output", "There is no `gone` in nodes."),
        ("input.b.x", "input.b is a list"),
        ("item.x", "There is no `item` here"),
        ("1 + 1.5", "double(x)"),
        ("'a' + 1", "string(x)"),
        ("1 / 0", "divided by zero"),
        ("9223372036854775807 + 1", "too large"),
        ("1.0 / 0.0", "not a finite number"),
        ("b'abc'", "JSON does not have"),
        ("'a'.matches('(')", "no regular expression"),
    ],
)
def test_explains_why_it_failed(source, words):
    with pytest.raises(ExpressionFailed) as failure:
        value_of(source)
    assert words in failure.value.detail


@pytest.mark.parametrize(
    ("source", "position"),
    [
        ("1 +", (1, 4)),
        ("inptu.x", (1, 1)),
        ("input.a +\n  foo", (2, 3)),
        ("'abc", (1, 1)),
        ("siz(input)", (1, 1)),
        ("", (1, 1)),
        ("input.b.map(input, 1)", (1, 1)),
    ],
)
def test_says_where_it_does_not_compile(source, position):
    with pytest.raises(ExpressionError) as refused:
        compile_expression(source)
    assert refused.value.position == position
    assert "ERROR" not in refused.value.detail


BIG = {
    "input": {
        "l": list(range(1000)),
        "l100": list(range(100)),
        "rows": [{"a": i, "b": f"text {i}", "c": {"d": [1, 2, 3]}} for i in range(1000)],
        "s": "x" * 1_000_000,
    },
    "data": [{"a": i, "b": [i] * 5} for i in range(10_000)],
}


@pytest.mark.parametrize(
    "source",
    [
        "input.l.map(x, x)",
        "input.l100.map(v, input.l100)",
        "input.l100.map(v, input.rows)",
        "input.l.exists(v, input.rows[0].a == v)",
        "input.l.all(x, input.l.all(y, true))",
        "data[3].a",
        "input.s.matches('(x{1000}){10}')",
        r"input.l100.exists(x, 'a'.matches('\\w{100}y'))",
        "[" + ",".join(["input.s"] * 100) + "]",
        "input.s" + "+input.s" * 60,
        "['aaaaaaaaaa']" + ".map(x, x + x)" * 30,
        "[1]" + ".map(x, [x, x])" * 20,
        "[input.l]" + ".map(x, x + x)" * 8,
        "input.s.replace('x', 'yy')",
        "input.s.split('')",
        "input.l.distinct()",
    ],
)
def test_refuses_what_would_run_away(source):
    with pytest.raises(ExpressionFailed):
        compile_expression(source).evaluate(BIG)


def test_hands_a_whole_output_on_however_large_it_is():
    assert compile_expression("data").evaluate(BIG) is BIG["data"]


@pytest.mark.parametrize(
    "source",
    [
        "1" + "+1" * 60_000,
        "1" + "+1" * 1_900,
        "a" + ".a" * 60_000,
        "input" + ".a" * 1_900,
        "(" * 5_000 + "1" + ")" * 5_000,
        "[" * 31 + "]" * 31,
        "!" * 3_900 + "true",
        "-" * 3_900 + "1",
        "true ? 1 : " * 300 + "1",
        "[[1]]" + "[0]" * 1_000,
        "'a'" + ".trim()" * 500,
    ],
    ids=range(11),
)
def test_survives_long_chains_and_deep_nesting(source):
    with contextlib.suppress(ExpressionError, ExpressionFailed):
        compile_expression(source).evaluate(BIG)


def test_refuses_data_that_is_nested_too_deeply():
    deep = []
    for _ in range(5_000):
        deep = [deep]
    with pytest.raises(ExpressionFailed, match="levels deep"):
        compile_expression("size(input)").evaluate({"input": deep})


def test_many_evaluations_share_a_budget():
    expression, budget = compile_expression("input.l.size()"), Budget(2_500)
    for _ in range(2):
        expression.evaluate(BIG, budget)
    with pytest.raises(ExpressionFailed, match="together"):
        expression.evaluate(BIG, budget)


def test_is_compiled_once_and_shared_between_threads():
    assert compile_expression("input.a + 41", IDS) is compile_expression("input.a + 41", IDS)
    results = []
    threads = [threading.Thread(target=lambda: results.append(value_of("input.a + 41"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [42] * 8


@pytest.mark.parametrize(
    ("pattern", "least", "most"), [("abc", 3, 10), (r"\w{100}", 5_000, 7_000), ("(a{1000}){10}", 10_000, 30_000)]
)
def test_a_regular_expression_is_as_large_as_its_repetitions_make_it(pattern, least, most):
    assert least <= states(pattern) <= most


PIECES = st.sampled_from(
    [
        *("input", ".a", ".b", ".s", "data", ".rows", "[0]", "nodes", ".n", ".output", "x", "1", "2.5", "'t'", "true"),
        *(" + ", " * ", " / ", " == ", " < ", " && ", " || ", " ? ", " : ", " in ", "(", ")", "[", "]", "{", "}", ","),
        *(
            ".map(x, ",
            ".filter(x, ",
            ".exists(x, ",
            "size(",
            ".split(",
            ".join(",
            ".matches(",
            "string(",
            "has(",
            "-",
            "!",
        ),
        *("null", "'\\", '"', "\u00e9", "\x00", "\ud800", "//", "9223372036854775807", ".sort()", ".first()", "int("),
    ]
)


@given(st.lists(PIECES, max_size=25).map("".join))
@settings(max_examples=300, deadline=None)
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
    [
        *(
            "input.map(x, x)",
            "input.sort()",
            "input.a.b",
            "input + input",
            "string(input)",
            "input == input",
            "input[0]",
        ),
        *("input.distinct()", "input.flatten()", "max(input)", "sum(input)", "input.join(',')", "[input, input]"),
    ]
)


@given(SOURCES, JSON)
@settings(max_examples=200, deadline=None)
def test_answers_or_refuses_whatever_the_data_is(source, data):
    with contextlib.suppress(ExpressionFailed):
        compile_expression(source).evaluate({"input": data})
