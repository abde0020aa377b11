"""Values that enter a run are stored exactly, or as text."""

import json
import math

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.rules.values.json_values import EXACT, clean, clean_text, read_json
from tests.support.engine.node_steps import begin, fails, result


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("9007199254740991", EXACT),
        ("9007199254740992", "9007199254740992"),
        ("-9007199254740993", "-9007199254740993"),
        ('{"id": 1234567890123456789, "n": 1}', {"id": "1234567890123456789", "n": 1}),
        ("[123456789012345678901234567890]", ["123456789012345678901234567890"]),
        ("1" * 5_000, "1" * 5_000),
        ("0.12345678901234567890", 0.12345678901234568),
        ("1e20", 1e20),
        ('"12345678901234567890"', "12345678901234567890"),
        ('"\\ud83d"', "\ufffd"),
        ('"\\ud83d\\ude00"', "\U0001f600"),
        ('{"\\ude00": "a\\u0000b"}', {"\ufffd": "a\ufffdb"}),
        ('["\\ud83d", 9007199254740993]', ["\ufffd", "9007199254740993"]),
    ],
)
def test_json_is_read_exactly_or_as_text(text, value):
    for form in (text, text.encode()):
        read = read_json(form)
        assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize("text", ["", "{", "NaN", "[Infinity]", "[1e5, NaN, 12345678901234567890]", "[" * 100_000])
def test_what_is_no_json_is_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011  # of whatever kind
        read_json(text)


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_every_text_can_be_stored_and_good_ones_stay(text):
    cleaned = clean_text(text)
    assert "\x00" not in cleaned
    assert cleaned.encode().decode() == cleaned
    assert clean_text(cleaned) == cleaned
    if "\x00" not in text and not any("\ud800" <= character <= "\udfff" for character in text):
        assert cleaned == text


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_every_json_value_is_read_as_it_was_written_but_for_long_numbers(value):
    def expected(part):
        if isinstance(part, dict):
            return {clean_text(name): expected(item) for name, item in part.items()}
        if isinstance(part, list):
            return [expected(item) for item in part]
        if isinstance(part, int) and not isinstance(part, bool) and abs(part) > EXACT:
            return str(part)
        return clean_text(part) if isinstance(part, str) else part

    read = read_json(json.dumps(value))
    assert read == expected(value)
    assert orjson.loads(orjson.dumps(clean(read))) == read


def test_expressions_make_no_text_that_cannot_be_stored():
    assert result("process", {"expression": "'a\\u0000b'"}) == "a\ufffdb"
    assert result("output", {"value": ["{{ '\\u0000' }}!"]}) == ["\ufffd!"]


class TestInputs:
    def test_long_numbers_in_a_json_text_become_text(self):
        given = '{"id": 9007199254740993}'
        assert result("input", {"inputType": "json"}, run_input=given) == {"id": "9007199254740993"}

    @pytest.mark.parametrize("given", ["9007199254740993", 2**60, "-9007199254740993"])
    def test_a_number_that_cannot_be_stored_is_an_error(self, given):
        assert "take it as text" in fails("input", {"inputType": "number"}, run_input=given)

    def test_numbers_up_to_the_last_exact_one_are_fine(self):
        assert result("input", {"inputType": "number"}, run_input=str(EXACT)) == EXACT
        assert math.isclose(result("input", {"inputType": "number"}, run_input="1e20"), 1e20)


class TestRequests:
    URL = "https://example.com"

    def headers(self, **headers):
        given = {"none": None, "list": ["a", 1, None]}
        return begin("api_call", {"url": self.URL, "headers": headers}, run_input=given).headers

    def test_a_header_that_is_null_is_not_sent(self):
        assert self.headers(A="{{ input.none }}", B=None, C="") == {"C": ""}

    def test_headers_are_written_as_people_write_them(self):
        assert self.headers(A=5, B=5.0, C=True, D="{{ input.list }}", E=1.5) == {
            "A": "5",
            "B": "5",
            "C": "true",
            "D": "a, 1",
            "E": "1.5",
        }

    def test_an_object_is_no_header(self):
        assert "`A` must be a text" in fails("api_call", {"url": self.URL, "headers": {"A": {"b": 1}}})

    def test_null_within_a_header_or_a_url_is_an_error(self):
        given = {"run_input": {"token": None}}
        headers = {"Authorization": "Bearer {{ input.token }}"}
        assert "`input.token` is null" in fails("api_call", {"url": self.URL, "headers": headers}, **given)
        assert "`input.token` is null" in fails("api_call", {"url": self.URL + "?t={{ input.token }}"}, **given)

    def test_a_body_that_is_null_is_not_sent_and_null_in_a_body_is(self):
        assert begin("api_call", {"url": self.URL, "body": "{{ input }}"}, run_input=None).body is None
        assert begin("api_call", {"url": self.URL, "body": {"a": "{{ input }}"}}, run_input=None).body == b'{"a": null}'
        text = {"url": self.URL, "body": '{"a": {{ input }}}'}
        assert begin("api_call", text, run_input=None).body == b'{"a": null}'
