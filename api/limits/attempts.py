"""Limits of attempts that are counted by their outcome: sign-up, sign-in, passwords, links.

Attempts count by the caller's network, and guesses of passwords count by account too. An attempt acquires a slot
before it begins and releases it at its end, so that concurrent attempts cannot exceed the limit. If other attempts
hold all slots, it waits a little for their end.
"""

import hashlib
import math
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import ParamSpec, TypeVar

from flask import g, request
from flask_limiter import RequestLimit
from limits import RateLimitItem, parse
from redis.exceptions import RedisError

from api.http import parsing
from api.http.client_address import caller_network
from api.http.session import close, db
from api.limits.concurrency import slot_released
from api.limits.rate_limits import KEY_PREFIX, limiter, require_store
from models.errors import ForgeError, Quota, TooManyAttempts, TransientError
from models.services.operations import audit

ATTEMPTS = parse("5 per 15 minutes")  # of one network, or one user
# Guesses at one account from networks that its owner did not sign in from: a few at once, and then fewer and fewer.
GUESSES = (parse("10 per 15 minutes"), parse("20 per 2 hours"), parse("40 per day"))
UNDER_WAY_SECONDS = 60  # after which the slot of an attempt whose process died is free again
SLOT_TIMEOUT_SECONDS = 5.0
POLL_SECONDS = 0.1

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class AttemptLimit:
    """The limit of attempts by one key, such as of one network at sign-in."""

    limit: RateLimitItem
    key: tuple[str, ...]

    @property
    def used(self) -> int:
        """The number of attempts counted in the current window."""
        return limiter.storage.get(self.limit.key_for(*self.key))

    @property
    def is_used_up(self) -> bool:
        """Whether no attempt is left in the current window."""
        return self.used >= self.limit.amount

    def count(self) -> None:
        """Count one attempt."""
        limiter.limiter.hit(self.limit, *self.key)

    def acquire_slot(self) -> bool:
        """Acquire one of the free slots; returns False if none is free."""
        if self._add_under_way(1) + self.used <= self.limit.amount:
            return True
        self.release_slot()
        return False

    def release_slot(self) -> None:
        """Release the slot."""
        self._add_under_way(-1)

    def _add_under_way(self, by: int) -> int:
        return limiter.storage.incr(self.limit.key_for(*self.key, "under-way"), UNDER_WAY_SECONDS, by)


AttemptLimits = Callable[[], Collection[AttemptLimit]]


def by_network() -> Collection[AttemptLimit]:
    """The limits by the caller's network at this route."""
    return [AttemptLimit(ATTEMPTS, (KEY_PREFIX, "attempts", request.endpoint or "", caller_network()))]


def by_user() -> Collection[AttemptLimit]:
    """The limits by the signed-in user at this route."""
    return [AttemptLimit(ATTEMPTS, (KEY_PREFIX, "attempts", request.endpoint or "", str(g.user.id)))]


def by_account() -> Collection[AttemptLimit]:
    """The limits by the account of the body's `email`, whether or not it exists.

    Once they are used up, networks from which the owner signed in recently are exempt, so that guesses from other
    networks do not lock the owner out.
    """
    email = parsing.peek("email").strip().lower()[:254]
    key = (KEY_PREFIX, "guesses", hashlib.sha256(email.encode(errors="surrogatepass")).hexdigest())
    found = [AttemptLimit(limit, key) for limit in GUESSES]
    is_used_up = any(attempt_limit.is_used_up for attempt_limit in found)
    return [] if is_used_up and audit.is_familiar_network(db(), email, caller_network()) else found


def counted(
    *sources: AttemptLimits, codes: Collection[str], successes: bool = False
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a view so that its failed attempts are limited; raises `TooManyAttempts` and `TransientError`.

    Args:
        sources: functions that return the limits of the current request.
        codes: codes of the errors that count as an attempt.
        successes: whether the view's success counts too.
    """

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def tried(*args: P.args, **kwargs: P.kwargs) -> R:
            require_store()
            with _store_errors():
                attempt_limits = [attempt_limit for source in sources for attempt_limit in source()]
            with _slots(attempt_limits):
                try:
                    response = view(*args, **kwargs)
                except ForgeError as error:
                    if error.code in codes:
                        _count(attempt_limits)
                    raise
                if successes:
                    _count(attempt_limits)
                return response

        return tried

    return decorate


@contextmanager
def _slots(attempt_limits: Collection[AttemptLimit]) -> Iterator[None]:
    with ExitStack() as taken:
        for attempt_limit in attempt_limits:
            with _store_errors():
                _wait_for_slot(attempt_limit)
            taken.callback(_release, attempt_limit)
        yield


def _wait_for_slot(attempt_limit: AttemptLimit) -> None:
    until = time.monotonic() + SLOT_TIMEOUT_SECONDS
    while not attempt_limit.acquire_slot():
        if attempt_limit.is_used_up:
            raise _too_many_attempts(attempt_limit)
        if time.monotonic() > until:
            raise TransientError("Too many of your attempts are under way; try again in a moment.")
        close()
        with slot_released():
            time.sleep(POLL_SECONDS)


def _count(attempt_limits: Collection[AttemptLimit]) -> None:
    with _store_errors():
        for attempt_limit in attempt_limits:
            attempt_limit.count()


def _release(attempt_limit: AttemptLimit) -> None:
    with _store_errors():
        attempt_limit.release_slot()


def _too_many_attempts(attempt_limit: AttemptLimit) -> TooManyAttempts:
    limit = limiter.context.view_rate_limit = RequestLimit(
        limiter, attempt_limit.limit, list(attempt_limit.key), breached=True, shared=True
    )
    minutes = max(1, math.ceil((limit.window[0] - time.time()) / 60))
    amount = attempt_limit.limit.amount
    return TooManyAttempts(f"Too many attempts; try again in {minutes} minutes.", quota=Quota(amount, amount))


@contextmanager
def _store_errors() -> Iterator[None]:
    """Turn errors of the store into `TransientError`: attempts that cannot be counted are not allowed."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise TransientError("This is temporarily unavailable; try again in a moment.") from error


attempts = counted(by_network, codes=("email_taken",), successes=True)
failed_attempts = counted(by_network, by_account, codes=("wrong_credentials", "wrong_two_factor_code"))
wrong_passwords = counted(by_user, codes=("wrong_password",))
dead_links = counted(by_network, codes=("reset_token_invalid", "link_invalid"))
