"""Expressions in a node's config: CEL over the values of a run, compiled once and kept.

An expression sees nothing but the variables below, changes nothing, and is refused before it runs when it might take
long (`expression_guard`). Only what it refers to is handed to the evaluator, so other nodes' outputs cost nothing.
"""

import difflib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Any

import cel

from models.rules.expression_functions import KNOWN, LAST_WORDS, Matcher, functions
from models.rules.expression_guard import (
    MACROS,
    ExpressionError,
    ExpressionFailed,
    Outline,
    Size,
    Token,
    largest_item,
    measure,
    outline,
    position,
    tokens,
)
from models.rules.expression_paths import IDENTIFIER, NAMES, Chain, chains_in, follow, narrowed, with_plain_ids

__all__ = ["NAMES", "Budget", "Expression", "ExpressionError", "ExpressionFailed", "compile_expression"]

Json = Any

SHADOWLESS = frozenset({"input", "data", "nodes", "execution", "accumulator"})
BOUNDED_MATCHES = "_match_"
TYPES = frozenset({"int", "uint", "double", "string", "bool", "bytes", "list", "map", "null_type", "type", "math"})
_PARSER_SAYS = re.compile(r"ERROR: <input>:(\d+):(\d+): (?:Syntax error: )?(.*?)(?: expecting \{.*)?$", re.MULTILINE)


@dataclass(frozen=True)
class Expression:
    """A compiled expression. `nodes` are the ids that it reads (None: any), `names` the variables."""

    source: str
    names: frozenset[str]
    nodes: frozenset[str] | None
    _program: cel.Program = field(repr=False, compare=False)
    _chains: tuple[Chain, ...] = field(repr=False, compare=False)
    _outline: Outline = field(repr=False, compare=False)
    _functions: dict[str, Callable[..., Any]] = field(repr=False, compare=False)
    _path: Chain = field(repr=False, compare=False)  # of an expression that is nothing else, so that it costs nothing
    _within: tuple[Chain, ...] = field(repr=False, compare=False)  # read within macros: once for each item
    _matches: bool = field(repr=False, compare=False)
    place: str = ""  # where it is written, such as `config.url of node 3`, for errors

    def evaluate(self, scope: Mapping[str, Json], budget: "Budget | None" = None) -> Json:
        """The value over the variables of `scope`, as JSON; raises `ExpressionFailed` with a sentence.

        `scope["nodes"]` maps ids to `{"output": ...}`; only what the expression names is touched. `budget` bounds what
        many evaluations may handle together.
        """
        try:
            return self._evaluate(scope, budget)
        except ExpressionFailed as failure:
            raise failure.located(self.place) from failure.__cause__

    def _evaluate(self, scope: Mapping[str, Json], budget: "Budget | None") -> Json:
        if self._path:
            return follow(scope, self._path)
        seen = narrowed(scope, self._chains)
        size = measure(seen.values())
        if self._outline.macros:
            self._outline.check(size)  # so that looking at every item is not what takes long
            size = replace(size, largest_item=largest_item(seen.values()))
        self._outline.check(size, self._repeated(scope), calls=bool(self._functions))
        if budget:
            budget.spend(size)
        extra: dict[str, Any] = {BOUNDED_MATCHES: Matcher()} if self._matches else {}
        functions = {**self._functions, **extra}
        context = cel.Context(variables=seen, functions=functions) if functions else seen
        try:
            return _as_json(self._program.execute(context))
        except ExpressionFailed:
            raise
        except RecursionError:
            raise ExpressionFailed("The data is nested too deeply for this expression.") from None
        except Exception as error:
            raise ExpressionFailed(_explained(error, scope, self._chains)) from error
        except BaseException as error:
            # The evaluator's own panics are no `Exception`; everything else of that kind is not ours to stop.
            if type(error).__name__ != "PanicException":
                raise
            raise ExpressionFailed("The expression cannot be evaluated.") from error

    def _repeated(self, scope: Mapping[str, Json]) -> int:
        """How many values are read anew for each item of a macro."""
        return measure(narrowed(scope, self._within).values()).values if self._within else 0


class Budget:
    """What many evaluations may handle together, such as those of one process node; a value is one of JSON."""

    def __init__(self, values: int = 2_000_000) -> None:
        self._left = values

    def spend(self, size: Size) -> None:
        """Raises `ExpressionFailed` when there is nothing left."""
        self._left -= 1 + size.values + size.characters // 100
        if self._left < 0:
            raise ExpressionFailed("The items together would take too many steps; read less beside the item itself.")


