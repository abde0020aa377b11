"""Directives in a prompt, such as `[[sim:delay=2]]`, that cause faults; see the package."""

import re
from collections import Counter
from dataclasses import dataclass

PATTERN = re.compile(r"\[\[sim:([a-z0-9-]+)(?:=([^\]]*))?\]\]")

# Failures of a provider: HTTP status and error type, the event's failoverReason and runtime kind, retries.
FAILURES = {
    "400": (400, "invalid_request_error", "format", None, 0),
    "401": (401, "authentication_error", "auth", None, 0),
    "402": (402, "insufficient_quota", "billing", None, 0),
    "404": (404, "invalid_request_error", "format", "model_not_found", 0),
    "429": (429, "rate_limit_error", "rate_limit", None, 9),
    "500": (502, "api_error", "server_error", None, 7),
    "503": (502, "api_error", "overloaded", None, 7),
    "provider-timeout": (502, "api_error", "timeout", None, 1),
    "overflow": (400, "invalid_request_error", "context_overflow", None, 0),
    "empty": (502, "api_error", "empty_response", None, 1),
    "no-details": (502, "api_error", "no_error_details", None, 1),
    "unclassified": (500, "api_error", "unclassified", None, 1),
}
# Faults that happen once per prompt unless a number says how often.
ONCE = ("drop", "drop-early", "crash", "crash-early", "refuse")


@dataclass(frozen=True)
class Directives:
    """The directives of one prompt, and the prompt without them."""

    directives: dict[str, str]
    prompt: str

    def has(self, name: str) -> bool:
        return name in self.directives

    def text(self, name: str, default: str = "") -> str:
        return self.directives.get(name) or default

    def number(self, name: str, default: float) -> float:
        try:
            return float(self.directives[name])
        except (KeyError, ValueError):
            return default

    @property
    def failure(self) -> str | None:
        return next((name for name in self.directives if name in FAILURES), None)


def parse(message: str, seen: Counter[str]) -> Directives:
    """Read the directives; those with a count are dropped once `seen` has that count."""
    directives: dict[str, str] = {}
    for name, value in PATTERN.findall(message):
        counted = name in FAILURES or name in ONCE
        limit = int(value) if counted and value.isdigit() else (1 if name in ONCE else None)
        if counted and limit is not None:
            mark = f"{name}|{message}"
            if seen[mark] >= limit:
                continue
            seen[mark] += 1
        directives[name] = value
    return Directives(directives, PATTERN.sub("", message).strip())
