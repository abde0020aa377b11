"""Schemas of payment methods."""

from typing import Any

from marshmallow import fields, validate

from api.schemas.base import AppIn, Boolean, Id, Integer, Out, String, Time

NO_METHOD = "Must be the id of a payment method, such as pm_1ABC."


class MethodId(fields.String):
    """The id of a payment method: ours or Stripe's."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(validate=validate.Regexp(r"[A-Za-z0-9_-]{1,255}\Z", error=NO_METHOD), **kwargs)


class PaymentMethodIn(AppIn):
    """The payment method, by its id."""

    payment_method_id = MethodId(required=True)


class PaymentMethodOut(Out):
    """A payment method, such as a card, without secret details."""

    id = Id()
    type = String()
    brand = String(allow_none=True)
    last4 = String(data_key="last4", allow_none=True)
    exp_month = Integer(allow_none=True)
    exp_year = Integer(allow_none=True)
    is_default = Boolean()
    created_at = Time()
