"""What is compared with what, in an order in which a thing comes after what it belongs to."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from models.rules.billing import Subject
from workers.gateways.stripe import StripeGateway

Plain = dict[str, Any]
Lister = Callable[[StripeGateway, int], Iterator[Plain]]


@dataclass(frozen=True)
class Check:
    """One kind of object: how Stripe lists it since a moment, and whether ours that were not listed are looked at."""

    name: str
    subject: Subject
    list_since: Lister
    and_held: bool = True

    def listed(self, gateway: StripeGateway, since: datetime) -> Iterator[Plain]:
        """What Stripe made since then; of subscriptions all."""
        return self.list_since(gateway, int(since.timestamp()))


CUSTOMERS = Check(
    "customers", Subject.CUSTOMER, lambda gateway, since: gateway.customers(created=since), and_held=False
)
PAYMENTS = Check("payments", Subject.PAYMENT, lambda gateway, since: gateway.payments(created=since))
SUBSCRIPTIONS = Check("subscriptions", Subject.SUBSCRIPTION, lambda gateway, _: gateway.subscriptions())
INVOICES = Check("invoices", Subject.INVOICE, lambda gateway, since: gateway.invoices(created=since))
REFUNDS = Check("refunds", Subject.REFUND, lambda gateway, since: gateway.refunds(created=since))
DISPUTES = Check("disputes", Subject.DISPUTE, lambda gateway, since: gateway.disputes(created=since))

OBJECTS = (CUSTOMERS, PAYMENTS, SUBSCRIPTIONS, INVOICES, REFUNDS, DISPUTES)
