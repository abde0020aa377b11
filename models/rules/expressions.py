"""Expressions and templates in a node's config: CEL over the values of a run.

An expression sees nothing but the variables below, changes nothing, and ends within a fixed number of steps. Values that
it hands on are shared with the data that it read: nobody may change them.
"""

import difflib
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from models.rules.cel.conversions import to_json
from models.rules.cel.functions import complaint
from models.rules.cel.meter import (
    MAX_RESULT_CHARS,
    ExpressionError,
    ExpressionFailed,
    Meter,
    TooManySteps,
    weigh,
)
from models.rules.cel.operators import TYPES
from models.rules.cel.parser import parse
from models.rules.cel.program import Code, Env, translate, weight
from models.rules.cel.syntax import Call, Literal, Name, Path, Tree, facts
from models.rules.cel.tokens import node_references, refusal

__all__ = ["NAMES", "Expression", "ExpressionError", "ExpressionFailed", "TooManySteps", "compile_expression"]

Json = Any
NAMES = ("input", "data", "nodes", "item", "index", "execution", "accumulator")
_WHERE = {
    "item": "`item` exists inside a loop and in the expressions of filter, map, sort and reduce only.",
    "index": "`index` exists inside a loop and in the expressions of filter, map, sort and reduce only.",
    "accumulator": "`accumulator` exists in the expression of reduce only.",
}
_CACHE_SIZE = 4096
_T = TypeVar("_T")


@dataclass(frozen=True)
class Expression:
    """A compiled expression. `nodes` are the ids that it reads (None: any); `names` the variables."""

    source: str
    names: frozenset[str]
    nodes: frozenset[str] | None
    literal: bool  # it reads nothing: the same value every time
    _code: Code = field(repr=False, compare=False)
    _weight: int = field(repr=False, compare=False)
    _made: bool = field(repr=False, compare=False)  # the result is new, rather than a piece of the data

    def evaluate(self, scope: Mapping[str, Json]) -> Json:
        """The value over the variables of `scope`, as JSON; raises `ExpressionFailed` with a sentence.

        `scope["nodes"]` maps ids to `{"output": ...}`; only what is read is touched.
        """
        meter = Meter()
        names = {name: scope[name] for name in self.names if name in scope}
        if len(names) < len(self.names):
            missing = sorted(self.names - names.keys() - TYPES.keys())
            if missing and missing[0] in _WHERE:
                raise ExpressionFailed(_WHERE[missing[0]])
        try:
            meter.charge(self._weight)
            value = self._code(Env(names, meter))
            return _finished(value) if self._made else value
        except RecursionError:
            raise ExpressionFailed("The data is nested too deeply for this expression.") from None


def _finished(value: Json) -> Json:
    if isinstance(value, str | int | float) or value is None:
        return to_json(value)
    if weigh(value)[1] > MAX_RESULT_CHARS:
        raise ExpressionFailed(f"The result would be longer than {MAX_RESULT_CHARS:,} characters.")
    return to_json(value)


class Cache(Generic[_T]):
    """The last few thousand things made, by key; safe to use from many threads."""

    def __init__(self, size: int) -> None:
        self._size, self._kept, self._lock = size, OrderedDict[Hashable, _T](), threading.Lock()

    def get(self, key: Hashable, make: Callable[[], _T]) -> _T:
        """What was made for `key`, made now if need be."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = make()
        with self._lock:
            self._kept[key] = made
            if len(self._kept) > self._size:
                self._kept.popitem(last=False)
        return made


_expressions: Cache[Expression] = Cache(_CACHE_SIZE)


def compile_expression(source: str, node_ids: frozenset[str] = frozenset()) -> Expression:
    """Compile CEL; `node_ids` lets `nodes.<id>` be written with ids that are no identifiers.

    Raises `ExpressionError`, whose `position` is the line and column.
    """
    references = node_references(source[:10_000], node_ids) if "nodes" in source else {}
    key = (source, tuple(references.items()))
    return _expressions.get(key, lambda: _compile(source, references))


def _compile(source: str, references: Mapping[int, str]) -> Expression:
    tree = parse(source, references)
    _check_words(source, tree)
    known = facts(tree)
    return Expression(
        source=source,
        names=frozenset(known.names),
        nodes=None if known.nodes is None else frozenset(known.nodes),
        literal=not known.names,
        _code=translate(source, tree),
        _weight=weight(tree),
        _made=not isinstance(tree, Path | Name | Literal) or bool(known.names & TYPES.keys()),
    )


def _check_words(source: str, tree: Tree) -> None:
    """Refuse functions and variables that do not exist, which the grammar cannot know."""
    pending: list[tuple[Tree, frozenset[str]]] = [(tree, frozenset(NAMES) | TYPES.keys())]
    while pending:
        part, bound = pending.pop()
        if isinstance(part, Call) and (sentence := complaint(part.function, len(part.arguments))):
            raise refusal(source, part.start, sentence)
        if isinstance(part, Name) and part.name not in bound:
            near = difflib.get_close_matches(part.name, bound, 1)
            also = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(NAMES)}."
            raise refusal(source, part.start, f"There is no variable `{part.name}`; {also}")
        inner = bound | {part.variable} if hasattr(part, "variable") else bound
        pending.extend((child, inner) for child in part.parts)
