"""Texts with expressions in them, and conditions."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import ExpressionError, ExpressionFailed
from models.rules.expressions.templates import compile_bare, compile_template
from models.rules.values.scope import Scope
from tests.support.expressions import IDS, PIECES, SCOPE
from tests.support.thorough import examples


def test_a_template_of_one_expression_keeps_the_type():
    assert compile_template("{{ input.b }}").render(SCOPE) == [1, 2, 3]


def test_a_template_with_text_inserts_texts_unchanged_and_others_as_json():
    template = compile_template("{{ input.s }}: {{ input.b }} {{ input.none }} {{ 2.0 }}")
    assert template.render(SCOPE) == "hi: [1, 2, 3] null 2"


def test_a_value_within_a_text_has_its_keys_in_one_order():
    template = compile_template("{{ input.x }}!")
    for value in ({"a": 1, "b": 2}, {"b": 2, "a": 1}):
        assert template.render(Scope({"input": {"x": value}})) == '{"a": 1, "b": 2}!'


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{{ {"a": {"b": 1}} }}', {"a": {"b": 1}}),
        ("{{ `}}${input.a}` }}", "}}1"),
        ("{{ '}}' + \"}}\" }}", "}}}}"),
        (r"{{ 'it\'s }}' }}", "it's }}"),
        ('{{ "{{" }}', "{{"),
        ("no expression }} here", "no expression }} here"),
        ("", ""),
    ],
)
def test_a_template_knows_quotes_and_braces(text, value):
    assert compile_template(text).render(SCOPE) == value


def test_an_unclosed_expression_is_placed_in_the_text():
    with pytest.raises(ExpressionError) as refused:
        compile_template("line one\n  {{ input.a")
    assert refused.value.position == (2, 3)


def test_an_error_is_placed_in_the_text_around_its_expression():
    with pytest.raises(ExpressionError) as refused:
        compile_template("abc {{ foo }}")
    assert refused.value.position == (1, 8)


def test_a_rendered_text_is_bounded():
    template = compile_template("{{ input.s }}{{ input.s }}")
    with pytest.raises(ExpressionFailed, match="longer"):
        template.render(Scope({"input": {"s": "x" * 1_000_000}}))


def test_a_condition_may_be_written_bare_or_in_braces():
    assert compile_bare("input.a == 1").evaluate(SCOPE) is compile_bare("{{ input.a == 1 }}").evaluate(SCOPE) is True


@pytest.mark.thorough
@given(st.lists(PIECES | st.sampled_from(["{{", "}}", "'''"]), max_size=20).map("".join))
@settings(max_examples=examples(200))
def test_a_template_renders_or_refuses_whatever_is_written(text):
    with contextlib.suppress(ExpressionError, ExpressionFailed):
        compile_template(text, IDS).render(SCOPE)
