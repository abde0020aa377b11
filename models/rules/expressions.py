"""Expressions in a node's config: CEL over the values of a run, compiled once and kept.

An expression sees nothing but the variables below, changes nothing, and is refused before it runs when it might take
long (`expression_guard`). Only what it refers to is handed to the evaluator, so other nodes' outputs cost nothing.
"""

import difflib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import cel

from models.rules.expression_functions import KNOWN, LAST_WORDS, functions
from models.rules.expression_guard import (
    MACROS,
    ExpressionError,
    ExpressionFailed,
    Outline,
    Token,
    outline,
    position,
    tokens,
)

__all__ = ["NAMES", "Expression", "ExpressionError", "ExpressionFailed", "compile_expression"]

Json = Any
Chain = tuple[str, ...]

NAMES = ("input", "data", "nodes", "item", "index", "execution", "accumulator")
TYPES = frozenset({"int", "uint", "double", "string", "bool", "bytes", "list", "map", "null_type", "type", "math"})
LARGEST_INT = 2**63 - 1
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
_NODES = re.compile(r"(?<![\w.])nodes\s*\.\s*")
_WORD_GOES_ON = re.compile(r"\w\w")
LONGEST_ID = 64
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
    place: str = ""  # where it is written, such as `config.url of node 3`, for errors

    def evaluate(self, scope: Mapping[str, Json]) -> Json:
        """The value over the variables of `scope`, as JSON; raises `ExpressionFailed` with a sentence.

        `scope["nodes"]` maps ids to `{"output": ...}`; only what the expression names is touched.
        """
        try:
            return self._evaluate(scope)
        except ExpressionFailed as failure:
            raise failure.located(self.place) from failure.__cause__

    def _evaluate(self, scope: Mapping[str, Json]) -> Json:
        seen = _narrowed(scope, self._chains)
        self._outline.check(seen.values())
        context = cel.Context(variables=seen, functions=self._functions) if self._functions else seen
        try:
            return _as_json(self._program.execute(context))
        except ExpressionFailed:
            raise
        except RecursionError:
            raise ExpressionFailed("The data is nested too deeply for this expression.") from None
        except Exception as error:
            raise ExpressionFailed(_sentence(error)) from error
        except BaseException as error:
            # The evaluator's own panics are no `Exception`; everything else of that kind is not ours to stop.
            if type(error).__name__ != "PanicException":
                raise
            raise ExpressionFailed("The expression cannot be evaluated.") from error


@lru_cache(maxsize=4096)
def compile_expression(source: str, node_ids: frozenset[str] = frozenset()) -> Expression:
    """Compile CEL; `node_ids` lets `nodes.<id>` be written with ids that are no identifiers.

    Raises `ExpressionError`, whose `position` is the line and column.
    """
    rewritten = _with_plain_ids(source, node_ids)
    seen = outline(rewritten)
    program = _compiled(source, rewritten)
    found = list(tokens(rewritten))
    _check_words(source, found, seen, program)
    chains = tuple(sorted(set(_chains(found, seen.bound)), key=lambda chain: (len(chain), chain)))
    roots = frozenset(chain[0] for chain in chains)
    into_nodes = [chain for chain in chains if chain[0] == "nodes"]
    return Expression(
        source=source,
        names=roots,
        nodes=None if any(len(chain) == 1 for chain in into_nodes) else frozenset(chain[1] for chain in into_nodes),
        _program=program,
        _chains=chains,
        _outline=seen,
        _functions=functions(frozenset(program.functions()), with_macros=seen.macros > 0),
    )


def _compiled(source: str, rewritten: str) -> cel.Program:
    if not source.strip():
        raise ExpressionError("The expression is empty.")
    try:
        return cel.compile(rewritten)
    except ValueError as error:
        said = _PARSER_SAYS.search(str(error))
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
    calls = {name for name in program.functions() if _IDENTIFIER.match(name) and not name.startswith("_")}
    for kind, unknown, known in (
        ("variable", words, [*NAMES, *seen.bound]),
        ("function", calls - LAST_WORDS - MACROS, sorted(KNOWN | MACROS)),
    ):
        for name in sorted(unknown):
            at = next((token.at for token in found if token.text == name.rpartition(".")[2]), 0)
            near = difflib.get_close_matches(name, known, 1)
            also = f"; did you mean `{near[0]}`?" if near else "."
            raise ExpressionError(f"There is no {kind} `{name}`{also}", position(source, min(at, len(source))))


