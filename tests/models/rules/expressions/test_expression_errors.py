"""What fails and what does not compile says why and where, in words of its author."""

import pytest

from models.errors import ExpressionError
from models.rules.expressions.evaluate import compile_expression
from tests.support.expressions import refused


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("input.zz", "There is no `zz` in input."),
        ("input.zz.y", "There is no `zz` in input."),
        ("input.zz.y + 1", "There is no `zz` in input."),
        ("input.b[3]", "input.b has 3 items, so there is no [3]"),
        ("nodes.n.output.text", "nodes.n.output is null, so it has no `text`."),
        ("nodes.gone.output", "There is no `gone` in nodes."),
        ("input.b.x", "input.b is a list"),
        ("accumulator.x", "There is no `accumulator` here"),
        ("1 / 0", "Infinity is not a finite number"),
        ("input.a + input.zz", "NaN is not a finite number"),
        ("{a: [1, 0 / 0]}", "The result.a[1] cannot be stored: NaN is not a finite number."),
        ("10n", "JSON has no BigInt"),
        ("new Map()", "JSON has no Map"),
        ("x => x", "JSON has no function"),
        ("new Date('x')", "the date is not valid"),
        ("(() => { const a = []; a.push(a); return a })()", "it contains itself"),
        ("undefined", "The result is undefined"),
        ("input.s.foo()", "This is not a function"),
        ("input.b.map(x =>\n x.y.z)", "(line 2, column 2)"),
        ("JSON.parse('{')", "in JSON at position 1"),
        ("(() => { throw 'no' })()", "The expression threw no."),
    ],
)
def test_explains_why_it_failed(source, words):
    assert words in refused(source)


@pytest.mark.parametrize(
    ("source", "position", "words"),
    [
        ("1 +", (1, 4), "ends too early"),
        ("inptu.x", (1, 1), "There is no `inptu`; did you mean `input`?"),
        ("input.a +\n  foo", (2, 3), "There is no `foo`"),
        ("frmatDate(now(), 'yyyy')", (1, 1), "did you mean `formatDate`?"),
        ("'abc", (1, 1), "A text in quotes is not closed."),
        ("1 2", (1, 3), "`2` is not expected here."),
        ("", (1, 1), "empty"),
        ("1)),x=1,((1", (1, 3), "`)` is not expected here."),
        ("eval('1')", (1, 1), "texts are not run"),
        ("new Function('1')", (1, 5), "texts are not run"),
        ("import('fs')", (1, 1), "not available"),
        ("async () => 1", (1, 1), "Async functions are not available"),
        ("this.x", (1, 1), "There is no `this`"),
        ("input = 1", (1, 1), "`input` cannot be changed"),
        ("input.a * [1]", (1, 1), "calculates with numbers, and this is a list"),
        ("'x' * 2", (1, 1), "calculates with numbers, and this is a text"),
        ("1 === '1'", (1, 1), "which are never equal"),
        ("input.b == []", (1, 1), "is never true for a list"),
        ("{} + 1", (1, 1), "this is an object"),
        ("x" * 8_001, (1, 1), "8,000 characters"),
    ],
)
def test_says_what_does_not_compile_and_where(source, position, words):
    with pytest.raises(ExpressionError) as wrong:
        compile_expression(source)
    assert words in wrong.value.sentence
    assert wrong.value.position == position


@pytest.mark.parametrize("source", ["null == input.a", "'5' * 2", "input.a === null", "!input.a === true", "'a' + 1"])
def test_lets_what_may_be_meant_pass(source):
    compile_expression(source)
