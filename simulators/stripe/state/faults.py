"""Injected faults of calls: before their effect, after it, or after a delay."""

import threading
from dataclasses import dataclass
from fnmatch import fnmatchcase

from simulators.stripe.state.errors import StripeError, forbidden, rate_limited, server_error, unavailable

KINDS = ("timeout", "reset", "slow", "403", "429", "500", "503")


class Cut(Exception):
    """End the connection without a response, after `seconds`; `reset` says how."""

    def __init__(self, seconds: float, *, reset: bool) -> None:
        super().__init__()
        self.seconds = seconds
        self.reset = reset


@dataclass
class InjectedFault:
    """A fault for the next `times` calls of `method` (any if `*`) to a path like `path` (which may contain `*`)."""

    method: str
    path: str
    kind: str
    when: str = "before"  # or `after` the effect
    times: int = 1
    seconds: float = 30.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS or self.when not in ("before", "after"):
            raise ValueError(f"no fault is {self.kind} {self.when}")
        if self.when == "after" and self.kind not in ("timeout", "reset", "500"):
            raise ValueError(f"a {self.kind} has no effect, so it cannot come after it")

    def answer(self) -> StripeError | Cut | None:
        """The error that replaces the response; None for a call that is only slow."""
        match self.kind:
            case "timeout" | "reset":
                return Cut(self.seconds if self.kind == "timeout" else 0.0, reset=self.kind == "reset")
            case "403":
                return forbidden()
            case "429":
                return rate_limited()
            case "503":
                return unavailable()
            case "500":
                return server_error()
        return None


class Faults:
    """The faults that wait for their calls."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[InjectedFault] = []

    def add(self, fault: InjectedFault) -> None:
        with self._lock:
            self._waiting.append(fault)

    def clear(self) -> None:
        with self._lock:
            self._waiting.clear()

    def take(self, method: str, path: str) -> InjectedFault | None:
        """Take the first fault for this call."""
        with self._lock:
            for fault in self._waiting:
                if fault.method in ("*", method) and fnmatchcase(path, fault.path):
                    fault.times -= 1
                    self._waiting = [one for one in self._waiting if one.times > 0]
                    return fault
        return None
