"""Schemas of access keys."""

from marshmallow import fields, validate

from api.schemas.base import EnumText, Id, In, Items, Moment, Out, String, Time, TrimmedString
from models.tables import KeyScope


class AccessKeyIn(In):
    """A new access key with its name, scopes and expiry; without scopes it allows everything except paying."""

    name = TrimmedString(100, required=True)
    scopes = Items(fields.Enum(KeyScope, by_value=True), max_items=len(KeyScope), validate=validate.Length(min=1))
    expires_at = Moment(allow_none=True)


class AccessKeyOut(Out):
    """An access key, without the key itself."""

    id = Id()
    name = String()
    last4 = String(data_key="last4")
    scopes = fields.List(EnumText(KeyScope))
    expires_at = Time(allow_none=True)
    last_used_at = Time(allow_none=True)
    created_at = Time()


class NewAccessKeyOut(Out):
    """A new access key; `key` is null in a repeat of the response, because it is shown once."""

    access_key = fields.Nested(AccessKeyOut)
    key = String(allow_none=True)
