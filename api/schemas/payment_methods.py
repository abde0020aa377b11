"""Payment methods: named in bodies, listed without anything that could be paid with."""

from typing import Any

from marshmallow import fields, validate

from api.schemas.base import Count, Id, In, Out, Text, Time, Truth


class MethodId(fields.String):
    """The id of a payment method: one of ours, or the one that Stripe gave to the app."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(validate=validate.Regexp(r"[A-Za-z0-9_-]{1,255}\Z"), **kwargs)


class PaymentMethodIn(In):
    """Which one is meant."""

    payment_method_id = MethodId(required=True)


class PaymentMethodOut(Out):
    """One card or the like."""

    id = Id()
    type = Text()
    brand = Text(allow_none=True)
    last4 = Text(data_key="last4", allow_none=True)
    exp_month = Count(allow_none=True)
    exp_year = Count(allow_none=True)
    is_default = Truth()
    created_at = Time()
