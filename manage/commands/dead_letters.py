"""Dead letters: what is not retried automatically."""

from collections.abc import Sequence
from uuid import UUID

import click

from manage.deployment import record, transaction
from manage.groups import ManageGroup, output
from models.services.executions import dead_letters as letters
from models.services.stripe import stripe_events
from settings import process_settings
from tasks.queue import TaskName, enqueue, enqueue_new_run


@click.group(cls=ManageGroup, name="dead-letters")
def dead_letters() -> None:
    """List and retry Stripe events that failed too often, and runs that crashed their workers."""


@dead_letters.command(name="list")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
def list_letters(limit: int) -> None:
    """List dead letters, newest first."""
    with transaction() as session:
        found = letters.dead_letters(session, limit=limit)
    rows = [
        {
            "id": letter.id,
            "kind": letter.kind,
            "type": letter.type,
            "attempts": letter.attempts,
            "receivedAt": letter.received_at,
            "reason": letter.reason,
        }
        for letter in found
    ]
    output().table(rows, empty="There are no dead letters.")


@dead_letters.command()
@click.argument("letter_id")
@click.option("--repeat", multiple=True, help="A node with `sideEffects: once` that may act again.")
def retry(letter_id: str, repeat: Sequence[str]) -> None:
    """Retry a dead letter: an event from the beginning, a run as a new one at its owner's cost."""
    try:
        run_id = UUID(letter_id)
    except ValueError:
        _retry_event(letter_id)
        return
    with transaction() as session:
        new = letters.retry(session, run_id, repeat=repeat, limits=process_settings().run_limits).execution
        record(session, "dead_letter.retried", new.user_id, execution=letter_id, retried_as=str(new.id))
        enqueue_new_run(session, new)
    output().document({"id": letter_id, "retriedAs": new.id}, f"{letter_id} is retried as the run {new.id}.")


def _retry_event(event_id: str) -> None:
    with transaction() as session:
        stripe_events.retry_dead(session, event_id)
        record(session, "dead_letter.retried", event=event_id)
        enqueue(session, TaskName.HANDLE_STRIPE_EVENT, event_id=event_id)
    output().document({"id": event_id}, f"{event_id} is handled again.")
