"""The wiring of an account's parts; importing it registers all endpoints."""

from collections.abc import Callable
from functools import partial

from simulators.stripe.billing import catalog, cycles, invoices, invoicing, subscriptions
from simulators.stripe.payments import customers, disputes, payment_intents, payment_methods, reading, refunds
from simulators.stripe.state.account_state import AccountState, StripeObject

RESOURCES = (
    customers,
    payment_methods,
    payment_intents,
    reading,
    refunds,
    disputes,
    catalog,
    subscriptions,
    invoices,
)


def new_state(publish: Callable[[StripeObject], None]) -> AccountState:
    """A new account with the catalog; `publish` gets each event and must not block."""
    world = AccountState(publish)
    world.after_payment = partial(invoicing.after_payment, world)
    world.after_charge = partial(disputes.make, world)
    world.before_deletion = partial(cycles.before_deletion, world)
    world.invoice_settled = partial(cycles.invoice_settled, world)
    world.invoice_failed = partial(cycles.invoice_failed, world)
    world.seed = catalog.seed
    world.clear()
    return world
