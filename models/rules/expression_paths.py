"""What an expression reads: paths such as `nodes.a.output.text`, so that nothing else is handed to the evaluator."""

import re
from collections.abc import Mapping
from typing import Any

from models.rules.expression_guard import ExpressionFailed, Token, tokens

Json = Any
Chain = tuple[str, ...]

NAMES = ("input", "data", "nodes", "item", "index", "execution", "accumulator")
LARGEST_INT = 2**63 - 1
LONGEST_ID = 64
IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
_NODES = re.compile(r"(?<![\w.])nodes\s*\.\s*")
_WORD_GOES_ON = re.compile(r"\w\w")


def with_plain_ids(source: str, node_ids: frozenset[str]) -> str:
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
        if known and not IDENTIFIER.fullmatch(known):
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


def chains_in(found: list[Token], bound: frozenset[str]) -> list[tuple[int, Chain, int]]:
    """What is read of each variable, with its first token and the one after it.

    `nodes.a.output.text` is `("nodes", "a", "output", "text")`.
    """
    chains = []
    for index, token in enumerate(found):
        after_dot = index > 0 and found[index - 1].text == "."
        if token.kind == "name" and token.text in NAMES and not after_dot and token.text not in bound:
            chains.append((index, *_chain(found, index)))
    return chains


def _chain(found: list[Token], index: int) -> tuple[Chain, int]:
    chain = [found[index].text]
    index += 1
    while index + 1 < len(found):
        sign, following = found[index].text, found[index + 1]
        if sign == "." and following.kind == "name":
            if found[index + 2 : index + 3] and found[index + 2].text == "(":
                break  # a method of what stands before it
            chain.append(following.text)
            index += 2
        elif sign == "[" and (key := _plain_key(found, index + 1)) is not None:
            chain.append(key)
            index += 3
        else:
            break
    return tuple(chain), index


def _plain_key(found: list[Token], index: int) -> str | None:
    """The text that is the whole of a key in square brackets, if it is one without escapes."""
    text, closing = found[index].text, found[index + 1 : index + 2]
    simple = found[index].kind == "string" and text[0] in "\"'" and text[:3] not in ('"""', "'''") and "\\" not in text
    return text[1:-1] if simple and closing and closing[0].text == "]" else None


def narrowed(scope: Mapping[str, Json], chains: tuple[Chain, ...]) -> dict[str, Json]:
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


def follow(scope: Mapping[str, Json], path: Chain) -> Json:
    """The value that a plain path leads to; raises `ExpressionFailed` where it ends."""
    value: Json = scope
    for depth, name in enumerate(path):
        if not isinstance(value, Mapping) or name not in value:
            raise ExpressionFailed(_missing(path, depth, value))
        value = value[name]
    return dict(value) if isinstance(value, Mapping) and not isinstance(value, dict) else value


def _missing(path: Chain, depth: int, value: Json) -> str:
    """Why there is no `path[depth]` in `value`."""
    name, before = path[depth], ".".join(path[:depth])
    if not depth:
        return f"There is no `{name}` here; it exists inside a loop, or for each item of a list, only."
    if isinstance(value, Mapping):
        return f"There is no `{name}` in {before}."
    if value is None:
        return f"{before} is null, so it has no `{name}`."
    if isinstance(value, list | tuple):
        return f"{before} is a list, so it has no `{name}`; take one item with [0], or use map."
    return f"{before} is no object, so it has no `{name}`."
