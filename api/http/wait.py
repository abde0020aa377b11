"""Waits: what a request yields to pause, so that it holds no thread until something wakes it or its time is over.

A view may be a generator that yields `Wait`s and returns its response; an event stream yields `Wait`s between its
messages. Whoever drives it (`api.serving`) waits, and then calls it again in any thread.
"""

import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

from flask import Response

T = TypeVar("T")
Waits = Generator["Wait", None, T]  # of a view or a part of one, which returns T
Messages = Generator["bytes | Wait", None, None]


class Wakeable(Protocol):
    """Something that wakes whoever waits for it, from any thread."""

    def when_woken(self, call: Callable[[], None]) -> None:
        """Call `call` once: now if it was woken since the last wait, or when it is."""

    def close(self, *, is_disconnected: bool = False) -> None:
        """End the wait, for good."""


@dataclass(frozen=True)
class Wait:
    """A pause until `source` wakes, for at most `seconds`; `at_least` are always waited, so that changes gather."""

    source: Wakeable
    seconds: float
    at_least: float = 0.0

    def block(self) -> None:
        """Wait in this thread, for a server without an event loop."""
        woken = threading.Event()
        if self.at_least:
            woken.wait(self.at_least)
        self.source.when_woken(woken.set)
        woken.wait(self.seconds)


class StreamedResponse(Response):
    """A response whose messages come over time. `messages` may pause; iterating over the response blocks instead."""

    def __init__(self, messages: Messages, **options: object) -> None:
        super().__init__(_blocking(messages), **options)  # type: ignore[arg-type]
        self.messages = messages


def _blocking(messages: Messages) -> Iterator[bytes]:
    try:
        for message in messages:
            if isinstance(message, Wait):
                message.block()
            else:
                yield message
    finally:
        messages.close()
