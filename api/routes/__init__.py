"""The views of the API, one module per resource."""

from flask import Flask

from api.ops.readiness import Readiness
from api.routes.accounts import (
    access_keys,
    account,
    addresses,
    api_keys,
    auth,
    data_exports,
    devices,
    notifications,
    passwords,
    sessions,
    two_factor,
)
from api.routes.admin import admin
from api.routes.billing import credits, invoices, payment_methods, purchases, stripe_requests, subscriptions, webhooks
from api.routes.executions import bulk, events, executions, expressions, steps, usage
from api.routes.operations import client_config, docs, health, pages
from api.routes.workflows import node_types, schedules, templates, trials, workflow_versions, workflows

ACCOUNTS = (auth, account, addresses, data_exports, passwords, sessions, two_factor, access_keys, pages)
RESOURCES = (
    workflows,
    workflow_versions,
    schedules,
    trials,
    node_types,
    executions,
    bulk,
    steps,
    expressions,
    events,
    templates,
    credits,
    usage,
    devices,
    notifications,
    api_keys,
)
OPERATIONS = (admin, docs, client_config)
BILLING = (purchases, subscriptions, payment_methods, invoices, stripe_requests, webhooks)


def init_app(app: Flask) -> None:
    """Register the blueprints of all resources."""
    readiness = Readiness(app.extensions["change_notifier"].is_draining)
    app.register_blueprint(health.blueprint(app.extensions["broker"], readiness))
    for module in (*ACCOUNTS, *RESOURCES, *BILLING, *OPERATIONS):
        app.register_blueprint(module.bp)
