"""Send one message of the outbox: claim and count it, send it without a transaction, record the outcome.

If a sender dies in between another one repeats it, so a message may be sent twice; the number of tries is limited.
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from models.db import session_scope
from models.services.accounts import data_exports, email_links, password_resets
from models.services.notifications import notifications, preferences, push_receipts
from models.tables import Channel, Notification, NotificationKind, User
from workers.gateways.base import CallFailed
from workers.gateways.mail import Mail, MailGateway
from workers.gateways.push import Push, PushGateway
from workers.notifications.texts import Message, compose

log = structlog.get_logger(__name__)

PAGES = {NotificationKind.EMAIL_LINK: "verify", NotificationKind.EMAIL_CHANGED: "undo-email"}


NAMELESS = frozenset([NotificationKind.EMAIL_LINK, NotificationKind.ACCOUNT_DELETED])


class Sender:
    """Sends messages by id; safe for many threads and processes at once."""

    def __init__(self, mail: MailGateway, push: PushGateway, *, app_url: str = "", pages_url: str = "") -> None:
        self._mail = mail
        self._push = push
        self._app_url = app_url.rstrip("/")
        self._pages_url = (pages_url or app_url).rstrip("/")

    def send(self, notification_id: UUID) -> bool:
        """Send a message unless it was sent, is being sent, or has no tries left; return whether it was sent now."""
        with session_scope() as session:
            row = notifications.claim(session, notification_id)
            if row is None or _is_unwanted(session, row):
                return False
            user = session.get_one(User, row.user_id)
            devices = notifications.devices(session, user.id) if row.channel is Channel.PUSH else ()
            secrets = self._secrets(session, row)
            unsubscribe = preferences.unsubscribe_token(session, row)
        try:
            self._deliver(row, user, devices, secrets, unsubscribe)
        except CallFailed as failure:
            self._not_sent(row, f"{failure.code}: {failure.detail}", for_good=not failure.retryable)
            return False
        except Exception as error:  # a bug, such as an unreadable payload: retried a few times, then kept as failed
            log.exception("notification.failed", notification_id=row.id, kind=row.kind)
            self._not_sent(row, type(error).__name__, for_good=False)
            return False
        with session_scope() as session:
            notifications.sent(session, row.id)
        return True

    def _secrets(self, session: Session, row: Notification) -> Mapping[str, str] | None:
        """The values that are in no row, such as links; None when the message has become obsolete."""
        if row.kind is NotificationKind.DATA_EXPORT:
            export_id = UUID(row.payload["exportId"])
            ticket = data_exports.issue(session, export_id)
            # The browser fetches this file itself and sends no fragment, so the token is in the query.
            return None if ticket is None else {"url": f"{self._app_url}/auth/export/{export_id}?token={ticket}"}
        if row.kind is NotificationKind.PASSWORD_RESET:
            return self._link("reset-password", password_resets.issue(session, UUID(row.payload["resetId"])))
        if row.kind in PAGES:
            return self._link(PAGES[row.kind], email_links.issue(session, UUID(row.payload["linkId"])))
        return {}

    def _link(self, page: str, token: str | None) -> Mapping[str, str] | None:
        """A link with the token in its fragment, which browsers do not send, so no server logs it."""
        return None if token is None else {"url": f"{self._pages_url}/{page}#{token}"}

    def _deliver(
        self,
        row: Notification,
        user: User,
        devices: Sequence[str],
        secrets: Mapping[str, str] | None,
        unsubscribe: str | None,
    ) -> None:
        if secrets is None:
            raise CallFailed("not_wanted", "The message is obsolete.")
        # An unverified address may not be the user's, so its owner must not see the user's name.
        is_known = user.email_verified_at is not None and row.kind not in NAMELESS
        link = f"{self._pages_url}/unsubscribe#{unsubscribe}" if unsubscribe else ""
        message = compose(row.kind, {**row.payload, **secrets}, user.name if is_known else "", unsubscribe_url=link)
        if row.channel is Channel.EMAIL:
            address = row.payload.get("to", user.email)  # changes of an address are sent to the old one
            # A repeated mail has the same id, so that mail clients show it once; with a new link it is another mail.
            mail_id = f"{row.id}.{row.attempts}" if secrets else str(row.id)
            # Mail programs post to this address without opening it, and servers do not get fragments.
            one_click = f"{self._app_url}/unsubscribe?token={unsubscribe}" if unsubscribe else ""
            self._mail.send(Mail(mail_id, address, message.subject, message.body, one_click))
        else:
            self._deliver_to_devices(row, message, devices)

    def _deliver_to_devices(self, row: Notification, message: Message, devices: Sequence[str]) -> None:
        """Send to every device and remove those that are gone; one success counts as sent."""
        data = {"notificationId": str(row.id), "kind": row.kind.value}
        body = message.body.split("\n\n")[1]  # the first paragraph after the greeting
        reached, failures = False, list[CallFailed]()
        for device in devices:
            try:
                ticket = self._push.send(Push(device, message.subject, body, data))
                reached = True
                if ticket is not None:
                    with session_scope() as session:
                        push_receipts.expect(session, ticket, device)
            except CallFailed as failure:
                failures.append(failure)
                if failure.code == "push_device_gone":
                    with session_scope() as session:
                        notifications.remove_device(session, device)
        if not reached:
            no_device = CallFailed("push_device_gone", "No registered device receives messages any more.")
            raise next((failure for failure in failures if failure.retryable), no_device)

    def _not_sent(self, row: Notification, reason: str, *, for_good: bool) -> None:
        log.warning(
            "notification.not_sent", notification_id=row.id, channel=row.channel, reason=reason, for_good=for_good
        )
        with session_scope() as session:
            notifications.failed(session, row.id, reason, for_good=for_good)


def _is_unwanted(session: Session, row: Notification) -> bool:
    """Whether the user turned such messages off; then it is closed without a warning, because nothing is wrong."""
    if not preferences.is_muted(session, row):
        return False
    notifications.failed(session, row.id, "not_wanted: The user turned these messages off.", for_good=True)
    return True
