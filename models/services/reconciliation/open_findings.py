"""Alerts for findings of reconciliation that a person has to decide: raised once, closed when the finding disappears.

An alert keeps its key as long as the finding exists, so that later runs do not raise it again, even if an administrator
resolved it. When the finding disappears the key is released, and a new occurrence raises a new alert.
"""

from dataclasses import dataclass
from hashlib import sha256

from sqlalchemy import String, cast, func, literal, select, update
from sqlalchemy.orm import Session

from models.services.operations import alerts
from models.services.reconciliation.reconciliation import Found
from models.tables import BillingAlert

KIND = "reconciliation"


@dataclass(frozen=True)
class OpenFinding:
    """A finding with an alert that was not closed since."""

    key: str
    check: str
    subject: str


def key(found: Found) -> str:
    """The key of a finding; includes the detail except for the ledger, where the sums in it change as users spend."""
    detail = "" if found.check == "ledger" else found.detail
    words = (found.check, found.subject, found.problem, detail)
    return f"{KIND}:{sha256(chr(0).join(words).encode()).hexdigest()[:40]}"


def list_open(session: Session) -> list[OpenFinding]:
    """All findings with alerts that are not closed, whether or not an administrator resolved them."""
    notified = select(BillingAlert).where(BillingAlert.kind == KIND, BillingAlert.key.startswith(f"{KIND}:"))
    return [OpenFinding(row.key, row.data["check"], row.subject) for row in session.scalars(notified)]


def notify(session: Session, found: Found) -> bool:
    """Raise the alert of a finding; returns False if it was raised before and is not closed."""
    return alerts.add(
        session,
        kind=KIND,
        subject=found.subject,
        detail=f"{found.check}: {found.problem}: {found.detail}",
        key=key(found),
        data={"check": found.check, "problem": found.problem},
    )


def close(session: Session, finding: OpenFinding) -> None:
    """Resolve the alert of a finding that a comparison did not find again, and release its key."""
    alert = update(BillingAlert).where(BillingAlert.key == finding.key)
    values = {
        "resolved_at": func.coalesce(BillingAlert.resolved_at, func.now()),
        "key": literal("healed:") + cast(BillingAlert.id, String),
    }
    session.execute(alert.values(values).execution_options(synchronize_session=False))
