"""One module per resource; their views are found here and nowhere else."""

from flask import Flask

from api.routes import (
    access_keys,
    admin,
    api_keys,
    auth,
    credits,
    devices,
    docs,
    executions,
    health,
    invoices,
    metrics,
    pages,
    passwords,
    payment_methods,
    purchases,
    sessions,
    stripe_requests,
    subscriptions,
    templates,
    usage,
    webhooks,
    workflow_versions,
    workflows,
)

ACCOUNTS = (auth, passwords, sessions, access_keys, pages)
RESOURCES = (workflows, workflow_versions, executions, templates, credits, usage, devices, api_keys)
OPERATIONS = (admin, metrics, docs)
BILLING = (purchases, subscriptions, payment_methods, invoices, stripe_requests, webhooks)


def init_app(app: Flask) -> None:
    """Put every resource at its place in the one URL map."""
    app.register_blueprint(health.blueprint(app.extensions["broker"]))
    for module in (*ACCOUNTS, *RESOURCES, *BILLING, *OPERATIONS):
        app.register_blueprint(module.bp)
