"""Finds private data in a graph before it is published with all its config."""

import re
from collections.abc import Iterator, Mapping

from models.errors import FieldError
from models.serialization import Json

SECRET = re.compile(r"\b(?:sk|pk|rk|ghp|gho|xox[abp])[-_][A-Za-z0-9_-]{16,}|\bAKIA[A-Z0-9]{16}\b|\bBearer\s+\S{20,}")
_SECRET_FIELD = re.compile(r"authorization|cookie|.*(?:api[-_]?key|token|secret|password).*", re.IGNORECASE)
_LOOKS_SENSITIVE = "This looks like a secret, and it would become public."
_OWN = "Refers to a workflow of yours, which other users do not have."


def looks_secret(value: Json) -> bool:
    """Whether a text contains something like a key; texts that are computed at run time (`{{ }}`) do not count."""
    return isinstance(value, str) and "{{" not in value and SECRET.search(value) is not None


def private_parts(graph: Mapping[str, Json]) -> list[FieldError]:
    """The parts to be removed from a linted graph before other users may see it."""
    found = []
    for number, node in enumerate(graph["nodes"]):
        config = node.get("config") or {}
        if node.get("type") == "subworkflow":
            found.append(FieldError(f"nodes.{number}.config.workflowId", _OWN))
        found += [FieldError(f"nodes.{number}.config.{path}", _LOOKS_SENSITIVE) for path in _secrets(config, "")]
    return found


def _secrets(value: Json, path: str) -> Iterator[str]:
    """The dotted paths of texts that look like a secret, by themselves or by their name."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _secrets(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _secrets(inner, f"{path}.{index}")
    elif looks_secret(value) or (_is_text(value) and _SECRET_FIELD.fullmatch(path.rpartition(".")[2])):
        yield path


def _is_text(value: Json) -> bool:
    return isinstance(value, str) and bool(value.strip()) and "{{" not in value
