"""Pauses: what a request yields so that it holds no thread until something wakes it, its time is over or rows are read.

A view may be a generator that yields pauses and returns its response; an event stream yields pauses between its
messages. Whoever drives it (`api.serving`) waits and reads, and then resumes it in any thread with what was read.
"""

import threading
from collections.abc import Callable, Collection, Generator, Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from flask import Response

T = TypeVar("T")
Waits = Generator["Pause", Any, T]  # of a view or a part of one, which returns T
Messages = Generator["bytes | Pause", Any, None]
# Reads what belongs to each key, in transactions of its own. A value may be the exception to raise for that key.
Load = Callable[[Collection[Any]], Mapping[Any, Any]]


class Wakeable(Protocol):
    """Something that wakes whoever waits for it, from any thread."""

    def when_woken(self, call: Callable[[], object]) -> None:
        """Call `call` once: now if it was woken since the last wait, or when it is."""

    def take_wake(self) -> bool:
        """Whether it was woken since the last call of this; False once it is closed."""

    def close(self, *, is_disconnected: bool = False) -> None:
        """End the wait, for good."""


@dataclass(frozen=True)
class Read:
    """A pause in which `key` is read, by one call of `load` for all requests that pause for it at the moment."""

    load: Load
    key: Hashable

    def block(self) -> Any:
        """Read in this thread; returns the answer for `resume`."""
        return read(self.load, {self.key})[self.key]


@dataclass(frozen=True)
class Wait:
    """A pause until `source` wakes, for at most `seconds`; `at_least` are always waited, so that changes gather.

    Once it was woken, `then` is read, which resumes the request; otherwise it is resumed with None.
    """

    source: Wakeable
    seconds: float
    at_least: float = 0.0
    then: Read | None = None

    def block(self) -> Any:
        """Wait in this thread, for a server without an event loop; returns the answer for `resume`."""
        woken = threading.Event()
        if self.at_least:
            woken.wait(self.at_least)
        self.source.when_woken(woken.set)
        woken.wait(self.seconds)
        return self.then.block() if self.then and self.source.take_wake() else None


Pause = Wait | Read


class _Woken:
    """A `Wakeable` for which nobody has to wait."""

    def when_woken(self, call: Callable[[], object]) -> None:
        call()

    def take_wake(self) -> bool:
        return False

    def close(self, *, is_disconnected: bool = False) -> None:
        """There is nothing to end."""


def in_own_thread() -> Wait:
    """A pause that ends at once, after which a request goes on in its own thread and slot, not in those of a batch."""
    return Wait(_Woken(), 0.0)


class StreamedResponse(Response):
    """A response whose messages come over time. `messages` may pause; iterating over the response blocks instead."""

    def __init__(self, messages: Messages, **options: object) -> None:
        super().__init__(_blocking(messages), **options)  # type: ignore[arg-type]
        self.messages = messages


def read(load: Load, keys: Collection[Any]) -> Mapping[Any, Any]:
    """The answers for `resume` by key: what `load` has read, or the exception that it raised."""
    try:
        return load(keys)
    except Exception as error:  # each of the requests that wait for it has to handle it
        return dict.fromkeys(keys, error)


def resume(steps: Generator[T, Any, Any], answer: Any = None) -> T:
    """Run a generator until its next pause, with the answer to the last one; an exception is raised in it."""
    return steps.throw(answer) if isinstance(answer, Exception) else steps.send(answer)


def next_messages(messages: Messages, answer: Any = None) -> tuple[bytes, Pause | None]:
    """What is to be sent now, and the pause after it; None at the end."""
    found = []
    try:
        message = resume(messages, answer)
        while isinstance(message, bytes):
            found.append(message)
            message = next(messages)
    except StopIteration:
        return b"".join(found), None
    return b"".join(found), message


def _blocking(messages: Messages) -> Iterator[bytes]:
    answer = None
    try:
        while True:
            message = resume(messages, answer)
            if isinstance(message, bytes):
                yield message
            answer = None if isinstance(message, bytes) else message.block()
    except StopIteration:
        return
    finally:
        messages.close()
