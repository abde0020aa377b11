"""Checks that a document has the shape of a graph. Documents that fail are not stored, not even as drafts."""

import math
from collections.abc import Callable, Iterator, Mapping

from models.rules.graph.findings import Finding, error
from models.serialization import Json

MAX_NODES = 5_000
MAX_CONNECTIONS = 20_000
MAX_DEPTH = 32
MAX_ID_LENGTH = 64
MAX_LABEL_LENGTH = 200
MAX_FINDINGS = 100  # reported

Check = Callable[[Json], str | None]  # returns a sentence, or None if the value is valid


def check_shape(document: Json) -> tuple[Finding, ...]:
    """The errors in the shape of `document`, at most `MAX_FINDINGS`; never raises, for any document."""
    found = []
    for finding in _problems(document):
        found.append(finding)
        if len(found) == MAX_FINDINGS:
            break
    return tuple(found)


def _problems(document: Json) -> Iterator[Finding]:
    if not isinstance(document, Mapping):
        yield error("invalid_shape", "", "A graph must be an object with `nodes` and `connections`.")
        return
    unstorable = _unstorable_value(document)
    if unstorable:
        yield unstorable
        return
    for name, max_findings, parts in (("nodes", MAX_NODES, _NODE), ("connections", MAX_CONNECTIONS, _CONNECTION)):
        items = document.get(name, [])
        if not isinstance(items, list):
            yield error("invalid_shape", name, f"`{name}` must be a list.")
        elif len(items) > max_findings:
            yield error("too_many", name, f"A graph may have {max_findings:,} {name}; this one has {len(items):,}.")
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


def _unstorable_value(document: Json) -> Finding | None:
    """The first value that the database cannot store: NUL, a lone surrogate, not a number, or nested too deeply.

    Only if there is one, a second pass builds paths, because there may be hundreds of thousands of values.
    """
    return _first_unstorable(document) if _has_unstorable(document) else None


def _has_unstorable(document: Json) -> bool:
    level: list[Json] = [document]
    for _ in range(MAX_DEPTH):
        below: list[Json] = []
        for value in level:
            if isinstance(value, Mapping):
                below.extend(value)
                below.extend(value.values())
            elif isinstance(value, list):
                below.extend(value)
            elif value is not None and not isinstance(value, bool) and _unstorable(value):
                return True
        if not below:
            return False
        level = below
    return True


def _first_unstorable(document: Json) -> Finding | None:
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
            return "A text must not contain the character NUL."
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            return "A text is not valid Unicode: it contains half of a surrogate pair."
    elif isinstance(value, float) and not math.isfinite(value):
        return "This is not a number."
    elif isinstance(value, int) and abs(value) >= 10**300:
        return "This number is too large."
    elif value is not None and not isinstance(value, bool | int | float):
        return "This is not JSON."
    return None


def _identifier(value: Json) -> str | None:
    if (
        not isinstance(value, str)
        or not 1 <= len(value) <= MAX_ID_LENGTH
        or not value.isprintable()
        or not value.strip()
    ):
        return f"must be a text of 1 to {MAX_ID_LENGTH} printable characters."
    return None


def _text(max_length: int) -> Check:
    def check(value: Json) -> str | None:
        if not isinstance(value, str) or not value or len(value) > max_length:
            return f"must be a text of 1 to {max_length} characters."
        return None

    return check


def _position(value: Json) -> str | None:
    is_valid = isinstance(value, Mapping) and all(_is_number(value.get(axis, 0)) for axis in ("x", "y"))
    return None if is_valid else "must be an object with the numbers x and y."


def _retry(value: Json) -> str | None:
    names = ("maxAttempts", "initialInterval", "backoff", "maxInterval")
    is_valid = isinstance(value, Mapping) and all(value.get(n) is None or _is_number(value[n]) for n in names)
    return (
        None if is_valid else "must be an object with the numbers maxAttempts, initialInterval, backoff, maxInterval."
    )


def _seconds(value: Json) -> str | None:
    return None if _is_number(value) else "must be a number of seconds."


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _optional(check: Check) -> Check:
    return lambda value: None if value is None or value == "" else check(value)


_NODE: Mapping[str, Check] = {
    "id": _identifier,
    "type": _text(MAX_ID_LENGTH),
    "label": _optional(_text(MAX_LABEL_LENGTH)),
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
    "fromPort": _optional(_text(MAX_ID_LENGTH)),
}
