"""Controls of the account's owner, of banks, and of Stripe's automatic actions."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy

from simulators.stripe.billing import catalog, cycles, invoicing, subscriptions
from simulators.stripe.payments import customers, disputes, refunds
from simulators.stripe.server.account import Account
from simulators.stripe.state.account_state import AccountState, StripeObject


class OperatorControls:
    """Controls of refunds, disputes, deletions, the catalog and dunning."""

    account: Account

    @contextmanager
    def _state(self) -> Iterator[AccountState]:
        world = self.account.state
        with world.lock:
            world.run_due()
            yield world

    def refund(
        self, charge_or_intent: str, amount: int | None = None, *, metadata: dict[str, str] | None = None
    ) -> StripeObject:
        """Refund in the dashboard: the whole rest, or `amount` cents."""
        kind = "payment_intent" if charge_or_intent.startswith("pi_") else "charge"
        params = {kind: charge_or_intent, "metadata": metadata or {}}
        with self._state() as world:
            return deepcopy(refunds.create(world, params if amount is None else params | {"amount": amount}))

    def fail_refund(self, refund: str, reason: str = "lost_or_stolen_card") -> StripeObject:
        """Let the customer's bank return the money."""
        with self._state() as world:
            found = world.get("refund", refund)
            refunds.fail(world, found, reason)
            return deepcopy(found)

    def complete_refund(self, refund: str) -> StripeObject:
        """Complete a pending refund."""
        with self._state() as world:
            found = world.get("refund", refund)
            refunds.succeed(world, found)
            return deepcopy(found)

    def create_dispute(
        self,
        charge_or_intent: str,
        *,
        amount: int | None = None,
        inquiry: bool = False,
        reason: str = "fraudulent",
    ) -> StripeObject:
        """Let the customer's bank dispute a charge, or only inquire about it."""
        status = "warning_needs_response" if inquiry else "needs_response"
        with self._state() as world:
            charge_id = charge_or_intent
            if charge_or_intent.startswith("pi_"):
                charge_id = world.get("payment_intent", charge_or_intent)["latest_charge"]
            charge = world.get("charge", charge_id)
            return deepcopy(disputes.make(world, charge, status, amount, reason))

    def move_dispute(self, dispute: str, status: str) -> StripeObject:
        """Let the bank decide: under_review, won, lost, warning_closed, needs_response, appeal_under_review."""
        with self._state() as world:
            found = world.get("dispute", dispute)
            disputes.move(world, found, status)
            return deepcopy(found)

    def delete_customer(self, customer: str) -> StripeObject:
        """Delete a customer in the dashboard, which ends the subscriptions."""
        with self._state() as world:
            return deepcopy(customers.remove(world, world.get("customer", customer)))

    def cancel_subscription(self, subscription: str) -> StripeObject:
        """Cancel a subscription at once in the dashboard."""
        with self._state() as world:
            found = world.get("subscription", subscription)
            cycles.end(world, found, "cancellation_requested")
            return deepcopy(found)

    def pause_subscription(self, subscription: str, why: str = "final_payment_failure") -> StripeObject:
        """Pause a subscription, as Stripe does by itself."""
        with self._state() as world:
            found = world.get("subscription", subscription)
            subscriptions.make_paused(world, found, why)
            return deepcopy(found)

    def invoice_again(self, subscription: str) -> StripeObject:
        """Create a second, paid invoice for the present period, such as an operator's mistake."""
        with self._state() as world:
            found = world.get("subscription", subscription)
            line = cycles.recurring_line(world, found)
            invoice = invoicing.draft(world, found, [line], "subscription_cycle")
            invoicing.finalize(world, invoice)
            invoicing.collect(world, invoice)
            return deepcopy(invoice)

    def add_price(self, price: str, amount: int, *, interval: str = "month", currency: str = "usd") -> StripeObject:
        """Add a price over `amount` cents, with its own product."""
        with self._state() as world:
            product = catalog.add_product(world, f"prod_of_{price}", price)
            return deepcopy(catalog.add_price(world, price, product, amount, interval, currency))

    def set_dunning(self, days: list[int], end: str = "canceled") -> None:
        """Set the days between tries of a failed renewal; then it becomes `canceled`, `unpaid` or `past_due`."""
        self.account.state.dunning_days, self.account.state.dunning_end = tuple(days), end

    def collect_invoice(self, invoice: str) -> StripeObject:
        """Charge the card of an open invoice again, as Stripe does later by itself."""
        with self._state() as world:
            found = world.get("invoice", invoice)
            invoicing.collect(world, found)
            return deepcopy(found)
