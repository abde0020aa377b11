"""Schedules of all users: list them, pause one, and let it go on."""

from uuid import UUID

import click

from manage.deployment import record, transaction
from manage.groups import ManageGroup, output
from models.services.schedules import all_schedules


@click.group(cls=ManageGroup)
def schedules() -> None:
    """List, pause and resume schedules of workflows."""


@schedules.command(name="list")
@click.option("--user", "email", help="Only schedules of the user with this address.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
def list_schedules(email: str | None, limit: int) -> None:
    """List schedules, the next times first."""
    with transaction() as session:
        found = all_schedules.find(session, email=email, limit=limit)
    rows = [
        {
            "id": schedule.id,
            "user": owner.email,
            "workflow": schedule.workflow_id,
            "cron": schedule.cron,
            "timeZone": schedule.time_zone,
            "nextRunAt": schedule.next_run_at,
            "lastRunAt": schedule.last_run_at,
            "refusals": schedule.refusals,
        }
        for schedule, owner in found
    ]
    output().table(rows, empty="No schedule matches.")


@schedules.command()
@click.argument("schedule_id", type=click.UUID)
def pause(schedule_id: UUID) -> None:
    """Switch a schedule off; its owner can switch it on again."""
    _switch(schedule_id, on=False)


@schedules.command()
@click.argument("schedule_id", type=click.UUID)
def resume(schedule_id: UUID) -> None:
    """Switch a schedule on again, from its next time on."""
    _switch(schedule_id, on=True)


def _switch(schedule_id: UUID, *, on: bool) -> None:
    with transaction() as session:
        schedule, changed = all_schedules.switch(session, schedule_id, on=on)
        if changed:
            action = "schedule.resumed" if on else "schedule.paused"
            record(session, action, schedule.user_id, schedule=str(schedule_id))
    word = "is" if changed else "was"
    document = {"id": schedule_id, "enabled": on, "nextRunAt": schedule.next_run_at}
    output().document(
        document, f"The schedule {schedule_id} {word} {'on' if on else 'off'}{'' if changed else ' before'}."
    )
