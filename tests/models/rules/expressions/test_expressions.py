"""Results, limits and variables of expressions."""

import threading

import pytest

from models.errors import ExpressionError, ExpressionFailed
from models.rules.expressions.evaluate import compile_expression
from models.rules.values.scope import FuelMeter, RunFuelSpent, Scope
from tests.support.expressions import IDS, SCOPE, refused, value_of


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("input.a + 1", 2),
        ("input.s + '!'", "hi!"),
        ("input.b.map(x => x * 2).filter(y => y > 2)", [4, 6]),
        ("input.b.some(x => x == 2) && input.a === 1", True),
        ("'a, b'.split(',').map(x => x.trim()).join('-')", "a-b"),
        ("{b: 1, a: input.b}", {"b": 1, "a": [1, 2, 3]}),
        ("{...data.rows[0], m: 2}", {"n": 3, "m": 2}),
        ("9.99 * 3", 29.97),
        ("7 / 2", 3.5),
        ("input.huge", 2**70),
        ("input.huge + '!'", f"{2**70}!"),
        ("Number(input.huge)", float(2**70)),
        ("2 ** 60", float(2**60)),
        ("-0", 0),
        ("/(\\d+)-(\\d+)/.exec('no 12-34')[2]", "34"),
        ("input.zz ?? 'none'", "none"),
        ("nodes.n.output?.body?.title ?? 'none'", "none"),
        ("new Date(0)", "1970-01-01T00:00:00.000Z"),
        ("[1, undefined]", [1, None]),
        ("{a: undefined}", {}),
        ("'\\u0000\\ud800'", "\ufffd\ufffd"),
        ("input.b\n  // counted\n  .length + 1", 4),
        ("JSON.parse('{\"__proto__\": 1}')", {"__proto__": 1}),
    ],
)
def test_computes(source, value):
    assert value_of(source) == value


def test_keeps_the_order_of_the_keys_that_it_makes():
    assert list(value_of("{z: 1, a: 2}")) == ["z", "a"]


def test_meets_the_keys_of_a_variable_in_one_order():
    """The database keeps them in an order of its own, so a resumed run gets them in another one than the first."""
    kept, made = {"b": 1, "aa": {"y": 1, "xx": 2}}, {"aa": {"xx": 2, "y": 1}, "b": 1}
    for source in ("JSON.stringify(input)", "Object.keys(input.aa)"):
        assert value_of(source, Scope({"input": kept})) == value_of(source, Scope({"input": made}))


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("nodes.node-1.output.x", 5),
        ("nodes.node-1.output.x + 1", 6),
        ("nodes?.node-1?.output?.x + 1", 6),
        ("nodes.3.output", "three"),
        ("nodes.3.output + '!'", "three!"),
        ("nodes['node-1'].output.x", 5),
        ("'nodes.node-1.output'", "nodes.node-1.output"),
        ("`nodes.node-1 ${nodes.node-1.output.x}`", "nodes.node-1 5"),
    ],
)
def test_finds_nodes_whose_ids_are_no_identifiers(source, value):
    assert value_of(source) == value


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("input.b[1]", 2),
        ("input.b.length", 3),
        ("input.smile.length", 3),
        ("input.s[1]", "i"),
        ('input["s"]', "hi"),
        (" data.rows[1].n\n", 1),
    ],
)
def test_a_plain_path_is_followed_as_javascript_follows_it(source, value):
    path = compile_expression(source)
    assert path.path
    assert path.evaluate(SCOPE) == value_of(f"({source})") == value


def test_a_plain_path_costs_nothing():
    scope = Scope(SCOPE.variables, meter=FuelMeter(limit=0))
    assert value_of("data.rows", scope) is SCOPE.variables["data"]["rows"]


def test_says_which_nodes_and_variables_it_reads():
    expression = compile_expression("nodes.node-1.output.x + nodes.n.output.y + input.a", IDS)
    assert (expression.nodes, expression.names) == ({"node-1", "n"}, {"nodes", "input"})


def test_reads_any_node_when_the_id_is_computed():
    assert compile_expression("nodes[input.s].output").nodes is None


def test_is_handed_nothing_but_what_it_reads():
    class Watched(dict):
        def __getitem__(self, name):
            assert name == "wanted"
            return super().__getitem__(name)

    nodes = Watched(wanted={"output": 1}, other={"output": "x" * 10_000_000})
    assert value_of("nodes.wanted.output + 1", Scope({"nodes": nodes})) == 2


class TestItems:
    ROWS = ({"n": 3}, {"n": 1})

    def test_each_item_and_its_index_are_seen(self):
        assert compile_expression("item.n * 10 + index").evaluate_each(SCOPE, self.ROWS) == [30, 11]

    def test_an_accumulator_goes_from_item_to_item(self):
        assert compile_expression("accumulator + item.n").reduce(SCOPE, self.ROWS, 5) == 9

    @pytest.mark.parametrize("source", ["item.n", "item.n + 0"])
    def test_the_item_that_fails_is_named(self, source):
        with pytest.raises(ExpressionFailed, match=r"\(item 1\)"):
            compile_expression(source).evaluate_each(SCOPE, [{"n": 1}, None])

    def test_no_item_sees_what_another_one_changed(self):
        with pytest.raises(ExpressionFailed, match=r"make a copy, as in \[\.\.\.data\]"):
            compile_expression("input.b.push(item)").evaluate_each(SCOPE, [1, 2])