@lru_cache(maxsize=4096)
def compile_expression(source: str, node_ids: frozenset[str] = frozenset()) -> Expression:
    """Compile CEL; `node_ids` lets `nodes.<id>` be written with ids that are no identifiers.

    Raises `ExpressionError`, whose `position` is the line and column.
    """
    rewritten = _with_bounded_matches(with_plain_ids(source, node_ids))
    seen = outline(rewritten)
    program = _compiled(source, rewritten)
    found = list(tokens(rewritten))
    _check_words(source, found, seen, program)
    taken = sorted(seen.bound & SHADOWLESS)
    if taken:
        raise ExpressionError(f"`{taken[0]}` is the name of a variable; choose another for the items of a macro.")
    placed = chains_in(found, seen.bound)
    chains = tuple(sorted({chain for _, chain, _ in placed}, key=lambda chain: (len(chain), chain)))
    called = frozenset(program.functions())
    roots = frozenset(chain[0] for chain in chains)
    into_nodes = [chain for chain in chains if chain[0] == "nodes"]
    return Expression(
        source=source,
        names=roots,
        nodes=None if any(len(chain) == 1 for chain in into_nodes) else frozenset(chain[1] for chain in into_nodes),
        _program=program,
        _chains=chains,
        _outline=seen,
        _functions=functions(called, with_macros=seen.macros > 0),
        _path=placed[0][1] if len(placed) == 1 and placed[0][2] - placed[0][0] == len(found) else (),
        _within=tuple(sorted({chain for at, chain, _ in placed if at in seen.inside}, key=lambda c: (len(c), c))),
        _matches=BOUNDED_MATCHES in called,
    )


def _with_bounded_matches(source: str) -> str:
    """Call our `matches`, which is bounded, by a name that the evaluator does not have; as long, so places stay."""
    found = list(tokens(source))
    for token, following in pairwise(found):
        if (token.kind, token.text, following.text) == ("name", "matches", "("):
            source = source[: token.at] + BOUNDED_MATCHES + source[token.at + len(token.text) :]
    return source


def _compiled(source: str, rewritten: str) -> cel.Program:
    if not source.strip():
        raise ExpressionError("The expression is empty.")
    try:
        return cel.compile(rewritten)
    except ValueError as error:
        said = _PARSER_SAYS.search(str(error))
        if "Recursion limit" in str(error):
            raise ExpressionError("The expression is nested too deeply.") from error
        if said is None:
            raise ExpressionError("This is not a valid expression.") from error
        line, column, what = int(said[1]), int(said[2]), said[3]
        ends = "<EOF>" in what
        sentence = "The expression ends too early." if ends else f"This is not a valid expression: {what[:200]}."
        raise ExpressionError(sentence, (line, column)) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise ExpressionError("This is not a valid expression.") from error


def _check_words(source: str, found: list[Token], seen: Outline, program: cel.Program) -> None:
    """Refuse variables and functions that do not exist, which the grammar cannot know."""
    words = set(program.variables()) - set(NAMES) - TYPES - seen.bound
    calls = {name for name in program.functions() if IDENTIFIER.match(name) and not name.startswith("_")}
    for kind, unknown, known in (
        ("variable", words, [*NAMES, *seen.bound]),
        ("function", calls - LAST_WORDS - MACROS, sorted(KNOWN | MACROS)),
    ):
        for name in sorted(unknown):
            at = next((token.at for token in found if token.text == name.rpartition(".")[2]), 0)
            near = difflib.get_close_matches(name, known, 1)
            also = f"; did you mean `{near[0]}`?" if near else "."
            raise ExpressionError(f"There is no {kind} `{name}`{also}", position(source, min(at, len(source))))


def _as_json(value: Json) -> Json:
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int | float):
        if isinstance(value, float) and not math.isfinite(value):
            raise ExpressionFailed("The result is not a finite number.")
        return value
    if isinstance(value, list | tuple):
        return [_as_json(item) for item in value]
    if isinstance(value, dict):
        # The evaluator hands objects back in a random order; a resumed run shall make what the first one made.
        return {key if isinstance(key, str) else _text(key): _as_json(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, cel.OptionalValue):
        return _as_json(value.or_value(None))
    raise ExpressionFailed(f"The result is of a kind that JSON does not have ({type(value).__name__}).")


def _text(key: Json) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)


def _explained(error: Exception, scope: Mapping[str, Json], chains: tuple[Chain, ...]) -> str:
    """The reason, with the path that could not be followed where that was it."""
    said = str(error)
    if isinstance(error, KeyError) or "Undefined variable" in said or "No such overload" in said:
        for chain in chains:
            try:
                follow(scope, chain)
            except ExpressionFailed as failure:
                return failure.detail
    return _sentence(error)


def _sentence(error: Exception) -> str:
    """What the evaluator complains about, for people who write workflows."""
    said = str(error)
    if isinstance(error, KeyError):
        return f"There is no `{error.args[0]}` in the value it is read from."
    if "No such overload" in said or "Unsupported operation" in said:
        return (
            "The operands are of different kinds. CEL does not convert by itself: use double(x) where whole "
            "and broken numbers meet, and string(x) to add a number to a text."
        )
    if isinstance(error, ZeroDivisionError):
        return "A number cannot be divided by zero."
    if isinstance(error, OverflowError):
        return "A whole number became too large."
    if "Python function call failed: " in said:
        reason = (
            said.partition("Python function call failed: ")[2]
            .partition(": ")[2]
            .removesuffix(" Check function arguments and their types.")
        )
        return reason.rstrip(".")[:300].capitalize() + "."
    return (
        said.splitlines()[0].removesuffix(" Check function arguments and their types.")[:300]
        if said
        else type(error).__name__
    )
