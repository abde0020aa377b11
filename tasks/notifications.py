"""Tasks that send notifications. The message carries an id; the outbox row has content, recipient and attempts."""

from uuid import UUID

from celery import shared_task

from models.db import session_scope
from models.services.accounts import password_resets
from models.services.notifications import notifications
from models.services.notifications.push_receipts import MAX_TICKETS
from tasks.bootstrap import push, sender
from tasks.queue import TaskName, enqueue, enqueue_mails
from workers.notifications import receipts


@shared_task(name=TaskName.SEND_NOTIFICATION)
def send_notification(notification_id: str) -> None:
    """Send one notification. Safe to deliver twice: one worker claims the row, and sent ones are skipped."""
    sender().send(UUID(notification_id))


@shared_task(name=TaskName.NOTIFICATION_SWEEP, send_events=False)
def notification_sweep() -> None:
    """Enqueue due notifications (new, due again, or left by a dead sender) and lost password resets."""
    with session_scope() as session:
        enqueue_mails(session, notifications.due(session))
        for reset_id in password_resets.unsent(session):
            enqueue(session, TaskName.SEND_RESET_MAIL, reset_id=reset_id)


@shared_task(name=TaskName.SEND_RESET_MAIL)
def send_reset_mail(reset_id: str) -> None:
    """Look up the account of a password reset and enqueue its mail, if there is one. Safe to deliver twice."""
    with session_scope() as session:
        enqueue_mails(session, password_resets.send_reset_mail(session, UUID(reset_id)))


@shared_task(name=TaskName.PUSH_RECEIPTS, send_events=False)
def push_receipts() -> None:
    """Fetch the receipts of pushes that Expo accepted a while ago, in batches. Safe to deliver twice."""
    while receipts.collect(push()) == MAX_TICKETS:
        pass
