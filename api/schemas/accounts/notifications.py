"""Schemas of users' choices about their notifications."""

from marshmallow import fields, validate

from api.schemas.base import Boolean, EnumText, In, Integer, Items, Out, Query, StrictBoolean, String
from models.tables import Channel, NotificationTopic

MAX_CHOICES = len(NotificationTopic)


class PreferenceIn(In):
    """A choice about one topic; a channel that is missing stays as it is."""

    topic = fields.Enum(NotificationTopic, by_value=True, required=True)
    email = StrictBoolean()
    push = StrictBoolean()


class PreferencesIn(In):
    """Choices about some topics."""

    preferences = Items(fields.Nested(PreferenceIn), max_items=MAX_CHOICES, required=True)


class PreferenceOut(Out):
    """Whether a topic is sent by mail and push, which of these cannot be turned off, and why."""

    topic = EnumText(NotificationTopic)
    title = String()
    email = Boolean()
    push = Boolean()
    required = fields.List(EnumText(Channel))
    reason = String(allow_none=True)


class PreferencesOut(Out):
    """All topics, and the number of phones that get push notifications."""

    preferences = fields.List(fields.Nested(PreferenceOut))
    devices = Integer()


class UnsubscribeQuery(Query):
    """The token of the link for turning mails off, as mail programs send it; pages send it in the body."""

    token = fields.String(load_default="", validate=validate.Length(max=200))
