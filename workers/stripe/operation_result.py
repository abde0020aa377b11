"""The result of an operation at Stripe."""

from dataclasses import dataclass
from typing import Any

from models.rules.stripe.billing import Subject

StripeObject = dict[str, Any]
ObjectToSync = tuple[Subject, str]
FIRST_PAYMENT = "first_payment"  # key of the first payment's intent, added to Stripe's subscription object


@dataclass(frozen=True)
class OperationResult:
    """The object that Stripe returned, and the objects to sync, in this order, before the result is written."""

    object: StripeObject
    sync: tuple[ObjectToSync, ...] = ()
