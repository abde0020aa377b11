"""The Stripe operations that we use: each method is one request or one list, and returns plain dictionaries.

Callers that create something pass an idempotency key that they stored before, so that a repeat is the same call.
Created objects carry our ids as metadata (`agentforge_...`), so that they can be found again without the key.
"""

from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

from models.rules.stripe.billing import USER
from workers.gateways.stripe.client import Created, StripeClient, StripeObject, since

CARDS_ONLY = {"enabled": True, "allow_redirects": "never"}  # a confirmed payment must not need a page to return to
SUBSCRIPTION_PARTS = ["latest_invoice.confirmation_secret"]
INVOICE_PARTS = ["payments"]
EVENT_TYPES_AT_ONCE = 20  # Stripe's limit for one list

Metadata = Mapping[str, str]


class StripeGateway:
    """The only access to Stripe. Safe for many threads; construct it after the process was forked."""

    def __init__(self, secret_key: str, base_url: str = "", *, timeout: float = 10.0, retries: int = 2) -> None:
        """`base_url` is empty except for simulators; `timeout` is in seconds per try."""
        self._client = StripeClient(secret_key, base_url, timeout=timeout, retries=retries)
        self._v1 = self._client.v1

    # Customers

    def find_customer(
        self, user_id: UUID, email: str | None = None, *, created: int | None = None
    ) -> StripeObject | None:
        """Find the user's customer by our id in its metadata, among those with `email` or created since `created`."""
        found = self._client.every(self._v1.customers.list, email=email, created=since(created))
        return next((one for one in found if (one.get("metadata") or {}).get(USER) == str(user_id)), None)

    def create_customer(self, user_id: UUID, *, email: str | None, name: str, key: str) -> StripeObject:
        """Create the user's customer; without an address Stripe sends no mail."""
        metadata = {USER: str(user_id)}
        return self._client.request(self._v1.customers.create, key=key, email=email, name=name, metadata=metadata)

    def set_email(self, customer_id: str, email: str) -> StripeObject:
        """Set the address that receives a customer's receipts; repeating it changes nothing."""
        return self._client.request(self._v1.customers.update, customer_id, email=email)

    def customer(self, customer_id: str) -> StripeObject:
        """The customer as it is now; `deleted` is true when it was deleted."""
        return self._client.request(self._v1.customers.retrieve, customer_id)

    def customers(self, *, created: Created | None = None) -> Iterator[StripeObject]:
        """Customers since `created` (unix seconds), newest first."""
        return self._client.every(self._v1.customers.list, created=since(created))

    # Payments

    def create_payment(
        self,
        *,
        customer: str,
        amount: int,
        currency: str,
        payment_method: str | None,
        description: str,
        metadata: Metadata,
        key: str,
    ) -> StripeObject:
        """Create a payment intent over `amount` cents; with a payment method it is confirmed at once.

        Raises:
            StripeDeclined: the bank declined; the error holds the intent, which stays usable.
        """
        confirmed = payment_method is not None
        return self._client.request(
            self._v1.payment_intents.create,
            key=key,
            amount=amount,
            currency=currency,
            customer=customer,
            description=description,
            metadata=dict(metadata),
            payment_method=payment_method,
            confirm=True if confirmed else None,
            automatic_payment_methods=CARDS_ONLY if confirmed else {"enabled": True},
        )

    def cancel_payment(self, intent_id: str, *, key: str) -> StripeObject:
        """Cancel an unpaid intent; raises `StripeRefused` when it is too late."""
        return self._client.request(
            self._v1.payment_intents.cancel, intent_id, key=key, cancellation_reason="abandoned"
        )

    def payment(self, intent_id: str) -> StripeObject:
        """The payment intent as it is now."""
        return self._client.request(self._v1.payment_intents.retrieve, intent_id)

    def payments(self, *, customer: str | None = None, created: Created | None = None) -> Iterator[StripeObject]:
        """Payment intents since `created` (unix seconds), newest first."""
        return self._client.every(self._v1.payment_intents.list, customer=customer, created=since(created))

    # Subscriptions

    def create_subscription(
        self, *, customer: str, price: str, payment_method: str | None, metadata: Metadata, key: str
    ) -> StripeObject:
        """Create a subscription whose first invoice is charged at once to `payment_method`.

        Without a payment method, or when the bank declines or asks for authentication, it is `incomplete` until the
        client pays that invoice with the client secret in the result.
        """
        return self._client.request(
            self._v1.subscriptions.create,
            key=key,
            customer=customer,
            items=[{"price": price}],
            default_payment_method=payment_method,
            payment_behavior="allow_incomplete" if payment_method else "default_incomplete",
            payment_settings={"save_default_payment_method": "on_subscription"},
            metadata=dict(metadata),
            expand=SUBSCRIPTION_PARTS,
        )

    def change_price(
        self,
        subscription: StripeObject,
        *,
        item: str,
        price: str,
        charge_now: bool,
        payment_method: str | None,
        key: str,
    ) -> StripeObject:
        """Move an item to another price with proration, charged now (or nothing changes) or with the next invoice.

        A scheduled end is removed; `payment_method` becomes the subscription's own.
        """
        return self._client.request(
            self._v1.subscriptions.update,
            subscription["id"],
            key=key,
            items=[{"id": item, "price": price}],
            proration_behavior="always_invoice" if charge_now else "create_prorations",
            payment_behavior="error_if_incomplete" if charge_now else None,
            default_payment_method=payment_method,
            expand=SUBSCRIPTION_PARTS,
            **(_end(subscription, cancel=False) if is_ending(subscription) else {}),
        )

    def preview_price(self, subscription_id: str, *, item: str, price: str, charge_now: bool) -> StripeObject:
        """The invoice that `change_price` would lead to, now or with the next period; changes nothing."""
        details = {
            "items": [{"id": item, "price": price}],
            "proration_behavior": "always_invoice" if charge_now else "create_prorations",
        }
        call = self._v1.invoices.create_preview
        return self._client.request(call, subscription=subscription_id, subscription_details=details)

    def cancel_at_period_end(self, subscription: StripeObject, *, cancel: bool, key: str) -> StripeObject:
        """Schedule a subscription's end at the end of its paid period, or remove any scheduled end."""
        call, end = self._v1.subscriptions.update, _end(subscription, cancel=cancel)
        return self._client.request(call, subscription["id"], key=key, expand=SUBSCRIPTION_PARTS, **end)

    def pay_subscription_with(self, subscription_id: str, payment_method: str, *, key: str) -> StripeObject:
        """Charge a subscription's invoices to this payment method from now on."""
        call = self._v1.subscriptions.update
        method = {"default_payment_method": payment_method}
        return self._client.request(call, subscription_id, key=key, expand=SUBSCRIPTION_PARTS, **method)

    def cancel_subscription(self, subscription_id: str) -> StripeObject:
        """End a subscription now."""
        return self._client.request(self._v1.subscriptions.cancel, subscription_id)

    def unpause_subscription(self, subscription_id: str, *, key: str) -> StripeObject:
        """Resume a paused subscription."""
        return self._client.request(self._v1.subscriptions.resume, subscription_id, key=key, expand=SUBSCRIPTION_PARTS)

    def subscription(self, subscription_id: str) -> StripeObject:
        """The subscription as it is now, with its latest invoice."""
        return self._client.request(self._v1.subscriptions.retrieve, subscription_id, expand=SUBSCRIPTION_PARTS)

    def subscriptions(self, *, customer: str | None = None) -> Iterator[StripeObject]:
        """Subscriptions of every status, ended ones included, newest first."""
        return self._client.every(self._v1.subscriptions.list, customer=customer, status="all")

    # Payment methods

    def attach(self, payment_method: str, *, customer: str, key: str) -> StripeObject:
        """Attach a payment method to a customer; raises `StripeDeclined` when its bank refuses."""
        return self._client.request(self._v1.payment_methods.attach, payment_method, key=key, customer=customer)

    def detach(self, payment_method: str, *, key: str) -> StripeObject:
        """Detach a payment method from its customer for good."""
        return self._client.request(self._v1.payment_methods.detach, payment_method, key=key)

    def set_default(self, payment_method: str, *, customer: str, key: str) -> StripeObject:
        """Make this payment method the default of a customer's invoices; return the customer."""
        settings = {"default_payment_method": payment_method}
        return self._client.request(self._v1.customers.update, customer, key=key, invoice_settings=settings)

    def payment_method(self, payment_method: str) -> StripeObject:
        """The payment method as it is now."""
        return self._client.request(self._v1.payment_methods.retrieve, payment_method)

    def payment_methods(self, customer: str) -> Iterator[StripeObject]:
        """A customer's payment methods."""
        return self._client.every(self._v1.customers.payment_methods.list, customer)

    # Invoices, refunds, disputes and events

    def invoice(self, invoice_id: str) -> StripeObject:
        """The invoice as it is now, with its payments."""
        return self._client.request(self._v1.invoices.retrieve, invoice_id, expand=INVOICE_PARTS)

    def pay_invoice(self, invoice_id: str, *, payment_method: str | None, key: str) -> StripeObject:
        """Charge an open invoice now; raises `StripeDeclined`."""
        return self._client.request(self._v1.invoices.pay, invoice_id, key=key, payment_method=payment_method)

    def invoices(self, *, created: Created | None = None) -> Iterator[StripeObject]:
        """Invoices with their payments, newest first."""
        expand = [f"data.{part}" for part in INVOICE_PARTS]
        return self._client.every(self._v1.invoices.list, created=since(created), expand=expand)

    def refund(self, refund_id: str) -> StripeObject:
        """The refund as it is now."""
        return self._client.request(self._v1.refunds.retrieve, refund_id)

    def refunds(
        self, *, charge: str | None = None, payment: str | None = None, created: Created | None = None
    ) -> Iterator[StripeObject]:
        """Refunds, newest first; `payment` is the id of a payment intent."""
        call = self._v1.refunds.list
        return self._client.every(call, charge=charge, payment_intent=payment, created=since(created))

    def dispute(self, dispute_id: str) -> StripeObject:
        """The dispute as it is now."""
        return self._client.request(self._v1.disputes.retrieve, dispute_id)

    def disputes(self, *, created: Created | None = None) -> Iterator[StripeObject]:
        """Disputes, newest first."""
        return self._client.every(self._v1.disputes.list, created=since(created))

    def events(self, *, types: Sequence[str] = (), created: int | None = None) -> Iterator[StripeObject]:
        """Events of `types` since `created`, at most thirty days old; newest first within each twenty types."""
        call = self._v1.events.list
        groups = [list(types[at : at + EVENT_TYPES_AT_ONCE]) for at in range(0, len(types), EVENT_TYPES_AT_ONCE)]
        for group in groups or [[]]:
            yield from self._client.every(call, types=group or None, created=since(created))


def is_ending(subscription: StripeObject) -> bool:
    """Whether a subscription's end is scheduled, with its period or on a chosen day."""
    return bool(subscription["cancel_at_period_end"] or subscription["cancel_at"])


def _end(subscription: StripeObject, *, cancel: bool) -> dict[str, bool | str]:
    if not cancel and not subscription["cancel_at_period_end"]:
        return {"cancel_at": ""}  # an operator chose a day
    return {"cancel_at_period_end": cancel}
