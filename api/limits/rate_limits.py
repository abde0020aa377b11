"""Rate limits: by tier for users, by network for anonymous callers, counted in Redis.

While Redis is unavailable, requests are counted in memory and sensitive attempts are rejected (`require_store`). Keys
are the user's id or the caller's network, never a value that the caller can choose freely.
"""

import math
import time
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import structlog
from flask import Flask, Response, g, request
from flask_limiter import Limiter
from limits import RateLimitItem, parse
from redis.backoff import NoBackoff
from redis.retry import Retry

from api.http import foreseen
from api.http.client_address import caller_network
from api.limits.counters import PREFIX, RememberedStorage
from models.errors import TransientError
from models.rules.prices.pricing import Tier
from models.tables import User
from settings import Settings
from tasks.redis_client import reason_of

log = structlog.get_logger(__name__)

ANONYMOUS = "100 per 15 minutes"
BY_TIER = {Tier.FREE: "300 per minute", Tier.PREMIUM: "1200 per minute", Tier.ENTERPRISE: "6000 per minute"}
REMEMBERED = frozenset(RememberedStorage.STORAGE_SCHEME)
KEY_PREFIX, SCOPE = "agentforge", "global"  # the library's scope for a limit that all routes share
UNCOUNTED = {"health", "webhooks"}  # blueprints; Stripe sends bursts from few addresses
# A request must not wait for an unavailable store: one try, one second.
STORE_OPTIONS: dict[str, Any] = {"socket_timeout": 1, "socket_connect_timeout": 1, "retry": Retry(NoBackoff(), 0)}


def _caller_key() -> str:
    user = g.get("user")
    return _key_of(user) if user is not None else f"address:{caller_network()}"


def _key_of(user: User) -> str:
    return f"user:{user.id}"


def _limit_of_tier() -> str:
    user = g.get("user")
    return BY_TIER[user.subscription_tier] if user is not None else ANONYMOUS


class RateLimit(NamedTuple):
    """The limit of a request, as its response tells it."""

    amount: int
    remaining: int  # negative if this request exceeds the limit
    ends_at: float  # of its window, in seconds since the epoch


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
        if request.endpoint is None:
            return False
        limit = _parsed(_limit_of_tier())
        counted = foreseen.take(_key(limit, _caller_key())) or self.count([(limit, _caller_key())])[0]
        if counted is None:
            return False
        g.rate_limit = counted
        return counted.remaining >= 0

    def count(self, asked: Sequence[tuple[RateLimitItem, str]]) -> list[RateLimit | None]:
        """Count a request for each limit and caller, in order; each is None if the library has to count."""
        storage = self.storage
        if self._storage_dead or not isinstance(storage, RememberedStorage):
            return [None] * len(asked)
        try:
            found = storage.count_many([(_key(limit, caller), limit.get_expiry()) for limit, caller in asked])
        except Exception as error:  # the library counts in memory until the store is back
            log.warning("limits.unreachable", reason=reason_of(error))
            self._storage_dead = True
            return [None] * len(asked)
        counts = zip(asked, found, strict=True)
        return [RateLimit(limit.amount, limit.amount - number, ends_at) for (limit, _), (number, ends_at) in counts]


def _key(limit: RateLimitItem, caller: str) -> str:
    return limit.key_for(KEY_PREFIX, caller, SCOPE)


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


def count_ahead(users: Sequence[User]) -> list[tuple[str, RateLimit | None]]:
    """Count a request for each of `users`, in order, before it begins: with the key by which it takes its count."""
    asked = [(_parsed(BY_TIER[user.subscription_tier]), _key_of(user)) for user in users]
    return [(_key(*one), counted) for one, counted in zip(asked, limiter.count(asked), strict=True)]


def require_store() -> None:
    """Raise `TransientError` while Redis is unavailable, because guesses of passwords and cards must be counted."""
    if not limiter.storage.check():
        raise TransientError("This is temporarily unavailable; try again in a moment.")


def _set_headers(response: Response) -> Response:
    try:
        limit = _current_limit()
    except Exception as error:  # a response must not fail because a count cannot be read
        log.warning("limits.unreadable", error=type(error).__name__)
        return response
    if limit is None:
        return response
    seconds = max(0, math.ceil(limit.ends_at - time.time()))
    response.headers["RateLimit-Limit"] = str(limit.amount)
    response.headers["RateLimit-Remaining"] = str(limit.remaining)
    response.headers["RateLimit-Reset"] = str(seconds)
    if response.status_code == 429 and "Retry-After" not in response.headers:
        response.headers["Retry-After"] = str(max(1, seconds))
    return response


def _current_limit() -> RateLimit | None:
    """The limit that the library applied, such as one that is exceeded, or the one that we counted."""
    limit = limiter.current_limit
    if limit is None:
        counted: RateLimit | None = g.get("rate_limit")
        return counted
    return RateLimit(limit.limit.amount, limit.remaining, limit.window[0])
