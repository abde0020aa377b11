"""Sends what users are told. The message carries an id; the outbox says what, to whom, and how often it was tried."""

from uuid import UUID

from celery_config import app
from models.db import session_scope
from models.services import notifications, password_resets
from tasks.lifecycle import sender
from tasks.queue import TaskName, enqueue


@app.task(name=TaskName.SEND_NOTIFICATION)
def send_notification(notification_id: str) -> None:
    """Send one message. Safe to deliver twice: it is claimed, and sent ones are left alone."""
    sender().send(UUID(notification_id))


@app.task(name=TaskName.NOTIFICATION_SWEEP)
def notification_sweep() -> None:
    """Ring for messages that wait to be sent: new, due again, or left by a sender that died; and for lost wishes."""
    with session_scope() as session:
        for notification_id in notifications.due(session):
            enqueue(session, TaskName.SEND_NOTIFICATION, notification_id=notification_id)
        for reset_id in password_resets.forgotten(session):
            enqueue(session, TaskName.ANSWER_RESET, reset_id=reset_id)


@app.task(name=TaskName.ANSWER_RESET)
def answer_reset(reset_id: str) -> None:
    """Find out who forgot their password, if anybody did, and let the mail go out. Safe to deliver twice."""
    with session_scope() as session:
        for notification_id in password_resets.answer(session, UUID(reset_id)):
            enqueue(session, TaskName.SEND_NOTIFICATION, notification_id=notification_id)
