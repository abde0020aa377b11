"""The root of the command line."""

import click

from manage.commands import (
    alerts,
    backups,
    credits,
    dead_letters,
    doctor,
    keys,
    migrations,
    queues,
    reconciliation,
    runs,
    schedules,
    users,
    workers,
)
from manage.groups import ManageGroup
from manage.output import Output


@click.group(cls=ManageGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Operate a deployment of AgentForge. Settings are read from the environment, as in every other process."""
    ctx.ensure_object(Output)


GROUPS = (
    users.users,
    credits.credits,
    runs.runs,
    schedules.schedules,
    queues.queues,
    dead_letters.dead_letters,
    alerts.alerts,
)
for group in GROUPS:
    cli.add_command(group)
for single in (doctor.doctor, workers.workers, reconciliation.reconcile, keys.keys, backups.backup, backups.restore):
    cli.add_command(single)
cli.add_command(migrations.migrate)
