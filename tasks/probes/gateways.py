"""Probes of Stripe, the mail server and OpenClaw, with the gateways and secrets that workers use:

python -m tasks.probes.gateways stripe mail openclaw

Prints a JSON document with a sentence by name: what is wrong, or an empty one. It changes nothing anywhere.
"""

import json
import logging
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing

import logs
from models.errors import ForgeError
from tasks.bootstrap import settings
from workers.gateways.mail import MailGateway
from workers.gateways.openclaw import make_openclaw
from workers.gateways.stripe.errors import StripeMisconfigured
from workers.gateways.stripe.gateway import StripeGateway

SECONDS = 10.0


def _stripe() -> None:
    gateway = StripeGateway(settings.stripe.secret_key, settings.stripe.base_url, timeout=SECONDS, retries=0)
    next(iter(gateway.events(created=int(time.time()))), None)


def _mail() -> None:
    MailGateway(settings.messages.smtp_url, settings.messages.mail_from, seconds=SECONDS).check()


def _openclaw() -> None:
    with closing(make_openclaw(settings.openclaw)) as gateway:
        gateway.agents()


PROBES: dict[str, Callable[[], None]] = {"stripe": _stripe, "mail": _mail, "openclaw": _openclaw}


def probe(name: str) -> str:
    """What is wrong with a server, as a sentence without secrets; empty if it accepts our credentials."""
    try:
        PROBES[name]()
    except StripeMisconfigured as failure:  # its sentence for users does not say so
        return f"Stripe does not accept our key ({type(failure).__name__})."
    except ForgeError as failure:
        return failure.detail
    except Exception as error:
        return f"The probe failed with {type(error).__name__}."
    return ""


def main(names: Sequence[str]) -> int:
    """Print what is wrong with each of `names`; returns the exit status."""
    logs.configure(settings.log_format, level=logging.CRITICAL, stream=sys.stderr)
    sys.stdout.write(json.dumps({name: probe(name) for name in names}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
