"""What a run writes down: findings as they are made, each with its repair, and the counts at the end."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from models.db import session_scope
from models.reconciliation import Action
from models.services import reconciliation
from models.services.reconciliation import Found

log = structlog.get_logger(__name__)


@dataclass
class Journal:
    """The findings of one run."""

    run_id: UUID
    dry_run: bool
    checked: int = 0
    found: list[Found] = field(default_factory=list)

    @property
    def repaired(self) -> Action:
        """What a repair is called in this run."""
        return Action.REPAIRABLE if self.dry_run else Action.REPAIRED

    def add(self, session: Session, found: Found) -> None:
        """Keep a finding in the transaction of its repair, so that there is never one without the other."""
        reconciliation.record(session, self.run_id, found)

    def note(self, found: Found) -> None:
        """Say it once it is stored."""
        self.found.append(found)
        log.warning(
            "reconciliation_finding",
            check=found.check,
            subject=found.subject,
            problem=found.problem,
            action=found.action.value,
        )

    def write(self, found: Found) -> None:
        """Keep a finding that has no repair."""
        with session_scope() as session:
            self.add(session, found)
        self.note(found)


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[Any]]:
    """What changed, as {what: [before, after]}."""
    names = sorted(before.keys() | after.keys())
    return {name: [before.get(name), after.get(name)] for name in names if before.get(name) != after.get(name)}