def _with_plain_ids(source: str, node_ids: frozenset[str]) -> str:
    """`nodes.a-1.output` as `nodes["a-1"].output`, for known ids that are no identifiers; the longest id wins."""
    if "nodes" not in source:
        return source
    strings = [(t.at, t.at + len(t.text)) for t in tokens(source) if t.kind == "string"]
    pieces, done = [], 0
    for match in _NODES.finditer(source):
        at = match.end()
        if match.start() < done or any(start <= match.start() < end for start, end in strings):
            continue
        known = _longest_id(source, at, node_ids)
        if known and not _IDENTIFIER.fullmatch(known):
            pieces += [source[done : match.start()], f"nodes[{_quoted(known)}]"]
            done = at + len(known)
    return "".join([*pieces, source[done:]])


def _longest_id(source: str, at: int, node_ids: frozenset[str]) -> str | None:
    """The longest known id written at `at`; a few look-ups, however many ids there are."""
    for length in range(min(LONGEST_ID, len(source) - at), 0, -1):
        candidate = source[at : at + length]
        if candidate in node_ids and not _WORD_GOES_ON.match(source, at + length - 1):
            return candidate
    return None


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _chains(found: list[Token], bound: frozenset[str]) -> list[Chain]:
    """What is read of each variable: `nodes.a.output.text` is `("nodes", "a", "output", "text")`."""
    chains = []
    for index, token in enumerate(found):
        after_dot = index > 0 and found[index - 1].text == "."
        if token.kind != "name" or token.text not in NAMES or after_dot or token.text in bound:
            continue
        chains.append(_chain(found, index))
    return chains


def _chain(found: list[Token], index: int) -> Chain:
    chain = [found[index].text]
    index += 1
    while index + 1 < len(found):
        sign, following = found[index].text, found[index + 1]
        if sign == "." and following.kind == "name":
            if found[index + 2 : index + 3] and found[index + 2].text == "(":
                break  # a method of what stands before it
            chain.append(following.text)
            index += 2
        elif sign == "[" and following.kind == "string" and following.text[0] in "\"'" and "\\" not in following.text:
            chain.append(following.text.strip(following.text[0]))
            index += 3
        else:
            break
    return tuple(chain)


def _narrowed(scope: Mapping[str, Json], chains: tuple[Chain, ...]) -> dict[str, Json]:
    """The variables with nothing in them but what the chains name, so that handing over costs no more than that."""
    seen: dict[str, Json] = {}
    whole: set[Chain] = set()
    for chain in chains:  # shorter ones first
        if chain[0] not in scope or any(chain[: len(prefix)] == prefix for prefix in whole):
            continue
        source: Json = scope
        target: dict[str, Json] = seen
        for depth, name in enumerate(chain, start=1):
            if not isinstance(source, Mapping) or name not in source:
                break
            source = source[name]
            if depth == len(chain) or not isinstance(source, Mapping):
                target[name] = _plain(source)
                whole.add(chain[:depth])
                break
            target = target.setdefault(name, {})
    return seen


def _plain(value: Json) -> Json:
    """Views become objects; whole numbers past 64 bits, which the evaluator cannot hold, become broken ones."""
    if isinstance(value, Mapping) and not isinstance(value, dict):
        return dict(value)
    if isinstance(value, int) and abs(value) > LARGEST_INT:
        return float(value)
    return value


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
        return {key if isinstance(key, str) else _text(key): _as_json(item) for key, item in value.items()}
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, cel.OptionalValue):
        return _as_json(value.or_value(None))
    raise ExpressionFailed(f"The result is of a kind that JSON does not have ({type(value).__name__}).")


def _text(key: Json) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)


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
    if isinstance(error, OverflowError):
        return "A whole number became too large."
    return said.splitlines()[0][:300] if said else type(error).__name__
