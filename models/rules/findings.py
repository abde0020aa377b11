"""What the linter says about a graph: findings, each with a code, a place and a sentence."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """An error forbids a run; a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Finding:
    """One thing that the linter found; `field` is a dotted path such as `nodes.3.config.url`."""

    severity: Severity
    code: str
    message: str
    field: str
    node_id: str | None = None
    connection_id: str | None = None


def error(
    code: str, field: str, message: str, *, node_id: str | None = None, connection_id: str | None = None
) -> Finding:
    """A finding that forbids a run."""
    return Finding(Severity.ERROR, code, message, field, node_id, connection_id)


def warning(
    code: str, field: str, message: str, *, node_id: str | None = None, connection_id: str | None = None
) -> Finding:
    """A finding that is worth a look."""
    return Finding(Severity.WARNING, code, message, field, node_id, connection_id)
