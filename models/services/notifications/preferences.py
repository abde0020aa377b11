"""Which notifications a user wants: by topic and channel, and links that turn the mails of a topic off.

A topic is on unless there is a row that mutes it. The sender asks right before it sends, so a choice counts for
messages that wait already.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.errors import FieldError, InvalidInput
from models.tables import (
    Channel,
    MutedTopic,
    Notification,
    NotificationKind,
    NotificationTopic,
    PushDevice,
    UnsubscribeKey,
    User,
)

KEY_BYTES, SIGNATURE_BYTES = 32, 16


class TopicWords(NamedTuple):
    """The name of a topic for forms, the channels that stay on, and why."""

    title: str
    required: frozenset[Channel] = frozenset()
    reason: str = ""


_EMAIL = frozenset([Channel.EMAIL])

TOPICS: Mapping[NotificationTopic, TopicWords] = {
    NotificationTopic.RUN_FAILED: TopicWords("A run failed"),
    NotificationTopic.RUN_FINISHED: TopicWords("A long run finished"),
    NotificationTopic.APPROVAL_NEEDED: TopicWords("A run waits for an approval"),
    NotificationTopic.SCHEDULE_STOPPED: TopicWords("A schedule was switched off"),
    NotificationTopic.LOW_BALANCE: TopicWords("Credits are running low"),
    NotificationTopic.PAYMENT_FAILED: TopicWords("A payment failed"),
    NotificationTopic.PURCHASE: TopicWords("Credits arrived", _EMAIL, "The mail is your receipt."),
    NotificationTopic.INVOICE_UPCOMING: TopicWords(
        "The subscription renews soon", _EMAIL, "Renewals are announced by mail before they are charged."
    ),
    NotificationTopic.CREDITS_ADJUSTED: TopicWords(
        "An administrator changed the balance", _EMAIL, "Changes of your balance by others are always mailed."
    ),
    NotificationTopic.TEMPLATE_UNPUBLISHED: TopicWords(
        "A template was unpublished", _EMAIL, "The mail states the reasons, to which you are entitled."
    ),
    NotificationTopic.SECURITY: TopicWords(
        "Security of the account", frozenset(Channel), "They tell you when someone else uses your account."
    ),
}
_BY_KIND = {
    NotificationKind.APPROVAL_NEEDED: NotificationTopic.APPROVAL_NEEDED,
    NotificationKind.LOW_BALANCE: NotificationTopic.LOW_BALANCE,
    NotificationKind.SCHEDULE_STOPPED: NotificationTopic.SCHEDULE_STOPPED,
    NotificationKind.PAYMENT_FAILED: NotificationTopic.PAYMENT_FAILED,
    NotificationKind.PURCHASE: NotificationTopic.PURCHASE,
    NotificationKind.INVOICE_UPCOMING: NotificationTopic.INVOICE_UPCOMING,
    NotificationKind.CREDITS_ADJUSTED: NotificationTopic.CREDITS_ADJUSTED,
    NotificationKind.TEMPLATE_UNPUBLISHED: NotificationTopic.TEMPLATE_UNPUBLISHED,
}


class Choice(NamedTuple):
    """A change of one topic for one channel; `field` is its place in the request, for errors."""

    topic: NotificationTopic
    channel: Channel
    is_on: bool
    field: str


class NotificationRequired(InvalidInput):
    """Notifications of this topic cannot be turned off for this channel."""

    code = "notification_required"

    def __init__(self, refused: Sequence[Choice]) -> None:
        title, _, reason = TOPICS[refused[0].topic]
        errors = [FieldError(one.field, f"Must stay on. {TOPICS[one.topic].reason}") for one in refused]
        super().__init__(f"“{title}” cannot be turned off here. {reason}", errors=errors)


class UnsubscribeLinkInvalid(InvalidInput):
    """The link is wrong, or its account was deleted."""

    code = "unsubscribe_link_invalid"

    def __init__(self) -> None:
        super().__init__("This link is not valid.", errors=[FieldError("token", "Is not valid.")])


@dataclass(frozen=True)
class Preference:
    """A user's choice about one topic."""

    topic: NotificationTopic
    email: bool
    push: bool

    @property
    def title(self) -> str:
        return TOPICS[self.topic].title

    @property
    def required(self) -> list[Channel]:
        return sorted(TOPICS[self.topic].required)

    @property
    def reason(self) -> str | None:
        return TOPICS[self.topic].reason or None


