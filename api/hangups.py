"""Notices clients that hang up while they wait for an answer."""

import selectors
import socket
from collections.abc import Callable

Line = socket.socket


class Hangups:
    """Watches many sockets at once. `watch` and `forget` are for all threads, `look` is for one."""

    def __init__(self) -> None:
        self._lines = selectors.DefaultSelector()

    def watch(self, line: Line, on_hangup: Callable[[], None]) -> None:
        """Call `on_hangup`, in the thread that looks, when the other side closes `line`."""
        try:
            self._lines.register(line, selectors.EVENT_READ, on_hangup)
        except (KeyError, ValueError, OSError):  # it is closed, or nothing that can be watched
            return

    def forget(self, line: Line) -> None:
        """Watch it no more."""
        try:
            self._lines.unregister(line)
        except (KeyError, ValueError, OSError):
            return

    def look(self, seconds: float) -> None:
        """Wait that long for lines that hang up."""
        for key, _ in self._lines.select(seconds):
            line, on_hangup = key.fileobj, key.data
            if not isinstance(line, socket.socket):
                continue
            self.forget(line)  # one that sends its next request already would be ready again and again
            if hung_up(line):
                on_hangup()

    def close(self) -> None:
        """Give the descriptor back."""
        self._lines.close()


def hung_up(line: Line) -> bool:
    """Whether nobody is at the other end any more."""
    try:
        return line.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except (BlockingIOError, ValueError):  # nothing was sent; or the socket is encrypted and cannot be asked
        return False
    except OSError:
        return True
