"""The checks of reconciliation, ordered so that an object comes after the one it belongs to."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from models.rules.stripe.billing import Subject
from models.rules.values.rotation import Day
from workers.gateways.stripe.client import Created
from workers.gateways.stripe.gateway import StripeGateway

StripeObject = dict[str, Any]
Lister = Callable[[StripeGateway, Created], Iterator[StripeObject]]


@dataclass(frozen=True)
class Check:
    """One kind of object: how Stripe lists it, and whether our rows that Stripe did not list are compared too."""

    name: str
    subject: Subject
    list_since: Lister
    and_held: bool = True

    def listed(self, gateway: StripeGateway, since: datetime) -> Iterator[StripeObject]:
        """List the objects that Stripe created since then; of subscriptions all."""
        return self.list_since(gateway, int(since.timestamp()))

    def listed_within(self, gateway: StripeGateway, day: Day) -> Iterator[StripeObject]:
        """List the objects that Stripe created on a day."""
        return self.list_since(gateway, {"gte": int(day.begin.timestamp()), "lt": int(day.end.timestamp())})


CUSTOMERS = Check(
    "customers", Subject.CUSTOMER, lambda gateway, since: gateway.customers(created=since), and_held=False
)
PAYMENTS = Check("payments", Subject.PAYMENT, lambda gateway, since: gateway.payments(created=since))
SUBSCRIPTIONS = Check("subscriptions", Subject.SUBSCRIPTION, lambda gateway, _: gateway.subscriptions())
INVOICES = Check("invoices", Subject.INVOICE, lambda gateway, since: gateway.invoices(created=since))
REFUNDS = Check("refunds", Subject.REFUND, lambda gateway, since: gateway.refunds(created=since))
DISPUTES = Check("disputes", Subject.DISPUTE, lambda gateway, since: gateway.disputes(created=since))

# Stripe lists them only by customer, so ours are read by id; their customers then name the default.
PAYMENT_METHODS = Check("payment_methods", Subject.PAYMENT_METHOD, lambda *_: iter(()))

OBJECTS = (PAYMENT_METHODS, CUSTOMERS, PAYMENTS, SUBSCRIPTIONS, INVOICES, REFUNDS, DISPUTES)
SAMPLED = (PAYMENT_METHODS, CUSTOMERS, PAYMENTS, INVOICES, REFUNDS, DISPUTES)  # of subscriptions all are compared
