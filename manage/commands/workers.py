"""Workers."""

import click

from manage.deployment import transaction
from manage.groups import ManageCommand, output
from models.services.operations import worker_heartbeats
from tasks.queue import QueueName


@click.command(cls=ManageCommand)
def workers() -> None:
    """List the worker processes: status, queues, and the number of runs that each drives."""
    with transaction() as session:
        seen = worker_heartbeats.overview(session, QueueName).workers
        driven = worker_heartbeats.driven(session)
    rows = [
        {
            "name": worker.name,
            "process": worker.process,
            "status": worker.status,
            "running": driven.get(worker.process, 0),
            "startedAt": worker.started_at,
            "seenAt": worker.seen_at,
            "lastMessageAt": worker.last_message_at,
            "queues": worker.queues,
        }
        for worker in seen
    ]
    output().table(rows, empty="No worker reported within the last hour.")
