"""The web process: it parses, asks, enqueues and answers. `create_app` builds it from settings, without a server."""

from collections.abc import Callable
from typing import Any

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from api import auth, bodies, concurrency, errors, headers, limits, metrics, routes, session, tokens, waiting
from api.broker import Broker
from api.hub import Hub
from api.json import OrjsonProvider
from api.prefix import Prefixes
from models.vault import Vault
from settings import Settings


class App(Flask):
    """Flask, without looking at every function in every request whether it is asynchronous: none of ours is."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """As it is."""
        return func


def create_app(settings: Settings) -> Flask:
    """Build the application; `models.db.connect` must have been called before it answers requests."""
    app = App("agentforge", static_folder=None)
    app.config["PROPAGATE_EXCEPTIONS"] = False  # errors are answered as problem documents, in tests too
    app.extensions["settings"] = settings
    app.extensions["vault"] = Vault(settings.encryption_keys)
    app.extensions["broker"] = Broker(settings.redis_url)
    app.extensions["hub"] = Hub(settings.redis_url)
    app.json = OrjsonProvider(app)
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    # In this order before a request, and backwards after it: settled, waited for, counted, given its headers.
    headers.init_app(app, settings)
    metrics.init_app(app)
    bodies.init_app(app)
    concurrency.init_app(app)
    tokens.init_app(app, settings)
    auth.init_app(app)
    limits.init_app(app, settings)
    waiting.init_app(app)
    session.init_app(app)
    errors.init_app(app)
    routes.init_app(app)
    app.wsgi_app = Prefixes(app.wsgi_app)
    if settings.proxy_hops:
        hops = settings.proxy_hops
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)
    return app
