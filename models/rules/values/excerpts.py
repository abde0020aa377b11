"""Excerpts of JSON values that may be large: a part at a JSON pointer, in which long texts and lists are cut."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from models.errors import FieldError, InvalidInput, NotFound

Json = Any

MAX_ITEMS, MAX_CHARACTERS = 1_000, 100_000  # of the part itself
USUAL_ITEMS, USUAL_CHARACTERS = 100, 10_000
INNER_ITEMS, INNER_CHARACTERS = 50, 1_000  # of lists, objects and texts within the part
MAX_VALUES = 5_000  # in an excerpt
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")


@dataclass(frozen=True)
class CutValue:
    """A value within an excerpt that is longer than shown; `pointer` is from the whole value's root."""

    pointer: str
    kind: str
    total: int


@dataclass(frozen=True)
class Excerpt:
    """A part of a value: its members, items or characters from `offset` on, out of `total`; None for other kinds."""

    pointer: str
    kind: str
    total: int | None
    offset: int
    value: Json
    cut: tuple[CutValue, ...] = ()


@dataclass
class _Budget:
    left: int = MAX_VALUES
    cut: list[CutValue] = field(default_factory=list)


def excerpt(value: Json, pointer: str = "", *, offset: int = 0, limit: int | None = None) -> Excerpt:
    """The part of `value` at a JSON pointer (RFC 6901), at most `limit` of its items or characters from `offset` on.

    Raises `InvalidInput` if the pointer has not the form of one, and `NotFound` if there is nothing at it.
    """
    part = _at(value, pointer)
    kind = kind_name(part)
    if isinstance(part, str):
        shown = part[offset : offset + min(limit or USUAL_CHARACTERS, MAX_CHARACTERS)]
        return Excerpt(pointer, kind, len(part), offset, shown)
    if not isinstance(part, Mapping | list):
        return Excerpt(pointer, kind, None, 0, part)
    budget = _Budget()
    end = offset + min(limit or USUAL_ITEMS, MAX_ITEMS)
    shown = _items(part, pointer, offset, end, budget)
    return Excerpt(pointer, kind, len(part), offset, shown, tuple(budget.cut))


def kind_name(value: Json) -> str:
    """The JSON type of a value."""
    if isinstance(value, bool):
        return "boolean"
    types = ((str, "text"), (Mapping, "object"), (list, "list"), ((int, float), "number"))
    return next((name for kinds, name in types if isinstance(value, kinds)), "null")


def _at(value: Json, pointer: str) -> Json:
    if pointer and not pointer.startswith("/"):
        message = "Must be empty, or begin with a slash, as JSON pointers do."
        raise InvalidInput("This is no JSON pointer.", errors=[FieldError("pointer", message)])
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, Mapping) and name in value:
            value = value[name]
        elif isinstance(value, list) and _INDEX.fullmatch(name) and int(name) < len(value):
            value = value[int(name)]
        else:
            raise NotFound("value at this pointer")
    return value


def _items(part: Mapping[str, Json] | Sequence[Json], pointer: str, start: int, end: int, budget: _Budget) -> Json:
    if isinstance(part, Mapping):
        shown = islice(part.items(), start, end)
        return {name: _inner(item, f"{pointer}/{_token(name)}", budget) for name, item in _within(shown, budget)}
    listed = enumerate(part[start:end], start)
    return [_inner(item, f"{pointer}/{index}", budget) for index, item in _within(listed, budget)]


def _within(items: Iterator[tuple[Any, Json]], budget: _Budget) -> Iterator[tuple[Any, Json]]:
    """The items for as long as the budget lasts."""
    for item in items:
        if budget.left <= 0:
            return
        budget.left -= 1
        yield item


def _inner(value: Json, pointer: str, budget: _Budget) -> Json:
    if isinstance(value, str):
        shown: Json = value[:INNER_CHARACTERS]
    elif isinstance(value, Mapping | list):
        shown = _items(value, pointer, 0, INNER_ITEMS, budget)
    else:
        return value
    if len(shown) < len(value):
        budget.cut.append(CutValue(pointer, kind_name(value), len(value)))
    return shown


def _token(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
