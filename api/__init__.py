"""The web process, which parses requests, calls services, enqueues tasks and responds. `create_app` builds it."""

from pathlib import Path
from typing import TYPE_CHECKING

from werkzeug.middleware.proxy_fix import ProxyFix

from api import routes
from api.auth import authenticate, known_callers, tokens
from api.http import errors, headers, parsing, session
from api.http.console import Console
from api.http.json import OrjsonProvider
from api.http.mounts import Mount, Mounts
from api.jobs import prefer_wait
from api.limits import body_budget, concurrency, rate_limits
from api.live.change_notifier import ChangeNotifier
from api.ops import metrics
from api.routes.workflows import preconditions
from api.serving.request_run import App
from models.vault import Vault
from settings import Settings
from tasks.probes.broker import BrokerProbe

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

CONSOLE = Path(__file__).parent.parent / "console" / "dist"


def create_app(settings: Settings) -> App:
    """Build the application from settings; `models.db.connect` must be called before it serves requests."""
    app = App("agentforge")
    app.config["PROPAGATE_EXCEPTIONS"] = False  # errors become problem documents, in tests too
    app.extensions["settings"] = settings
    app.extensions["vault"] = Vault(settings.encryption_keys)
    app.extensions["broker"] = BrokerProbe(settings.redis_url, settings.broker_url)
    app.extensions["change_notifier"] = ChangeNotifier(settings.redis_url)
    app.json = OrjsonProvider(app)
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    # Hooks run in this order before a request, and in reverse after it: the session commits, and then the response is
    # counted and gets its headers.
    headers.init_app(app, settings)
    metrics.init_app(app)
    body_budget.init_app(app)
    parsing.init_app(app)
    concurrency.init_app(app)
    tokens.init_app(app, settings)
    known_callers.init_app(app, settings)
    authenticate.init_app(app)
    rate_limits.init_app(app, settings)
    app.after_view = prefer_wait.await_result
    session.init_app(app, settings.replica_urls)
    errors.init_app(app)
    preconditions.init_app(app)
    routes.init_app(app)
    _wrap(app, settings)
    return app


def _wrap(app: App, settings: Settings) -> None:
    """Put the console, the mount points and the proxies before the routes."""
    outermost: WSGIApplication = Console(Mounts(app.wsgi_app), CONSOLE, is_secure=settings.environment == "production")
    if settings.proxy_prefix_hops:
        outermost = Mount(outermost)
    if hops := settings.proxy_hops:
        prefix_hops = settings.proxy_prefix_hops
        outermost = ProxyFix(outermost, x_for=hops, x_proto=hops, x_host=hops, x_prefix=prefix_hops)
    app.wsgi_app = outermost  # type: ignore[assignment, method-assign]  # as Flask documents it
