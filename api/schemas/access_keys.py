"""Access keys as they are asked for and as they are shown."""

from marshmallow import fields, validate

from api.schemas.base import Id, In, Line, Out, Text, Time, Word
from models.access_key import Scope


class AccessKeyIn(In):
    """What a new key is called, what it may do and for how long; without scopes everything but paying."""

    name = Line(100, required=True)
    scopes = fields.List(fields.Enum(Scope, by_value=True), validate=validate.Length(min=1, max=len(Scope)))
    expires_at = fields.AwareDateTime(format="iso", allow_none=True)


class AccessKeyOut(Out):
    """What may be known of a key: never the key itself."""

    id = Id()
    name = Text()
    last4 = Text(data_key="last4")
    scopes = fields.List(Word(Scope))
    expires_at = Time(allow_none=True)
    last_used_at = Time(allow_none=True)
    created_at = Time()


class NewAccessKeyOut(Out):
    """A new key; `key` is null when the answer is given again, since it is shown once."""

    access_key = fields.Nested(AccessKeyOut)
    key = Text(allow_none=True)
