"""The simulator as a whole: a port with an account behind it, and time that passes; in threads, for tests and stack."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from devstack.stripe_simulator.account import Account
from devstack.stripe_simulator.controls import Controls
from devstack.stripe_simulator.server import Server

SECRET_KEY = "sk_test_simulator"
WEBHOOK_SECRET = "whsec_simulator"
_TICK = 0.5  # seconds between looks at what is due


class StripeSimulator(Controls):
    """A running simulator, with all the controls; every method may be called from any thread."""

    def __init__(
        self, secret_key: str, webhook_url: str, webhook_secret: str | list[str], port: int, host: str
    ) -> None:
        super().__init__(Account(secret_key))
        self.set_webhook(webhook_url, webhook_secret)
        self.webhook_secret = self.account.postman.secrets[0]
        self._server = Server((host, port), self)
        self.port: int = self._server.server_address[1]
        self.account.world.base_url = self.url
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._listen, self._tick)]

    @property
    def url(self) -> str:
        """What `STRIPE_API_BASE` is set to."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def secret_key(self) -> str:
        """The server's key."""
        return self.account.secret_key

    @property
    def publishable_key(self) -> str:
        """The app's key."""
        return self.account.publishable_key

    def start(self) -> None:
        self.account.postman.start()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self.account.postman.stop()
        for thread in self._threads:
            thread.join(10)

    def _listen(self) -> None:
        self._server.serve_forever(poll_interval=0.05)

    def _tick(self) -> None:
        while not self._stopped.wait(_TICK):
            self.account.world.run_due()


@contextmanager
def running_stripe_simulator(
    *,
    secret_key: str = SECRET_KEY,
    webhook_url: str = "",
    webhook_secret: str | list[str] = WEBHOOK_SECRET,
    port: int = 0,
    host: str = "127.0.0.1",
) -> Iterator[StripeSimulator]:
    """A simulator in threads of this process. Without a `webhook_url` events are only listed, not sent."""
    simulator = StripeSimulator(secret_key, webhook_url, webhook_secret, port, host)
    simulator.start()
    try:
        yield simulator
    finally:
        simulator.stop()