class TestBodies:
    def test_a_body_returns_its_value(self):
        source = "let total = 0;\nfor (const row of data.rows) total += row.n;\nreturn {total};"
        assert value_of(source, mode="body") == {"total": 4}

    def test_a_body_without_a_return_fails(self):
        assert "returns nothing" in refused("const a = 1;", mode="body")

    def test_a_condition_may_be_a_body(self):
        assert value_of("const last = input.b.at(-1);\nreturn last > 2;", mode="either") is True

    def test_a_condition_that_speaks_of_return_is_an_expression_all_the_same(self):
        assert value_of("input.s !== 'return'", mode="either") is True

    def test_names_of_its_own_hide_variables(self):
        assert value_of("const data = 3, item = 4;\nreturn data + item;", mode="body") == 7

    def test_a_body_may_have_16_kib(self):
        with pytest.raises(ExpressionError, match="16,384 characters"):
            compile_expression("return 1;" + " " * 16_384, mode="body")


class TestClockAndChance:
    SOURCE = "[now(), Date.now(), new Date().getTime(), Math.random(), uuid()]"

    def test_the_clock_shows_the_moment_of_the_step(self):
        now, *milliseconds, _, _ = value_of(self.SOURCE)
        assert now == "2026-07-01T10:30:15.123Z"
        assert milliseconds == [1_782_901_815_123] * 2

    def test_the_same_step_draws_the_same_numbers(self):
        again = Scope(SCOPE.variables, SCOPE.moment, "seed")
        assert value_of(self.SOURCE, Scope(SCOPE.variables, SCOPE.moment, "seed")) == value_of(self.SOURCE, again)

    def test_another_step_and_another_evaluation_draw_other_numbers(self):
        first, second = (Scope({}, SCOPE.moment, seed) for seed in "ab")
        drawn = [value_of("Math.random()", scope) for scope in (first, first, second)]
        assert len(set(drawn)) == 3
        assert all(0 <= number < 1 for number in drawn)

    def test_each_item_draws_its_own(self):
        assert len(set(compile_expression("Math.random()").evaluate_each(Scope({}), [0] * 50))) == 50


class TestFuel:
    def test_what_expressions_spend_is_counted(self):
        scope = Scope(SCOPE.variables)
        value_of("input.a + 1", scope)
        once = scope.meter.spent
        value_of("input.a + 1", scope)
        assert 10_000 < once < 1_000_000
        assert scope.meter.spent == 2 * once

    def test_a_failure_is_counted_too(self):
        scope = Scope(SCOPE.variables)
        refused("input.s.foo()", scope)
        assert scope.meter.spent > 10_000

    def test_a_run_that_spent_all_evaluates_nothing(self):
        with pytest.raises(RunFuelSpent, match="20,000 million instructions"):
            value_of("input.a + 1", Scope(SCOPE.variables, meter=FuelMeter(20_000_000_000)))

    def test_an_expression_may_spend_no_more_than_the_run_has_left(self):
        scope = Scope(SCOPE.variables, meter=FuelMeter(0, limit=1_000_000))
        with pytest.raises(RunFuelSpent):
            value_of("range(1e6).length", scope)
        assert scope.meter.spent == 1_000_000

    def test_what_works_for_a_hundred_rows_works_for_ten_thousand(self):
        rows = [{"price": number % 50, "name": f"row {number}"} for number in range(10_000)]
        assert len(value_of("input.filter(row => row.price > 10)", Scope({"input": rows}))) == 7_800

    def test_an_error_for_too_much_data_names_size_and_limit(self):
        words = refused("input.map(x => x).length", Scope({"input": ["x" * 1_000_000] * 5}))
        assert "It reads 5,000,0" in words
        assert "an expression may read 4,194,304" in words

    def test_code_may_spend_more_than_an_expression(self):
        work = "(() => { let n = 0; for (let i = 0; i < 3e5; i++) n += i % 7; return n })()"
        assert "more than 50 million instructions" in refused(work)
        assert value_of(f"return {work}", mode="body") == 899_997


def test_refuses_data_that_is_nested_too_deeply():
    deep = []
    for _ in range(500):
        deep = [deep]
    assert "nested too deeply" in refused("[input]", Scope({"input": deep}))


def test_is_compiled_once_and_shared_between_threads():
    assert compile_expression("input.a + 41", IDS) is compile_expression("input.a + 41", IDS)
    results = []
    threads = [threading.Thread(target=lambda: results.append(value_of("input.a + 41"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [42] * 8
