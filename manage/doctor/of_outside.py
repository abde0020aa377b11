"""Checks of the servers outside: Stripe, the mail server and OpenClaw, asked by a process with the workers' code."""

import json
import subprocess
import sys
from collections.abc import Iterator

from manage.doctor.results import CheckResult, ok, skipped, wrong
from manage.programs import ROOT, environment
from settings import Settings
from variables import SettingsError

SECONDS = 45.0
NEEDS = {  # by probe: the variables, and how to mend it
    "stripe": (("STRIPE_SECRET_KEY",), "Check STRIPE_SECRET_KEY and the way to Stripe; see its status page."),
    "mail": (("SMTP_URL", "MAIL_FROM"), "Check SMTP_URL: its host, port, user and password."),
    "openclaw": (
        ("OPENCLAW_URL", "OPENCLAW_TOKEN"),
        "Start the gateway, and check OPENCLAW_URL and OPENCLAW_TOKEN: docs/openclaw.md.",
    ),
}


def gateways(settings: Settings, problems: SettingsError | None) -> Iterator[CheckResult]:
    """Each server of this role answers and accepts our credentials."""
    given = {
        "stripe": settings.stripe.secret_key,
        "mail": settings.messages.smtp_url,
        "openclaw": settings.openclaw.token,
    }
    unusable = problems.names if problems else frozenset()
    asked = [name for name, value in given.items() if value and unusable.isdisjoint(NEEDS[name][0])]
    said = _ask(asked, lenient=problems is not None) if asked else {}
    for name, (variables, mend) in NEEDS.items():
        if name not in asked:
            yield skipped(name, f"Not asked: {' and '.join(variables)} are not of this process.")
        elif sentence := said.get(name, "It could not be asked."):
            yield wrong(name, sentence, mend)
        else:
            yield ok(name, "It answers and accepts our credentials.")


def _ask(names: list[str], *, lenient: bool) -> dict[str, str]:
    """What is wrong with each server, by its name; empty if the process gives no answer."""
    command = [sys.executable, "-m", "tasks.probes.gateways", *names]
    variables = environment({"AGENTFORGE_ENV": "development"} if lenient else {})
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=SECONDS, check=True
        )
        answers: dict[str, str] = json.loads(done.stdout)
    except (subprocess.SubprocessError, ValueError):
        return {}
    return answers
