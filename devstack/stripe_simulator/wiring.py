"""A world in which everything works together; importing this registers all endpoints."""

from collections.abc import Callable
from functools import partial

from devstack.stripe_simulator import (
    catalog,
    customers,
    cycles,
    disputes,
    invoices,
    invoicing,
    payment_intents,
    payment_methods,
    reading,
    refunds,
    subscriptions,
)
from devstack.stripe_simulator.world import StripeObject, World

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


def new_world(publish: Callable[[StripeObject], None]) -> World:
    """An account with the catalog in it and nothing else; `publish` gets each event and must not block."""
    world = World(publish)
    world.after_payment = partial(invoicing.after_payment, world)
    world.after_charge = partial(disputes.make, world)
    world.before_deletion = partial(cycles.before_deletion, world)
    world.invoice_settled = partial(cycles.invoice_settled, world)
    world.invoice_failed = partial(cycles.invoice_failed, world)
    world.seed = catalog.seed
    world.clear()
    return world
