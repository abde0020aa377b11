"""Run the simulator in the foreground until SIGTERM or Ctrl-C."""

import argparse
import os
import signal
import threading

from devstack.servers.ports import port_of_program
from simulators.stripe import running_stripe_simulator


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m simulators.stripe", description="A Stripe to test with.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, help="default: 12111, or the next free one")
    parser.add_argument("--key", default=os.environ.get("STRIPE_SECRET_KEY", "sk_test_simulator"))
    parser.add_argument("--webhook-url", default="")
    parser.add_argument(
        "--webhook-secret",
        help="one, or several separated by commas, as during a rotation",
        default=os.environ.get("STRIPE_WEBHOOK_SECRET", "whsec_simulator"),
    )
    args = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with running_stripe_simulator(
        secret_key=args.key,
        webhook_url=args.webhook_url,
        webhook_secret=args.webhook_secret.split(","),
        port=port_of_program(args.port, 12111),
        host=args.host,
    ) as simulator:
        print(f"Stripe simulator on {simulator.url}, publishable key {simulator.publishable_key}", flush=True)
        stop.wait()


if __name__ == "__main__":
    main()
