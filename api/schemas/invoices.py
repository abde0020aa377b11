"""Invoices as the app lists them."""

from marshmallow import fields

from api.schemas.base import Id, Number, Out, Query, Text, Time, Whole


class InvoicesQuery(Query):
    """How many, the newest first; the list is a plain array, so there is no cursor."""

    limit = Whole(low=1, high=100, load_default=50)
    offset = Whole(low=0, high=2**31, load_default=0)


class InvoiceOut(Out):
    """One invoice; `amount` in dollars, `status` in Stripe's words."""

    id = Id()
    number = Text(allow_none=True)
    date = Time(attribute="issued_at")
    description = Text()
    amount = fields.Function(lambda invoice: invoice.amount_cents / 100, metadata=Number.shape)
    currency = Text()
    status = Text()
