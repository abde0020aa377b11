"""Alerts: problems about money that a person has to decide."""

from uuid import UUID

import click

from manage.deployment import record, transaction
from manage.groups import ManageGroup, output
from models.services.operations import alerts as billing_alerts


@click.group(cls=ManageGroup)
def alerts() -> None:
    """List and resolve billing alerts."""


@alerts.command(name="list")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
def list_alerts(limit: int) -> None:
    """List open alerts, oldest first."""
    with transaction() as session:
        found = billing_alerts.list_open(session, limit=limit)
    rows = [
        {
            "id": alert.id,
            "kind": alert.kind,
            "subject": alert.subject,
            "user": alert.user_id,
            "createdAt": alert.created_at,
            "detail": alert.detail,
        }
        for alert in found
    ]
    output().table(rows, empty="There are no open alerts.")


@alerts.command()
@click.argument("alert_id", type=click.UUID)
def resolve(alert_id: UUID) -> None:
    """Close an alert; a repeat changes nothing."""
    with transaction() as session:
        alert, was_open = billing_alerts.resolve(session, alert_id)
        if was_open:
            record(session, "alert.resolved", alert.user_id, alert=str(alert.id), kind=alert.kind)
    word = "is closed" if was_open else "was closed before"
    output().document({"id": alert.id, "resolvedAt": alert.resolved_at}, f"The alert {alert.id} {word}.")
