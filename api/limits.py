"""How often one may ask: strangers by address, users by tier. Counted in Redis; without it, reading goes on.

Keys are the address or the user's id, never something the caller can choose freely.
"""

import hashlib
import math
import time
from collections.abc import Callable
from functools import cache
from urllib.parse import urlsplit

import structlog
from flask import Flask, Response, g, request
from flask_limiter import Limiter, RequestLimit
from limits import parse
from redis.backoff import NoBackoff
from redis.retry import Retry

from api import bodies
from api.limit_storage import PREFIX, RememberedStorage
from models.errors import TransientError
from models.rules.pricing import Tier
from settings import Settings

log = structlog.get_logger(__name__)

STRANGERS = "100 per 15 minutes"
BY_TIER = {Tier.FREE: "60 per minute", Tier.PREMIUM: "300 per minute", Tier.ENTERPRISE: "1200 per minute"}
ATTEMPTS = "5 per 15 minutes"
REMEMBERED = frozenset(RememberedStorage.STORAGE_SCHEME)
KEY_PREFIX, SCOPE = "agentforge", "global"  # as the library calls what all routes share
UNCOUNTED = {"health", "metrics", "webhooks"}  # blueprints; Stripe comes from few addresses, and in bursts
# A request must not wait for a store that is away: one try, one second.
STORE_OPTIONS = {"socket_timeout": 1, "socket_connect_timeout": 1, "retry": Retry(NoBackoff(), 0)}


def _who() -> str:
    user = g.get("user")
    return f"user:{user.id}" if user is not None else f"address:{request.remote_addr}"


def _allowance() -> str:
    user = g.get("user")
    return BY_TIER[user.subscription_tier] if user is not None else STRANGERS


def _account() -> str:
    """An address and the account it tries: neighbours behind one address do not lock each other out."""
    return f"{request.remote_addr}:{bodies.peek('email').strip().lower()[:254]}"


def _link() -> str:
    """An address and the link it tries: nobody guesses one of 256 bits, and neighbours are not locked out."""
    return f"{request.remote_addr}:{hashlib.sha256(bodies.peek('token').encode()).hexdigest()}"


def _refused_as(*codes: str) -> Callable[[Response], bool]:
    """Count a request only when it was refused for one of these reasons."""
    return lambda response: response.status_code >= 400 and (response.get_json(silent=True) or {}).get("code") in codes


class _Limiter(Limiter):
    """Counts what every request is counted by at once. The library finds out anew for each of them that nothing else
    applies before the view, which takes longer than to count; it still does all that is less usual.
    """

    def _check_request_limit(self, callable_name: str | None = None, in_middleware: bool = True) -> None:
        if not (in_middleware and self._counted()):
            super()._check_request_limit(callable_name, in_middleware)

    def _counted(self) -> bool:
        """Whether this request was counted and may go on."""
        if request.blueprint in UNCOUNTED:
            return True
        if self._storage_dead or request.endpoint is None:
            return False
        limit, who = _parsed(_allowance()), (KEY_PREFIX, _who(), SCOPE)
        try:
            if not self.limiter.hit(limit, *who):
                return False
        except Exception as error:  # the library counts in memory then, until the store is back
            log.warning("limits_unreachable", error=type(error).__name__)
            self._storage_dead = True
            return False
        self.context.view_rate_limit = RequestLimit(self, limit, list(who), breached=False, shared=True)
        return True


_parsed = cache(parse)
limiter = _Limiter(
    _who,
    application_limits=[_allowance],
    in_memory_fallback_enabled=True,
    swallow_errors=True,
    headers_enabled=False,  # ours are below: the library puts Retry-After on every answer
    key_prefix=KEY_PREFIX,
    storage_options=STORE_OPTIONS,
)
limiter.request_filter(lambda: request.blueprint in UNCOUNTED)

attempts = limiter.limit(ATTEMPTS, key_func=_account)
failed_attempts = limiter.limit(ATTEMPTS, key_func=_account, deduct_when=_refused_as("wrong_credentials"))
wrong_passwords = limiter.limit(ATTEMPTS, key_func=_who, deduct_when=_refused_as("wrong_password"))
taken_addresses = limiter.limit(ATTEMPTS, key_func=_who, deduct_when=_refused_as("email_taken"))
dead_links = limiter.limit(ATTEMPTS, key_func=_link, deduct_when=_refused_as("reset_token_invalid"))


def init_app(app: Flask, settings: Settings) -> None:
    """Count every request but health checks and webhooks, and tell the caller what is left."""
    url = settings.limiter_url
    app.config["RATELIMIT_STORAGE_URI"] = PREFIX + url if PREFIX + urlsplit(url).scheme in REMEMBERED else url
    limiter.init_app(app)
    app.after_request(_tell)


def require_store() -> None:
    """Guessing passwords and cards must be counted: while nobody counts, neither is tried. Raises `TransientError`."""
    if not limiter.storage.check():
        raise TransientError("This is not possible just now; try again in a moment.")


def _tell(response: Response) -> Response:
    limit = limiter.current_limit
    if limit is None:
        return response
    try:
        left, seconds = limit.remaining, max(0, math.ceil(limit.window[0] - time.time()))
    except Exception as error:  # a count that cannot be read is no reason to fail an answer
        log.warning("limits_unreadable", error=type(error).__name__)
        return response
    response.headers["RateLimit-Limit"] = str(limit.limit.amount)
    response.headers["RateLimit-Remaining"] = str(left)
    response.headers["RateLimit-Reset"] = str(seconds)
    if response.status_code == 429:
        response.headers["Retry-After"] = str(max(1, seconds))
    return response
