"""Schemas of users' own keys for AI providers."""

from marshmallow import fields, validate

from api.schemas.base import AppIn, EnumText, Out, String, Time
from models.rules.prices.pricing import Provider


class ApiKeyIn(AppIn):
    """A key from an AI provider."""

    key = fields.String(required=True, load_only=True, validate=validate.Length(min=1, max=600))


class ApiKeyOut(Out):
    """A stored key: its last four characters, and the result of its test with the provider."""

    provider = EnumText(Provider)
    last4 = String(data_key="last4")
    status = String()
    tested_at = Time(allow_none=True)
    last_used_at = Time(allow_none=True)
    created_at = Time()
    updated_at = Time()
