"""The Stripe client of a process: built once, retries on 429, returns plain dictionaries.

The SDK retries lost connections, 409 and 5xx twice under the same key, but never a 429; that is done here. No object of
the SDK leaves this module: callers get dictionaries of JSON values.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, TypeVar

import stripe

from models.serialization import Json
from workers.gateways.stripe.errors import ours, retry_after

StripeObject = dict[str, Any]
Created = int | Mapping[str, int]  # unix seconds: since when, or {"gte", "lt"}
T = TypeVar("T")

TIMEOUT_SECONDS = 10.0
NETWORK_RETRIES = 2
RETRY_BUDGET_SECONDS = 4.0  # of waiting after 429 in one call; after that the task is retried later
FIRST_PAUSE = 0.25
PAGE = 100

# At DEBUG the SDK logs whole responses, client secrets included; telemetry would send Stripe data of this machine.
logging.getLogger("stripe").setLevel(logging.WARNING)
stripe.enable_telemetry = False


class StripeClient:
    """Makes Stripe calls; each thread has its own connections, so many threads may call at once."""

    def __init__(
        self, secret_key: str, base_url: str = "", *, timeout: float = TIMEOUT_SECONDS, retries: int = NETWORK_RETRIES
    ) -> None:
        """`base_url` replaces Stripe's address, for a simulator; `timeout` is in seconds, for each try."""
        self.v1 = stripe.StripeClient(
            secret_key,
            base_addresses={"api": base_url.rstrip("/")} if base_url else None,
            max_network_retries=retries,
            http_client=stripe.RequestsClient(timeout=timeout),
        ).v1

    def request(
        self, call: Callable[..., stripe.StripeObject], *path: str, key: str | None = None, **params: Json
    ) -> StripeObject:
        """Make one call and return its object as a plain dictionary.

        Args:
            call: a method of `v1`.
            path: the ids in the call's address.
            key: the idempotency key, stored in our row; every POST that creates something has one.
            params: the call's parameters; those that are None are left out.

        Raises:
            StripeFailed: one of its subclasses.
        """
        given = {name: value for name, value in params.items() if value is not None}
        options = {"idempotency_key": key} if key else {}
        return as_object(_with_retries(partial(call, *path, params=given, options=options)))

    def every(
        self, listing: Callable[..., stripe.ListObject[Any]], *path: str, **params: Json
    ) -> Iterator[StripeObject]:
        """Yield all objects of a list, newest first, page by page; each page has its own retry budget."""
        given = {name: value for name, value in params.items() if value is not None} | {"limit": PAGE}
        while True:
            page = _with_retries(partial(listing, *path, params=given))
            yield from map(as_object, page.data)
            if not page.has_more or not page.data:
                return
            given = given | {"starting_after": page.data[-1].id}


def as_object(found: stripe.StripeObject) -> StripeObject:
    """The object as JSON values; exact decimals become text."""
    return found.to_dict(for_json=True)


def since(moment: Created | None) -> Mapping[str, int] | None:
    """The filter for objects created at `moment` (unix seconds) or later, or within a range."""
    return {"gte": moment} if isinstance(moment, int) else moment


def _with_retries(call: Callable[[], T]) -> T:
    """Retry on 429 within the retry budget, respecting Stripe's Retry-After."""
    until = time.monotonic() + RETRY_BUDGET_SECONDS
    pause = FIRST_PAUSE
    while True:
        try:
            return call()
        except stripe.RateLimitError as error:
            wait = max(pause, retry_after(error) or 0.0)
            if time.monotonic() + wait > until:
                raise ours(error) from None
        except stripe.StripeError as error:
            raise ours(error) from None
        time.sleep(wait)
        pause *= 2
