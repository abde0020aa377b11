"""Rate limits: by tier for users, by network for anonymous callers, counted in Redis.

While Redis is unavailable, requests are counted in memory and sensitive attempts are rejected (`require_store`). Keys
are the user's id or the caller's network, never a value that the caller can choose freely.
"""

import math
import time
from functools import cache
from urllib.parse import urlsplit

import structlog
from flask import Flask, Response, g, request
from flask_limiter import Limiter, RequestLimit
from limits import parse
from redis.backoff import NoBackoff
from redis.retry import Retry

from api.http.client_address import caller_network
from api.limits.counters import PREFIX, RememberedStorage
from models.errors import TransientError
from models.rules.prices.pricing import Tier
from settings import Settings
from tasks.redis_client import reason_of

log = structlog.get_logger(__name__)

ANONYMOUS = "100 per 15 minutes"
BY_TIER = {Tier.FREE: "300 per minute", Tier.PREMIUM: "1200 per minute", Tier.ENTERPRISE: "6000 per minute"}
REMEMBERED = frozenset(RememberedStorage.STORAGE_SCHEME)
KEY_PREFIX, SCOPE = "agentforge", "global"  # the library's scope for a limit that all routes share
UNCOUNTED = {"health", "webhooks"}  # blueprints; Stripe sends bursts from few addresses
# A request must not wait for an unavailable store: one try, one second.
STORE_OPTIONS = {"socket_timeout": 1, "socket_connect_timeout": 1, "retry": Retry(NoBackoff(), 0)}


def _caller_key() -> str:
    user = g.get("user")
    return f"user:{user.id}" if user is not None else f"address:{caller_network()}"


def _limit_of_tier() -> str:
    user = g.get("user")
    return BY_TIER[user.subscription_tier] if user is not None else ANONYMOUS


class _Limiter(Limiter):
    """Counts the application limit of each request directly.

    The library determines for every request that no other limit applies before the view, which takes longer than the
    counting itself. It still handles everything else, such as exceeded limits and an unavailable store.
    """

    def _check_request_limit(self, callable_name: str | None = None, in_middleware: bool = True) -> None:
        if not (in_middleware and self._counted()):
            super()._check_request_limit(callable_name, in_middleware)

    def _counted(self) -> bool:
        """Count this request; returns False if the library has to handle it, such as above the limit."""
        if request.blueprint in UNCOUNTED:
            return True
        if self._storage_dead or request.endpoint is None:
            return False
        limit, who = _parsed(_limit_of_tier()), (KEY_PREFIX, _caller_key(), SCOPE)
        try:
            if not self.limiter.hit(limit, *who):
                return False
        except Exception as error:  # the library counts in memory until the store is back
            log.warning("limits.unreachable", reason=reason_of(error))
            self._storage_dead = True
            return False
        self.context.view_rate_limit = RequestLimit(self, limit, list(who), breached=False, shared=True)
        return True


_parsed = cache(parse)
limiter = _Limiter(
    _caller_key,
    application_limits=[_limit_of_tier],
    in_memory_fallback_enabled=True,
    swallow_errors=True,
    headers_enabled=False,  # `_set_headers` sets them: the library puts Retry-After on every response
    key_prefix=KEY_PREFIX,
    storage_options=STORE_OPTIONS,
)
limiter.request_filter(lambda: request.blueprint in UNCOUNTED)


def init_app(app: Flask, settings: Settings) -> None:
    """Count every request except health checks and webhooks, and report the remaining requests in headers."""
    url = settings.limiter_url
    app.config["RATELIMIT_STORAGE_URI"] = PREFIX + url if PREFIX + urlsplit(url).scheme in REMEMBERED else url
    limiter.init_app(app)
    app.after_request(_set_headers)


def require_store() -> None:
    """Raise `TransientError` while Redis is unavailable, because guesses of passwords and cards must be counted."""
    if not limiter.storage.check():
        raise TransientError("This is temporarily unavailable; try again in a moment.")


def _set_headers(response: Response) -> Response:
    limit = limiter.current_limit
    if limit is None:
        return response
    try:
        left, seconds = limit.remaining, max(0, math.ceil(limit.window[0] - time.time()))
    except Exception as error:  # a response must not fail because a count cannot be read
        log.warning("limits.unreadable", error=type(error).__name__)
        return response
    response.headers["RateLimit-Limit"] = str(limit.limit.amount)
    response.headers["RateLimit-Remaining"] = str(left)
    response.headers["RateLimit-Reset"] = str(seconds)
    if response.status_code == 429 and "Retry-After" not in response.headers:
        response.headers["Retry-After"] = str(max(1, seconds))
    return response
