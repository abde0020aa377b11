"""Ask a stack for its health, and describe problems in sentences."""

import json
import time
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import urlopen

from models.serialization import Json

FIRST_SECONDS = 15.0  # for which a stack that was just started may not be up


def ask(url: str) -> Json:
    """The response of `/health` of the API at `url`, whatever its status."""
    try:
        with urlopen(f"{url}/health", timeout=10) as answer:
            return json.load(answer)
    except HTTPError as error:
        with error:
            return json.load(error)


def ask_until_up(url: str, seconds: float = FIRST_SECONDS) -> Json:
    """Ask until it reports `up`, or for `seconds`; return the last response."""
    until = time.monotonic() + seconds
    while True:
        try:
            said = ask(url)
        except (OSError, HTTPException, ValueError) as error:
            said = {"overall": "down", "api": f"down ({type(error).__name__})"}
        if said["overall"] == "up" or time.monotonic() > until:
            return said
        time.sleep(0.5)


def troubles(said: Json) -> list[str]:
    """The parts that have problems, as sentences; empty when all is up."""
    words = [
        f"{name} is {said[name]}" for name in ("api", "database", "redis", "beat", "stripe") if _is_bad(said.get(name))
    ]
    words += [
        f"queue {name} is {queue['status']}"
        for name, queue in said.get("queues", {}).items()
        if _is_bad(queue["status"])
    ]
    counts = {"unresponsiveWorkers": "workers are unresponsive", "failingThreads": "kinds of threads failed lately"}
    return words + [f"{said[name]} {what}" for name, what in counts.items() if said.get(name)]


def _is_bad(word: str | None) -> bool:
    return word not in (None, "up", "unknown")
