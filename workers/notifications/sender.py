"""Sends one message of the outbox: claimed and counted first, sent without a transaction, its outcome recorded after.

A sender that dies in between is followed by another, so a message may come twice; it is tried a few times at most.
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from models.db import session_scope
from models.notification import Channel, Notification, NotificationKind
from models.services import notifications, password_resets
from models.user import User
from workers.gateways.base import CallFailed
from workers.gateways.mail import Mail, MailGateway
from workers.gateways.push import Push, PushGateway
from workers.notifications.texts import Message, compose

log = structlog.get_logger(__name__)


class Sender:
    """Whoever has a message's id may ask to send it; safe for many threads and processes at once."""

    def __init__(self, mail: MailGateway, push: PushGateway, *, app_url: str = "") -> None:
        self._mail = mail
        self._push = push
        self._app_url = app_url.rstrip("/")

    def send(self, notification_id: UUID) -> bool:
        """Send a message unless it was sent, is being sent, or was tried enough; whether it is on its way now."""
        with session_scope() as session:
            row = notifications.claim(session, notification_id)
            if row is None:
                return False
            user = session.get_one(User, row.user_id)
            devices = notifications.devices(session, user.id) if row.channel is Channel.PUSH else ()
            secrets = self._secrets(session, row)
        try:
            self._deliver(row, user, devices, secrets)
        except CallFailed as failure:
            self._not_sent(row, f"{failure.code}: {failure.detail}", for_good=not failure.retryable)
            return False
        except Exception as error:  # of ours, such as a payload that nobody can read: a few tries, then it is kept
            log.exception("notification_broke", notification_id=row.id, kind=row.kind)
            self._not_sent(row, type(error).__name__, for_good=False)
            return False
        with session_scope() as session:
            notifications.sent(session, row.id)
        return True

    def _secrets(self, session: Session, row: Notification) -> Mapping[str, str] | None:
        """What the words need and no row has; None when the message is not wanted any more."""
        if row.kind is not NotificationKind.PASSWORD_RESET:
            return {}
        token = password_resets.issue(session, UUID(row.payload["resetId"]))
        # Behind the sign that no browser sends on: the token stands in no server's log.
        return None if token is None else {"url": f"{self._app_url}/reset-password#{token}"}

    def _deliver(
        self, row: Notification, user: User, devices: Sequence[str], secrets: Mapping[str, str] | None
    ) -> None:
        if secrets is None:
            raise CallFailed("not_wanted", "It is not wanted any more.")
        message = compose(row.kind, {**row.payload, **secrets}, user.name)
        if row.channel is Channel.EMAIL:
            address = row.payload.get("to", user.email)  # an old address is told that it is one
            # A mail that is sent again has the same id, and readers see one; not so when it says something else.
            mail_id = f"{row.id}.{row.attempts}" if secrets else str(row.id)
            self._mail.send(Mail(mail_id, address, message.subject, message.body))
        else:
            self._deliver_to_devices(row, message, devices)

    def _deliver_to_devices(self, row: Notification, message: Message, devices: Sequence[str]) -> None:
        """Every device is tried; one that is gone is forgotten. It counts as sent when any device took it."""
        data = {"notificationId": str(row.id), "kind": row.kind.value}
        body = message.body.split("\n\n")[1]  # between the greeting and the signature: what it is about
        reached, failures = False, list[CallFailed]()
        for device in devices:
            try:
                self._push.send(Push(device, message.subject, body, data))
                reached = True
            except CallFailed as failure:
                failures.append(failure)
                if failure.code == "push_device_gone":
                    with session_scope() as session:
                        notifications.remove_device(session, device)
        if not reached:
            nobody = CallFailed("push_device_gone", "There is no device any more that takes messages.")
            raise next((failure for failure in failures if failure.retryable), nobody)

    def _not_sent(self, row: Notification, reason: str, *, for_good: bool) -> None:
        log.warning(
            "notification_not_sent", notification_id=row.id, channel=row.channel, reason=reason, for_good=for_good
        )
        with session_scope() as session:
            notifications.failed(session, row.id, reason, for_good=for_good)
