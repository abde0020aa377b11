"""Users' own keys for AI providers, as they come in and as they are shown."""

from marshmallow import fields, validate

from api.schemas.base import In, Out, Text, Time, Word
from models.rules.pricing import Provider


class ApiKeyIn(In):
    """A key as its provider gave it out."""

    key = fields.String(required=True, load_only=True, validate=validate.Length(min=1, max=600))


class ApiKeyOut(Out):
    """What may be known of a stored key: its last four characters, and what the provider said of it."""

    provider = Word(Provider)
    last4 = Text(data_key="last4")
    status = Text()
    tested_at = Time(allow_none=True)
    last_used_at = Time(allow_none=True)
    created_at = Time()
    updated_at = Time()
