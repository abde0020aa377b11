"""Schemas of invoices."""

from marshmallow import fields, validate

from api.schemas.base import Id, Limit, Number, Out, Query, QueryInteger, String, Time
from models.rules.stripe.currencies import whole_units


class InvoicesQuery(Query):
    """The page of invoices, newest first; the response is an array, so it has no cursor."""

    limit = Limit()
    offset = QueryInteger(validate=validate.Range(min=0, max=2**31), load_default=0)


class InvoiceOut(Out):
    """An invoice; `amount` in whole units of its currency, `status` as at Stripe."""

    id = Id()
    number = String(allow_none=True)
    date = Time(attribute="issued_at")
    description = String()
    amount = fields.Function(
        lambda invoice: float(whole_units(invoice.amount_cents, invoice.currency)), metadata=Number.shape
    )
    currency = String()
    status = String()
