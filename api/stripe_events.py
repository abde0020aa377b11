"""Reading what Stripe sends: bytes that were proved to be Stripe's, then an event, before anything is stored.

Whatever is no event of this account's mode is a 400, so that it shows in Stripe's dashboard.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson
from flask import current_app, request
from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from models.errors import ForgeError
from models.rules.stripe_signature import verify
from settings import StripeSettings

YEAR_9999 = 253_370_764_800


class BadEvent(ForgeError):
    """It is signed, but it is nothing that we can keep."""

    code = "bad_event"


class WrongMode(ForgeError):
    """A test event for an account that moves real money, or the other way round."""

    code = "livemode_mismatch"


class _Data(Schema):
    class Meta:
        unknown = EXCLUDE

    object = fields.Dict(required=True)


class _Event(Schema):
    """A snapshot event; thin ones have no `data.object`, and are called `v2.core.event`."""

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
    """An event as it came, and what of it is needed to find it again."""

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
        said = _EVENT.load(orjson.loads(raw))
    except (orjson.JSONDecodeError, ValidationError) as error:
        raise BadEvent("This is not an event that we can keep.") from error
    created = datetime.fromtimestamp(said["created"], tz=UTC)
    return SignedEvent(said["id"], said["type"], said["api_version"], created, said["livemode"], raw)
