"""The complete simulator: an account behind a port, with a clock, in threads."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from simulators.stripe.server.account import Account
from simulators.stripe.server.controls import Controls
from simulators.stripe.server.http import StripeServer

SECRET_KEY = "sk_test_simulator"
WEBHOOK_SECRET = "whsec_simulator"
_TICK = 0.5  # seconds between checks for due jobs


class StripeSimulator(Controls):
    """A running simulator with all its controls; methods may be called from any thread."""

    def __init__(
        self, secret_key: str, webhook_url: str, webhook_secret: str | list[str], port: int, host: str
    ) -> None:
        super().__init__(Account(secret_key))
        self.set_webhook(webhook_url, webhook_secret)
        self.webhook_secret = self.account.dispatcher.secrets[0]
        self._server = StripeServer((host, port), self)
        self.port: int = self._server.server_address[1]
        self.account.state.base_url = self.url
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._listen, self._tick)]

    @property
    def url(self) -> str:
        """The value for `STRIPE_API_BASE`."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def secret_key(self) -> str:
        """The server's secret key."""
        return self.account.secret_key

    @property
    def publishable_key(self) -> str:
        """The app's publishable key."""
        return self.account.publishable_key

    def start(self) -> None:
        self.account.dispatcher.start()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self.account.dispatcher.stop()
        for thread in self._threads:
            thread.join(10)

    def _listen(self) -> None:
        self._server.serve_forever(poll_interval=0.05)

    def _tick(self) -> None:
        while not self._stopped.wait(_TICK):
            self.account.state.run_due()


@contextmanager
def running_stripe_simulator(
    *,
    secret_key: str = SECRET_KEY,
    webhook_url: str = "",
    webhook_secret: str | list[str] = WEBHOOK_SECRET,
    port: int = 0,
    host: str = "127.0.0.1",
) -> Iterator[StripeSimulator]:
    """Run a simulator in threads of this process. Without a `webhook_url` events are listed but not sent."""
    simulator = StripeSimulator(secret_key, webhook_url, webhook_secret, port, host)
    simulator.start()
    try:
        yield simulator
    finally:
        simulator.stop()