def topic_of(kind: NotificationKind, payload: Mapping[str, Any]) -> NotificationTopic:
    """The topic of a message; what has no topic of its own is about the account's security."""
    if kind is NotificationKind.RUN_FINISHED:
        failed = payload.get("status") == "failed"
        return NotificationTopic.RUN_FAILED if failed else NotificationTopic.RUN_FINISHED
    return _BY_KIND.get(kind, NotificationTopic.SECURITY)


def list_owned(session: Session, user_id: UUID) -> Sequence[Preference]:
    """The user's choices about all topics, in the order of `TOPICS`."""
    rows = session.execute(select(MutedTopic.topic, MutedTopic.channel).where(MutedTopic.user_id == user_id))
    muted = {(topic, channel) for topic, channel in rows}
    return [
        Preference(topic, (topic, Channel.EMAIL) not in muted, (topic, Channel.PUSH) not in muted) for topic in TOPICS
    ]


def count_devices(session: Session, user_id: UUID) -> int:
    """The number of phones that get the user's push notifications."""
    owned = select(func.count()).select_from(PushDevice).where(PushDevice.user_id == user_id)
    return session.scalars(owned).one()


def change(session: Session, user_id: UUID, choices: Iterable[Choice]) -> None:
    """Make these choices, all or none; raises `NotificationRequired` naming what cannot be turned off."""
    chosen = list(choices)
    if refused := [one for one in chosen if not one.is_on and one.channel in TOPICS[one.topic].required]:
        raise NotificationRequired(refused)
    for choice in chosen:
        _set(session, user_id, choice.topic, choice.channel, is_on=choice.is_on)


def is_muted(session: Session, row: Notification) -> bool:
    """Whether the user turned messages like this one off."""
    topic = topic_of(row.kind, row.payload)
    return session.get(MutedTopic, (row.user_id, topic, row.channel), populate_existing=True) is not None


def unsubscribe_token(session: Session, row: Notification) -> str | None:
    """The token of a link that turns mails like this one off; None for those that cannot be. It does not expire."""
    topic = topic_of(row.kind, row.payload)
    if row.channel is not Channel.EMAIL or Channel.EMAIL in TOPICS[topic].required:
        return None
    new = insert(UnsubscribeKey).values(user_id=row.user_id, key=secrets.token_bytes(KEY_BYTES))
    session.execute(new.on_conflict_do_nothing())
    key = session.scalars(select(UnsubscribeKey.key).where(UnsubscribeKey.user_id == row.user_id)).one()
    return f"{topic}.{row.user_id.hex}.{_sign(key, topic, row.user_id)}"


def unsubscribe(session: Session, token: str) -> NotificationTopic:
    """Turn the mails of a token's topic off, also if they are off; raises `UnsubscribeLinkInvalid`."""
    name, _, rest = token.partition(".")
    owner, _, signature = rest.partition(".")
    try:
        topic, user_id = NotificationTopic(name), UUID(hex=owner)
    except ValueError:
        raise UnsubscribeLinkInvalid from None
    live = select(UnsubscribeKey.key).join(User, User.id == UnsubscribeKey.user_id)
    key = session.scalar(live.where(UnsubscribeKey.user_id == user_id, User.deleted_at.is_(None)))
    if key is None or not hmac.compare_digest(_sign(key, topic, user_id).encode(), signature.encode(errors="replace")):
        raise UnsubscribeLinkInvalid
    _set(session, user_id, topic, Channel.EMAIL, is_on=False)
    return topic


def _set(session: Session, user_id: UUID, topic: NotificationTopic, channel: Channel, *, is_on: bool) -> None:
    if is_on:
        row = delete(MutedTopic).where(MutedTopic.user_id == user_id, MutedTopic.topic == topic)
        session.execute(row.where(MutedTopic.channel == channel), execution_options={"synchronize_session": False})
    else:
        muted = insert(MutedTopic).values(user_id=user_id, topic=topic, channel=channel)
        session.execute(muted.on_conflict_do_nothing())


def _sign(key: bytes, topic: NotificationTopic, user_id: UUID) -> str:
    digest = hmac.digest(key, f"unsubscribe:{topic}:{user_id}".encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest[:SIGNATURE_BYTES]).rstrip(b"=").decode()
