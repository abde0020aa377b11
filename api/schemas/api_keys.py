"""Users' own keys for AI providers, as they come in and as they are shown."""

from marshmallow import fields, validate

from api.schemas.base import In, Out, Plain


class ApiKeyIn(In):
    """A key as its provider gave it out."""

    key = fields.String(required=True, load_only=True, validate=validate.Length(min=1, max=600))


class ApiKeyOut(Out):
    """What may be known of a stored key: its last four characters, and what the provider said of it."""

    provider = Plain()
    last4 = Plain()
    status = Plain()
    tested_at = Plain()
    last_used_at = Plain()
    created_at = Plain()
    updated_at = Plain()
