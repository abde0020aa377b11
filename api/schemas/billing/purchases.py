"""Schemas of purchases of credits."""

from decimal import Decimal
from typing import Any

from marshmallow import fields, post_load, validate

from api.schemas.base import AppIn, Credits, EnumText, Id, Integer, JsonObject, Number, Out, String, Time
from api.schemas.billing.payment_methods import MethodId
from models.rules.stripe.currencies import whole_units
from models.tables import PurchaseStatus


class PurchaseIn(AppIn):
    """A package by its id, or by its price in dollars; with a payment method it is paid at once."""

    package_id = fields.String(validate=validate.Length(min=1, max=40))
    amount = Credits()
    payment_method_id = MethodId(load_default=None, allow_none=True)

    @post_load
    def cents(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Convert dollars to cents; exact, because the amount has at most two decimals."""
        dollars: Decimal | None = data.pop("amount", None)
        return data if dollars is None else {**data, "amount_cents": int(dollars * 100)}


class PurchaseOut(Out):
    """A purchase; `amount` in dollars. The app confirms the payment with `clientSecret`.

    A client without Stripe's library sends its user to `authenticationUrl`, which is there if the bank asks.
    """

    id = Id()
    status = EnumText(PurchaseStatus)
    client_secret = String(allow_none=True)
    authentication_url = String(allow_none=True)
    amount = fields.Function(
        lambda purchase: float(whole_units(purchase.amount_cents, purchase.currency)), metadata=Number.shape
    )
    amount_cents = Integer()
    currency = String()
    package_id = String()
    credits = Credits()
    bonus = Credits()
    failure = JsonObject(allow_none=True)
    created_at = Time()
