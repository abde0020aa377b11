"""Paths that an expression reads, such as `nodes.a.output.text`: only their values enter the sandbox."""

import re
from collections.abc import Mapping, Sequence

from models.errors import ExpressionFailed
from models.serialization import Json

Chain = tuple[str | int, ...]

NAMES = ("input", "data", "nodes", "item", "index", "execution", "accumulator")
MAX_ID_LENGTH = 64
_ROOT = re.compile(rf"\s*({'|'.join(NAMES)})(?![\w$])")
_PART = re.compile(r"""\.([A-Za-z_$][\w$]*)|\[(\d{1,9})\]|\["([^"\\\n]*)"\]|\['([^'\\\n]*)'\]""")
_NODES = re.compile(r"(?<![\w.])nodes\s*\??\.\s*")
_INSIDE_WORD = re.compile(r"\w\w")


def plain_path(source: str, node_ids: frozenset[str]) -> Chain:
    """The path that `source` consists of; empty if it is more than a path."""
    root = _ROOT.match(source)
    if root is None:
        return ()
    chain: list[str | int] = [root[1]]
    at, end = root.end(), len(source.rstrip())
    if root[1] == "nodes" and source.startswith(".", at) and (known := _longest_id(source, at + 1, node_ids)):
        chain.append(known)
        at += 1 + len(known)
    while at < end and (part := _PART.match(source, at)):
        name, index, *quoted = part.groups()
        chain.append(int(index) if index is not None else next(p for p in (name, *quoted) if p is not None))
        at = part.end()
    return tuple(chain) if at == end else ()


def written_ids(source: str, node_ids: frozenset[str]) -> frozenset[str]:
    """The ids that follow `nodes.` in `source` and are not identifiers."""
    found = (_longest_id(source, match.end(), node_ids) for match in _NODES.finditer(source))
    return frozenset(known for known in found if known and not known.isidentifier())


def _longest_id(source: str, at: int, node_ids: frozenset[str]) -> str | None:
    """The longest known id written at `at`; the number of look-ups does not depend on that of ids."""
    for length in range(min(MAX_ID_LENGTH, len(source) - at), 0, -1):
        candidate = source[at : at + length]
        if candidate in node_ids and not _INSIDE_WORD.match(source, at + length - 1):
            return candidate
    return None


def narrowed(variables: Mapping[str, Json], chains: Sequence[Chain]) -> dict[str, Json]:
    """The variables reduced to the values at the chains, so that the size of other values does not matter."""
    seen: dict[str, Json] = {}
    whole: set[Chain] = set()
    for chain in chains:  # shorter ones first
        if chain[0] not in variables or any(chain[: len(prefix)] == prefix for prefix in whole):
            continue
        source: Json = variables
        target: dict[Json, Json] = seen
        for depth, name in enumerate(chain, start=1):
            if not isinstance(source, Mapping) or name not in source:
                break
            source = source[name]
            if depth == len(chain) or not isinstance(source, Mapping):
                target[name] = source
                whole.add(chain[:depth])
                break
            target = target.setdefault(name, {})
    return seen


def resolve(variables: Mapping[str, Json], path: Chain) -> Json:
    """The value at a plain path, as in JavaScript; raises `ExpressionFailed` if there is none."""
    value: Json = variables
    for depth, name in enumerate(path):
        if isinstance(value, Mapping) and name in value:
            value = value[name]
        elif isinstance(value, list | tuple | str) and (found := _part(value, name)) is not None:
            value = found[0]
        else:
            raise ExpressionFailed(_missing(path, depth, value))
    return dict(value) if isinstance(value, Mapping) and not isinstance(value, dict) else value


def _part(value: Sequence[Json], name: str | int) -> tuple[Json] | None:
    """An item of a list, a character of a text, or the length of either; None if there is no such part."""
    units = value.encode("utf-16-le") if isinstance(value, str) else b""  # JavaScript counts UTF-16 units
    length = len(units) // 2 if isinstance(value, str) else len(value)
    if name == "length":
        return (length,)
    if not str(name).isdigit() or int(name) >= length:
        return None
    at = int(name)
    return (units[2 * at : 2 * at + 2].decode("utf-16-le", "replace") if isinstance(value, str) else value[at],)


def shown(path: Chain) -> str:
    """A path in the notation of expressions."""
    return "".join(f"[{name}]" if isinstance(name, int) else f".{name}" for name in path)[1:]


def _missing(path: Chain, depth: int, value: Json) -> str:
    """The sentence for a `value` without `path[depth]`."""
    name, before = path[depth], shown(path[:depth])
    if not depth:
        return f"There is no `{name}` here; it exists inside a loop, or for each item of a list, only."
    if isinstance(value, Mapping):
        return f"There is no `{name}` in {before}."
    if value is None:
        return f"{before} is null, so it has no `{name}`."
    if isinstance(value, list | tuple) and str(name).isdigit():
        return f"{before} has {len(value)} items, so there is no [{name}]; the first is [0]."
    if isinstance(value, list | tuple):
        return f"{before} is a list, so it has no `{name}`; take one item with [0], or use map."
    return f"{before} is no object, so it has no `{name}`."
