"""Whether a document has the shape of a graph at all. What fails here is never stored, not even as a draft."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from models.rules.findings import Finding, error

Json = Any
MAX_NODES = 5_000
MAX_CONNECTIONS = 20_000
MAX_DEPTH = 32
LONGEST_ID = 64
LONGEST_LABEL = 200
MOST_FINDINGS = 100  # nobody reads more

Check = Callable[[Json], str | None]  # a sentence, or None when all is well


def check_shape(document: Json) -> tuple[Finding, ...]:
    """What keeps `document` from being a graph, at most 100 findings; never raises, whatever it is given."""
    found = []
    for finding in _problems(document):
        found.append(finding)
        if len(found) == MOST_FINDINGS:
            break
    return tuple(found)


def _problems(document: Json) -> Iterator[Finding]:
    if not isinstance(document, Mapping):
        yield error("invalid_shape", "", "A graph must be an object with `nodes` and `connections`.")
        return
    hidden = _hidden_problem(document)
    if hidden:
        yield hidden
        return
    for name, most, parts in (("nodes", MAX_NODES, _NODE), ("connections", MAX_CONNECTIONS, _CONNECTION)):
        items = document.get(name, [])
        if not isinstance(items, list):
            yield error("invalid_shape", name, f"`{name}` must be a list.")
        elif len(items) > most:
            yield error("too_many", name, f"A graph may have {most:,} {name}; this one has {len(items):,}.")
        else:
            for index, item in enumerate(items):
                yield from _item_problems(item, f"{name}.{index}", parts)


def _item_problems(item: Json, where: str, parts: Mapping[str, Check]) -> Iterator[Finding]:
    if not isinstance(item, Mapping):
        yield error("invalid_shape", where, "This must be an object.")
        return
    owner = item.get("id") if isinstance(item.get("id"), str) else None
    for name, check in parts.items():
        sentence = check(item.get(name))
        if sentence:
            on = {"node_id": owner} if parts is _NODE else {"connection_id": owner}
            yield error("invalid_shape", f"{where}.{name}", f"`{name}` {sentence}", **on)


def _hidden_problem(document: Json) -> Finding | None:
    """The first value anywhere that no database keeps: NUL, half a character, no number, or too deep."""
    level: list[tuple[str, Json]] = [("", document)]
    for _ in range(MAX_DEPTH):
        below: list[tuple[str, Json]] = []
        for path, value in level:
            if isinstance(value, Mapping):
                below.extend((f"{path}.{key}"[:200] if path else str(key)[:200], item) for key, item in value.items())
                below.extend((path, key) for key in value)
            elif isinstance(value, list):
                below.extend((f"{path}.{index}", item) for index, item in enumerate(value))
            elif sentence := _unstorable(value):
                return error("invalid_value", path.replace("\x00", "").encode("utf-8", "replace").decode(), sentence)
        if not below:
            return None
        level = below
    return error("too_deep", level[0][0].partition(".")[0], f"The graph is nested more than {MAX_DEPTH} levels deep.")


def _unstorable(value: Json) -> str | None:
    if isinstance(value, str):
        if "\x00" in value:
            return "A text may not hold the character NUL."
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            return "A text holds half a character."
    elif isinstance(value, float) and not math.isfinite(value):
        return "This is not a number."
    elif isinstance(value, int) and abs(value) >= 10**300:
        return "This number is too large."
    elif value is not None and not isinstance(value, bool | int | float):
        return "This is not JSON."
    return None


def _identifier(value: Json) -> str | None:
    if not isinstance(value, str) or not 1 <= len(value) <= LONGEST_ID or not value.isprintable() or not value.strip():
        return f"must be a text of 1 to {LONGEST_ID} printable characters."
    return None


def _text(longest: int) -> Check:
    def check(value: Json) -> str | None:
        if not isinstance(value, str) or not value or len(value) > longest:
            return f"must be a text of 1 to {longest} characters."
        return None

    return check


def _position(value: Json) -> str | None:
    right = isinstance(value, Mapping) and all(_is_number(value.get(axis, 0)) for axis in ("x", "y"))
    return None if right else "must be an object with the numbers x and y."


def _retry(value: Json) -> str | None:
    names = ("maxAttempts", "initialInterval", "backoff", "maxInterval")
    right = isinstance(value, Mapping) and all(value.get(n) is None or _is_number(value[n]) for n in names)
    return None if right else "must be an object with the numbers maxAttempts, initialInterval, backoff, maxInterval."


def _seconds(value: Json) -> str | None:
    return None if _is_number(value) else "must be a number of seconds."


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _optional(check: Check) -> Check:
    return lambda value: None if value is None or value == "" else check(value)


_NODE: Mapping[str, Check] = {
    "id": _identifier,
    "type": _text(LONGEST_ID),
    "label": _optional(_text(LONGEST_LABEL)),
    "position": lambda value: None if value is None else _position(value),
    "config": lambda value: None if value is None or isinstance(value, Mapping) else "must be an object.",
    "parentId": _optional(_identifier),
    "retry": lambda value: None if value is None else _retry(value),
    "timeout": lambda value: None if value is None else _seconds(value),
    "deadline": lambda value: None if value is None else _seconds(value),
    "onError": _optional(_text(20)),
    "onCrash": _optional(_text(20)),
    "sideEffects": _optional(_text(20)),
}
_CONNECTION: Mapping[str, Check] = {
    "id": _optional(_text(200)),
    "from": _identifier,
    "to": _identifier,
    "fromPort": _optional(_text(LONGEST_ID)),
}
