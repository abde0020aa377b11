"""Findings of the linter about a graph, each with a code, a location and a sentence that may suggest another name."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

MAX_HINTS = 20  # per graph
MAX_CANDIDATES = 500
MAX_NAME_LENGTH = 64  # characters that are compared and shown


class Severity(StrEnum):
    """The severity of a finding; a graph with errors cannot run."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Finding:
    """An error or warning of the linter; `field` is a dotted path such as `nodes.3.config.url`."""

    severity: Severity
    code: str
    message: str
    field: str
    node_id: str | None = None
    connection_id: str | None = None


def error(
    code: str, field: str, message: str, *, node_id: str | None = None, connection_id: str | None = None
) -> Finding:
    """Make an error, with which a graph cannot run."""
    return Finding(Severity.ERROR, code, message, field, node_id, connection_id)


def warning(
    code: str, field: str, message: str, *, node_id: str | None = None, connection_id: str | None = None
) -> Finding:
    """Make a warning."""
    return Finding(Severity.WARNING, code, message, field, node_id, connection_id)


class Hints:
    """Suggests existing names for unknown ones. Comparing is slow, so only the first few unknown names get one."""

    def __init__(self) -> None:
        self._remaining = MAX_HINTS

    def nearest(self, name: str, known: Iterable[str]) -> str | None:
        """The most similar known name; None if none is similar, or `MAX_HINTS` were given."""
        if self._remaining <= 0:
            return None
        self._remaining -= 1
        near = difflib.get_close_matches(name[:MAX_NAME_LENGTH], list(islice(known, MAX_CANDIDATES)), 1)
        return near[0] if near else None
