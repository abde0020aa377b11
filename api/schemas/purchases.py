"""Buying credits: what may be asked for, and what is shown of a purchase."""

from decimal import Decimal
from typing import Any

from marshmallow import fields, post_load, validate

from api.schemas.base import Count, Credits, Id, In, Number, Out, Text, Thing, Time, Word
from api.schemas.payment_methods import MethodId
from models.purchase import PurchaseStatus


class PurchaseIn(In):
    """A package by its id, or by its price in dollars; with a payment method it is paid at once."""

    package_id = fields.String(validate=validate.Length(min=1, max=40))
    amount = Credits()
    payment_method_id = MethodId(load_default=None, allow_none=True)

    @post_load
    def cents(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Dollars as cents; exact, because the amount has at most two decimals."""
        dollars: Decimal | None = data.pop("amount", None)
        return data if dollars is None else {**data, "amount_cents": int(dollars * 100)}


class PurchaseOut(Out):
    """A purchase; `amount` in dollars. With the client secret the app confirms the payment."""

    id = Id()
    status = Word(PurchaseStatus)
    client_secret = Text(allow_none=True)
    amount = fields.Function(lambda purchase: purchase.amount_cents / 100, metadata=Number.shape)
    amount_cents = Count()
    currency = Text()
    package_id = Text()
    credits = Credits()
    bonus = Credits()
    failure = Thing(allow_none=True)
    created_at = Time()
