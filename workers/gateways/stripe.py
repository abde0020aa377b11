"""Stripe, as our flows need it: every method is one request or one list, and answers plain dictionaries.

Whoever makes something hands over an idempotency key that was stored before, so that a repeat is the same call. What
we make carries our ids as metadata (`agentforge_...`), so that it can be found again without its key.
"""

from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

from models.rules.billing import USER
from workers.gateways.stripe_errors import StripeRefused
from workers.gateways.stripe_line import Plain, StripeLine, since

CARDS_ONLY = {"enabled": True, "allow_redirects": "never"}  # a confirmed payment must not need a page to return to
SUBSCRIPTION_PARTS = ["latest_invoice.confirmation_secret"]
INVOICE_PARTS = ["payments"]
EVENT_TYPES_AT_ONCE = 20  # Stripe's limit for one list

Metadata = Mapping[str, str]


class StripeGateway:
    """The only way from here to Stripe. Safe for many threads; make it after the process was forked."""

    def __init__(self, secret_key: str, base_url: str = "", *, timeout: float = 10.0, retries: int = 2) -> None:
        """`base_url` is empty but for simulators; `timeout` in seconds per try."""
        self._line = StripeLine(secret_key, base_url, timeout=timeout, retries=retries)
        self._v1 = self._line.v1

    # Customers

    def find_customer(self, user_id: UUID, email: str | None = None, *, created: int | None = None) -> Plain | None:
        """The user's customer among those with `email`, or those made since `created`, by our id in its metadata."""
        found = self._line.every(self._v1.customers.list, email=email, created=since(created))
        return next((one for one in found if (one.get("metadata") or {}).get(USER) == str(user_id)), None)

    def create_customer(self, user_id: UUID, *, email: str, name: str, key: str) -> Plain:
        """Make the user's customer."""
        metadata = {USER: str(user_id)}
        return self._line.ask(self._v1.customers.create, key=key, email=email, name=name, metadata=metadata)

    def customer(self, customer_id: str) -> Plain:
        """The customer as it is now; `deleted` is true when it is no more."""
        return self._line.ask(self._v1.customers.retrieve, customer_id)

    def customers(self, *, created: int | None = None) -> Iterator[Plain]:
        """Customers since `created` (unix seconds), newest first."""
        return self._line.every(self._v1.customers.list, created=since(created))

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
    ) -> Plain:
        """Make a payment intent over `amount` in cents; with a payment method it is confirmed at once.

        Raises:
            StripeDeclined: the bank said no; the intent is in the error, and lives on.
        """
        confirmed = payment_method is not None
        return self._line.ask(
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

    def cancel_payment(self, intent_id: str, *, key: str) -> Plain:
        """Give up an intent that was not paid; raises `StripeRefused` when it is too late."""
        return self._line.ask(self._v1.payment_intents.cancel, intent_id, key=key, cancellation_reason="abandoned")

    def payment(self, intent_id: str) -> Plain:
        """The payment intent as it is now."""
        return self._line.ask(self._v1.payment_intents.retrieve, intent_id)

    def payments(self, *, customer: str | None = None, created: int | None = None) -> Iterator[Plain]:
        """Payment intents since `created` (unix seconds), newest first."""
        return self._line.every(self._v1.payment_intents.list, customer=customer, created=since(created))

    # Subscriptions

    def create_subscription(
        self, *, customer: str, price: str, payment_method: str | None, metadata: Metadata, key: str
    ) -> Plain:
        """Make a subscription that begins once its first invoice is paid by the client secret in the answer."""
        return self._line.ask(
            self._v1.subscriptions.create,
            key=key,
            customer=customer,
            items=[{"price": price}],
            default_payment_method=payment_method,
            payment_behavior="default_incomplete",
            payment_settings={"save_default_payment_method": "on_subscription"},
            metadata=dict(metadata),
            expand=SUBSCRIPTION_PARTS,
        )

    def change_price(self, subscription: Plain, *, price: str, charge_now: bool, key: str) -> Plain:
        """Move to another price with proration: charged now or nothing changes, or settled with the next invoice."""
        return self._line.ask(
            self._v1.subscriptions.update,
            subscription["id"],
            key=key,
            items=[{"id": subscription["items"]["data"][0]["id"], "price": price}],
            proration_behavior="always_invoice" if charge_now else "create_prorations",
            payment_behavior="error_if_incomplete" if charge_now else None,
            expand=SUBSCRIPTION_PARTS,
        )

    def cancel_at_period_end(self, subscription: Plain, *, cancel: bool, key: str) -> Plain:
        """Let a subscription end with what is paid for, or take any end back that was set before."""
        call = self._v1.subscriptions.update
        end: dict[str, bool | str] = {"cancel_at_period_end": cancel}
        if not cancel and not subscription["cancel_at_period_end"]:
            end = {"cancel_at": ""}  # an operator chose a day
        return self._line.ask(call, subscription["id"], key=key, expand=SUBSCRIPTION_PARTS, **end)

    def cancel_subscription(self, subscription_id: str) -> Plain:
        """End a subscription now."""
        return self._line.ask(self._v1.subscriptions.cancel, subscription_id)

    def unpause_subscription(self, subscription_id: str, *, key: str) -> Plain:
        """Start a paused subscription again."""
        return self._line.ask(self._v1.subscriptions.resume, subscription_id, key=key, expand=SUBSCRIPTION_PARTS)

    def subscription(self, subscription_id: str) -> Plain:
        """The subscription as it is now, with its latest invoice."""
        return self._line.ask(self._v1.subscriptions.retrieve, subscription_id, expand=SUBSCRIPTION_PARTS)

    def subscriptions(self, *, customer: str | None = None, created: int | None = None) -> Iterator[Plain]:
        """Subscriptions of every status, ended ones included, newest first."""
        call = self._v1.subscriptions.list
        return self._line.every(call, customer=customer, created=since(created), status="all")

    # Payment methods

    def attach(self, payment_method: str, *, customer: str, key: str) -> Plain:
        """Keep a payment method with a customer; raises `StripeDeclined` when its bank refuses that."""
        return self._line.ask(self._v1.payment_methods.attach, payment_method, key=key, customer=customer)

    def detach(self, payment_method: str, *, key: str) -> Plain:
        """Forget a payment method for good."""
        return self._line.ask(self._v1.payment_methods.detach, payment_method, key=key)

    def set_default(self, payment_method: str, *, customer: str, key: str) -> Plain:
        """Pay a customer's invoices with this one from now on; answers the customer."""
        settings = {"default_payment_method": payment_method}
        return self._line.ask(self._v1.customers.update, customer, key=key, invoice_settings=settings)

    def payment_method(self, payment_method: str) -> Plain:
        """The payment method as it is now."""
        return self._line.ask(self._v1.payment_methods.retrieve, payment_method)

    def payment_methods(self, customer: str) -> Iterator[Plain]:
        """A customer's payment methods."""
        return self._line.every(self._v1.customers.payment_methods.list, customer)

    # What happens to money afterwards

    def invoice(self, invoice_id: str) -> Plain:
        """The invoice as it is now, with its payments."""
        return self._line.ask(self._v1.invoices.retrieve, invoice_id, expand=INVOICE_PARTS)

    def invoices(
        self, *, customer: str | None = None, created: int | None = None, status: str | None = None
    ) -> Iterator[Plain]:
        """Invoices with their payments, newest first."""
        expand = [f"data.{part}" for part in INVOICE_PARTS]
        call = self._v1.invoices.list
        return self._line.every(call, customer=customer, created=since(created), status=status, expand=expand)

    def charge(self, charge_id: str) -> Plain:
        """The charge as it is now."""
        return self._line.ask(self._v1.charges.retrieve, charge_id)

    def refund(self, refund_id: str) -> Plain:
        """The refund as it is now."""
        return self._line.ask(self._v1.refunds.retrieve, refund_id)

    def refunds(self, *, charge: str | None = None, created: int | None = None) -> Iterator[Plain]:
        """Refunds, newest first."""
        return self._line.every(self._v1.refunds.list, charge=charge, created=since(created))

    def dispute(self, dispute_id: str) -> Plain:
        """The dispute as it is now."""
        return self._line.ask(self._v1.disputes.retrieve, dispute_id)

    def disputes(self, *, created: int | None = None) -> Iterator[Plain]:
        """Disputes, newest first."""
        return self._line.every(self._v1.disputes.list, created=since(created))

    def events(self, *, types: Sequence[str] = (), created: int | None = None) -> Iterator[Plain]:
        """Events of `types` since `created`, at most thirty days old; newest first within each twenty types."""
        call = self._v1.events.list
        groups = [list(types[at : at + EVENT_TYPES_AT_ONCE]) for at in range(0, len(types), EVENT_TYPES_AT_ONCE)]
        for group in groups or [[]]:
            yield from self._line.every(call, types=group or None, created=since(created))


def gone(error: StripeRefused, *params: str) -> bool:
    """Whether Stripe refused because what one of `params` names does not exist (any more)."""
    return error.missing and (not params or error.param in params)
