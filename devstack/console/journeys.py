"""Journeys through the console in Chromium, on a stack of their own.

Arguments go to Playwright: a file, `-g` with a part of a title, `--headed`. CHROMIUM names the browser.
"""

import os
import sys
import tempfile
from pathlib import Path

from devstack import control
from devstack.console import build
from devstack.control import RunningStack
from devstack.processes.process import DevstackError

BROWSER = "/usr/bin/chromium"
ANY_PORT = {"PORT": "0", "FLOWER_PORT": "0", "METRICS_PORT": "0"}
BEHIND_A_PROXY = {"PROXY_HOPS": "1"}  # each journey names an address of its own, because sign-ups are limited by it


def main(arguments: list[str]) -> int:
    """Run the journeys; returns the exit status."""
    browser = os.environ.get("CHROMIUM") or BROWSER
    if not os.access(browser, os.X_OK):
        raise DevstackError(f"There is no {browser}. Install Debian's package chromium, or let CHROMIUM name one.")
    build.build()
    with tempfile.TemporaryDirectory(prefix="agentforge-console-") as directory:
        return _on_a_stack(Path(directory), browser, arguments)


def _on_a_stack(directory: Path, browser: str, arguments: list[str]) -> int:
    """Start a stack for the journeys, and stop it in any case."""
    env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    try:
        stack = control.ensure_up(directory, env | ANY_PORT | BEHIND_A_PROXY)
        variables = _variables(stack) | {"CHROMIUM": browser}
        return build.npm(["run", "--silent", "e2e", "--", *arguments], variables=variables).wait()
    finally:
        control.stop(directory)


def _variables(stack: RunningStack) -> dict[str, str]:
    """Where the journeys find what they need."""
    return {
        "CONSOLE_URL": f"{stack.addresses['api']}/console/",
        "MAIL_URL": stack.addresses["mail"],
        "STACK_PID": str(stack.pid),
        "DATABASE_URL": stack.addresses["database"],  # and PYTHON: an operator's command line makes administrators
        "PYTHON": sys.executable,
    }
