"""Sends what users are told. The message carries an id; the outbox says what, to whom, and how often it was tried."""

from uuid import UUID

from celery_config import app
from models.db import session_scope
from models.services import notifications
from tasks.lifecycle import sender
from tasks.queue import TaskName, enqueue


@app.task(name=TaskName.SEND_NOTIFICATION)
def send_notification(notification_id: str) -> None:
    """Send one message. Safe to deliver twice: it is claimed, and sent ones are left alone."""
    sender().send(UUID(notification_id))


@app.task(name=TaskName.NOTIFICATION_SWEEP)
def notification_sweep() -> None:
    """Ring for messages that wait to be sent: new ones, those due again, and those whose sender died."""
    with session_scope() as session:
        for notification_id in notifications.due(session):
            enqueue(session, TaskName.SEND_NOTIFICATION, notification_id=notification_id)
