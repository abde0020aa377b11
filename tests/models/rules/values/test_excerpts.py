"""Excerpts show a part of a large value, and say what they leave out."""

import pytest

from models.errors import InvalidInput, NotFound
from models.rules.values.excerpts import INNER_CHARACTERS, INNER_ITEMS, MAX_VALUES, CutValue, excerpt

ROWS = [{"id": index, "name": f"Row {index}"} for index in range(1_000)]


@pytest.mark.parametrize(
    ("value", "kind", "total"),
    [({"a": 1}, "object", 1), ([1, 2], "list", 2), ("text", "text", 4), (1.5, "number", None), (True, "boolean", None)],
)
def test_a_small_value_is_whole(value, kind, total):
    found = excerpt(value)
    assert (found.value, found.kind, found.total, found.cut) == (value, kind, total, ())
    assert excerpt(None).kind == "null"


@pytest.mark.parametrize(
    ("pointer", "value"), [("", {"a/b": {"~": [7]}}), ("/a~1b", {"~": [7]}), ("/a~1b/~0/0", 7), ("/a~1b/~0", [7])]
)
def test_a_pointer_leads_to_a_part(pointer, value):
    assert excerpt({"a/b": {"~": [7]}}, pointer).value == value


@pytest.mark.parametrize("pointer", ["/x", "/a/1", "/a/-1", "/a/01", "/a/0/deeper", "/a/-"])
def test_a_pointer_to_nothing_is_not_found(pointer):
    with pytest.raises(NotFound):
        excerpt({"a": [1]}, pointer)


def test_a_pointer_begins_with_a_slash():
    with pytest.raises(InvalidInput):
        excerpt({"a": 1}, "a")


def test_pages_cover_a_long_list_and_a_long_text_exactly():
    rows = [row for offset in range(0, 1_000, 300) for row in excerpt(ROWS, offset=offset, limit=300).value]
    assert rows == ROWS
    text = "".join(chr(97 + index % 26) for index in range(25_000))
    pages = [excerpt({"t": text}, "/t", offset=offset, limit=10_000).value for offset in range(0, 25_000, 10_000)]
    assert "".join(pages) == text
    assert excerpt(ROWS, offset=5_000).value == []


def test_what_is_cut_within_is_named_with_its_length():
    found = excerpt({"rows": ROWS, "text": "x" * 5_000, "few": [1]})
    assert len(found.value["rows"]) == INNER_ITEMS
    assert len(found.value["text"]) == INNER_CHARACTERS
    assert found.cut == (CutValue("/rows", "list", 1_000), CutValue("/text", "text", 5_000))


def test_its_size_is_bounded_however_the_value_branches():
    value = [[[[1] * 50] * 50] * 50] * 50  # six million numbers
    found = excerpt(value)
    assert str(found.value).count("1") <= MAX_VALUES
    assert len(found.cut) <= MAX_VALUES
    assert found.cut
