"""One process's line to Stripe: built once, asks with patience, and hands over plain values.

The SDK repeats lost connections, 409 and 5xx twice under the same key, but never a 429; that is done here. No object of
the SDK leaves this module: what callers get is dictionaries that JSON can hold.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, TypeVar

import stripe

from workers.gateways.stripe_errors import ours, retry_after

Json = Any
Plain = dict[str, Any]
T = TypeVar("T")

TIMEOUT_SECONDS = 10.0
NETWORK_RETRIES = 2
PATIENCE_SECONDS = 4.0  # for being told 429, in one call; after that the job waits instead of its thread
FIRST_PAUSE = 0.25
PAGE = 100

# At DEBUG the SDK logs whole answers, client secrets included; and it would tell Stripe about this machine.
logging.getLogger("stripe").setLevel(logging.WARNING)
stripe.enable_telemetry = False


class StripeLine:
    """Connections belong to threads, so any number of them may ask at once."""

    def __init__(
        self, secret_key: str, base_url: str = "", *, timeout: float = TIMEOUT_SECONDS, retries: int = NETWORK_RETRIES
    ) -> None:
        """`base_url` replaces Stripe's address, for a simulator; `timeout` in seconds, for each try."""
        self.v1 = stripe.StripeClient(
            secret_key,
            base_addresses={"api": base_url.rstrip("/")} if base_url else None,
            max_network_retries=retries,
            http_client=stripe.RequestsClient(timeout=timeout),
        ).v1

    def ask(
        self, call: Callable[..., stripe.StripeObject], *path: str, key: str | None = None, **params: Json
    ) -> Plain:
        """Make one call and answer its object as plain values.

        Args:
            call: a method of `v1`.
            path: the ids in the call's address.
            key: the idempotency key, from our row; every POST that makes something has one.
            params: the call's parameters; those that are None are left out.

        Raises:
            StripeFailed: one of its kinds.
        """
        given = {name: value for name, value in params.items() if value is not None}
        options = {"idempotency_key": key} if key else {}
        return plain(_patiently(partial(call, *path, params=given, options=options)))

    def every(self, listing: Callable[..., stripe.ListObject[Any]], *path: str, **params: Json) -> Iterator[Plain]:
        """All objects of a list, newest first, page by page; each page is asked for with the same patience."""
        given = {name: value for name, value in params.items() if value is not None} | {"limit": PAGE}
        while True:
            page = _patiently(partial(listing, *path, params=given))
            yield from map(plain, page.data)
            if not page.has_more or not page.data:
                return
            given = given | {"starting_after": page.data[-1].id}


def plain(found: stripe.StripeObject) -> Plain:
    """The object as JSON's own values; exact decimals become text."""
    return found.to_dict(for_json=True)


def since(moment: int | None) -> Mapping[str, int] | None:
    """The filter for objects created at `moment` (unix seconds) or later."""
    return None if moment is None else {"gte": moment}


def _patiently(call: Callable[[], T]) -> T:
    """Ask again when told 429, for a few seconds at most, not before Stripe wants it."""
    until = time.monotonic() + PATIENCE_SECONDS
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
