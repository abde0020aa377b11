"""What the owner of the Stripe account does in its dashboard, and what banks and time do."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy

from devstack.stripe_simulator import catalog, customers, cycles, disputes, invoicing, refunds, subscriptions
from devstack.stripe_simulator.account import Account
from devstack.stripe_simulator.world import StripeObject, World


class OperatorControls:
    """Refunds, disputes, deletions, the catalog, dunning."""

    account: Account

    @contextmanager
    def _world(self) -> Iterator[World]:
        world = self.account.world
        with world.lock:
            world.run_due()
            yield world

    def refund(
        self, charge_or_intent: str, amount: int | None = None, *, metadata: dict[str, str] | None = None
    ) -> StripeObject:
        """Give money back as in the dashboard; all that is left, or `amount` cents."""
        kind = "payment_intent" if charge_or_intent.startswith("pi_") else "charge"
        params = {kind: charge_or_intent, "metadata": metadata or {}}
        with self._world() as world:
            return deepcopy(refunds.create(world, params if amount is None else params | {"amount": amount}))

    def fail_refund(self, refund: str, reason: str = "lost_or_stolen_card") -> StripeObject:
        """The customer's bank sends the money back."""
        with self._world() as world:
            found = world.get("refund", refund)
            refunds.fail(world, found, reason)
            return deepcopy(found)

    def complete_refund(self, refund: str) -> StripeObject:
        """A pending refund arrives."""
        with self._world() as world:
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
        """The customer's bank disputes a charge, or only asks about it."""
        status = "warning_needs_response" if inquiry else "needs_response"
        with self._world() as world:
            charge_id = charge_or_intent
            if charge_or_intent.startswith("pi_"):
                charge_id = world.get("payment_intent", charge_or_intent)["latest_charge"]
            charge = world.get("charge", charge_id)
            return deepcopy(disputes.make(world, charge, status, amount, reason))

    def move_dispute(self, dispute: str, status: str) -> StripeObject:
        """The bank decides: under_review, won, lost, warning_closed, needs_response, appeal_under_review."""
        with self._world() as world:
            found = world.get("dispute", dispute)
            disputes.move(world, found, status)
            return deepcopy(found)

    def delete_customer(self, customer: str) -> StripeObject:
        """Delete a customer in the dashboard; the subscriptions end."""
        with self._world() as world:
            return deepcopy(customers.remove(world, world.get("customer", customer)))

    def cancel_subscription(self, subscription: str) -> StripeObject:
        """Cancel it at once in the dashboard."""
        with self._world() as world:
            found = world.get("subscription", subscription)
            cycles.end(world, found, "cancellation_requested")
            return deepcopy(found)

    def pause_subscription(self, subscription: str, why: str = "final_payment_failure") -> StripeObject:
        """Stripe pauses it by itself."""
        with self._world() as world:
            found = world.get("subscription", subscription)
            subscriptions.make_paused(world, found, why)
            return deepcopy(found)

    def invoice_again(self, subscription: str) -> StripeObject:
        """A second, paid invoice for the present period, such as an operator makes by mistake."""
        with self._world() as world:
            found = world.get("subscription", subscription)
            line = cycles.recurring_line(world, found)
            invoice = invoicing.draft(world, found, [line], "subscription_cycle")
            invoicing.finalize(world, invoice)
            invoicing.collect(world, invoice)
            return deepcopy(invoice)

    def add_price(self, price: str, amount: int, *, interval: str = "month", currency: str = "usd") -> StripeObject:
        """A further price, with a product of its own; `amount` in cents."""
        with self._world() as world:
            product = catalog.add_product(world, f"prod_of_{price}", price)
            return deepcopy(catalog.add_price(world, price, product, amount, interval, currency))

    def set_dunning(self, days: list[int], end: str = "canceled") -> None:
        """Days from one failed renewal payment to the next try; then `canceled`, `unpaid` or `past_due`."""
        self.account.world.dunning_days, self.account.world.dunning_end = tuple(days), end

    def collect_invoice(self, invoice: str) -> StripeObject:
        """Try the card of an open invoice again, as Stripe does by itself later."""
        with self._world() as world:
            found = world.get("invoice", invoice)
            invoicing.collect(world, found)
            return deepcopy(found)
