"""The findings log of a run: findings as they are made, each with its repair, and the counts at the end.

A finding that needs an operator is notified once; while it is unchanged, later runs only count it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from models.db import session_scope
from models.services.reconciliation import open_findings, reconciliation
from models.services.reconciliation.open_findings import OpenFinding
from models.services.reconciliation.reconciliation import Found
from models.tables import Action

log = structlog.get_logger(__name__)


@dataclass
class FindingsLog:
    """The findings of one run."""

    run_id: UUID
    dry_run: bool
    checked: int = 0
    found: list[Found] = field(default_factory=list)
    notified: dict[str, OpenFinding] = field(
        default_factory=dict
    )  # by key: findings that earlier runs notified and that are still open
    _again: set[str] = field(default_factory=set)  # keys of the findings of this run

    @property
    def repaired(self) -> Action:
        """The action of a repair in this run: repaired, or repairable in a dry run."""
        return Action.REPAIRABLE if self.dry_run else Action.REPAIRED

    def add(self, session: Session, found: Found) -> None:
        """Store a finding in the transaction of its repair, so that neither exists without the other."""
        reconciliation.record(session, self.run_id, found)

    def note(self, found: Found) -> None:
        """Log a finding after it is stored."""
        self.found.append(found)
        log.warning(
            "reconciliation.finding",
            check=found.check,
            subject=found.subject,
            problem=found.problem,
            action=found.action.value,
        )

    def write(self, found: Found) -> None:
        """Store a finding that has no repair."""
        with session_scope() as session:
            self.add(session, found)
        self.note(found)

    def report(self, found: Found) -> None:
        """Notify an operator of a finding, unless that was done before; a dry run shows it in any case."""
        key = open_findings.key(found)
        if key in self._again:  # a duplicate within this run
            return
        self._again.add(key)
        if self.dry_run:
            self.write(found)
        elif key not in self.notified:
            with session_scope() as session:
                self.add(session, found)
                open_findings.notify(session, found)
            self.note(found)

    def compared(self, check: str, subject: str | None = None) -> None:
        """Close notified findings of an object, or of all objects of a check, that this run did not find again."""
        resolved = [
            one
            for one in self.notified.values()
            if one.check == check and subject in (None, one.subject) and one.key not in self._again
        ]
        if resolved and not self.dry_run:
            with session_scope() as session:
                for one in resolved:
                    open_findings.close(session, one)
                    del self.notified[one.key]
                    log.info("reconciliation.resolved", check=check, subject=one.subject)


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The changes, as {name: [before, after]}."""
    names = sorted(before.keys() | after.keys())
    return {name: [before.get(name), after.get(name)] for name in names if before.get(name) != after.get(name)}
