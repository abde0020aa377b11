"""Helpers for tests of the Stripe simulator: the real library as client, and a receiver of webhooks."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import stripe

from simulators.stripe import StripeSimulator

HERE = {"enabled": True, "allow_redirects": "never"}  # cards only, so that no return_url is needed


def client_of(
    simulator: StripeSimulator, *, key: str = "", retries: int = 0, timeout: float = 5
) -> stripe.StripeClient:
    """The real library, pointed at the simulator."""
    return stripe.StripeClient(
        key or simulator.secret_key,
        base_addresses={"api": simulator.url},
        max_network_retries=retries,
        http_client=stripe.RequestsClient(timeout=timeout),
    )


def pay(client: stripe.StripeClient, method: str = "pm_card_visa", **more: Any) -> stripe.PaymentIntent:
    """Create a payment that is confirmed at once."""
    params = {"amount": 999, "currency": "usd", "payment_method": method, "confirm": True}
    return client.v1.payment_intents.create(params | {"automatic_payment_methods": HERE} | more)


def subscribe(client: stripe.StripeClient, method: str = "pm_card_visa", **more: Any) -> stripe.Subscription:
    """Create a customer and their subscription, charged at once to a card."""
    customer = client.v1.customers.create({"email": "ada@example.com"})
    card = client.v1.payment_methods.attach(method, {"customer": customer.id})
    params = {"customer": customer.id, "items": [{"price": "price_premium_monthly"}], "default_payment_method": card.id}
    return client.v1.subscriptions.create(params | more)


def item_of(subscription: stripe.Subscription) -> stripe.SubscriptionItem:
    """Its one item (`items` is a method of every object of the library)."""
    return subscription["items"].data[0]


class Receiver:
    """A webhook endpoint that records requests; `answers` are the statuses of its next responses, then 200."""

    def __init__(self) -> None:
        self.requests: list[tuple[bytes, str | None]] = []
        self.answers: list[int] = []
        self.url = ""

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for body, _ in self.requests]

    def types(self) -> list[str]:
        return [event["type"] for event in self.events()]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A running receiver."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.requests.append((body, self.headers.get("Stripe-Signature")))
            self.send_response(receiver.answers.pop(0) if receiver.answers else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    receiver.url = f"http://127.0.0.1:{server.server_port}/webhooks/stripe"
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
