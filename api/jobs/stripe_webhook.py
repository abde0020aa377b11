"""Parsing of Stripe's webhooks: the signature is verified first, then the event, before anything is stored.

Anything but an event of this account's mode gets a 400, which Stripe's dashboard shows.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson
from flask import current_app, request
from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from models.errors import ForgeError
from models.rules.stripe.signature import verify
from settings import StripeSettings

YEAR_9999 = 253_370_764_800


class BadEvent(ForgeError):
    """The signed body is not a Stripe event that can be stored."""

    code = "bad_event"


class WrongMode(ForgeError):
    """The event is of the other mode: a test event at a live endpoint, or a live event at a test endpoint."""

    code = "livemode_mismatch"


class _Data(Schema):
    class Meta:
        unknown = EXCLUDE

    object = fields.Dict(required=True)


class _Event(Schema):
    """A snapshot event. Thin events, of the type `v2.core.event`, have no `data.object` and are rejected."""

    class Meta:
        unknown = EXCLUDE

    id = fields.String(required=True, validate=validate.Regexp(r"[A-Za-z0-9_-]{1,255}\Z"))
    object = fields.String(required=True, validate=validate.Equal("event"))
    type = fields.String(required=True, validate=validate.Regexp(r"[a-z0-9_.]{1,100}\Z"))
    api_version = fields.String(load_default=None, allow_none=True, validate=validate.Regexp(r"[\w.-]{1,60}\Z"))
    created = fields.Integer(required=True, strict=True, validate=validate.Range(min=0, max=YEAR_9999))
    livemode = fields.Boolean(required=True, truthy={True}, falsy={False})
    data = fields.Nested(_Data, required=True)


_EVENT = _Event()


@dataclass(frozen=True)
class SignedEvent:
    """A verified event: its raw bytes, and the fields by which it is stored."""

    event_id: str
    type: str
    api_version: str | None
    created: datetime
    livemode: bool
    raw: bytes


def signed_event() -> SignedEvent:
    """The event in this request; raises `BadSignature`, `BadEvent`, `WrongMode`."""
    stripe: StripeSettings = current_app.extensions["settings"].stripe
    raw = request.get_data(cache=True)
    verify(raw, request.headers.get("Stripe-Signature"), stripe.webhook_secrets, time.time())
    event = _read(raw)
    if event.livemode is not stripe.livemode:
        raise WrongMode(f"This endpoint takes {'live' if stripe.livemode else 'test'} events only.")
    return event


def _read(raw: bytes) -> SignedEvent:
    try:
        loaded = _EVENT.load(orjson.loads(raw))
    except (orjson.JSONDecodeError, ValidationError) as error:
        raise BadEvent("The body is not a Stripe event that can be stored.") from error
    created = datetime.fromtimestamp(loaded["created"], tz=UTC)
    return SignedEvent(loaded["id"], loaded["type"], loaded["api_version"], created, loaded["livemode"], raw)
