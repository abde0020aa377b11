"""Detects clients that disconnect while they wait for a response."""

import selectors
import socket
from collections.abc import Callable

Socket = socket.socket


class Disconnects:
    """Watches many sockets at once. Any thread may call `watch` and `forget`, one thread calls `poll`."""

    def __init__(self) -> None:
        self._sockets = selectors.DefaultSelector()

    def watch(self, client: Socket, on_disconnect: Callable[[], None]) -> None:
        """Call `on_disconnect`, in the polling thread, when the other side closes `client`."""
        try:
            self._sockets.register(client, selectors.EVENT_READ, on_disconnect)
        except (KeyError, ValueError, OSError):  # the socket is closed, or of a kind that cannot be watched
            return

    def forget(self, client: Socket) -> None:
        """Stop watching `client`."""
        try:
            self._sockets.unregister(client)
        except (KeyError, ValueError, OSError):
            return

    def poll(self, seconds: float) -> None:
        """Wait `seconds` for clients that disconnect and call their `on_disconnect`."""
        for key, _ in self._sockets.select(seconds):
            client, on_disconnect = key.fileobj, key.data
            if not isinstance(client, socket.socket):
                continue
            self.forget(client)  # a client that has sent its next request would be ready again and again
            if is_disconnected(client):
                on_disconnect()

    def close(self) -> None:
        """Close the selector."""
        self._sockets.close()


def is_disconnected(client: Socket) -> bool:
    """Whether the other side closed the connection."""
    try:
        return client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except (BlockingIOError, ValueError):  # nothing was sent; or the socket is encrypted and takes no flags
        return False
    except OSError:
        return True
