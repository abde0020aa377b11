"""Connections to a real server around the application, and what is said on them."""

import json
import socket
import time
from dataclasses import dataclass
from typing import Any, Self


@dataclass
class Answer:
    """One response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Line:
    """A connection of a client that says exactly what it is told to."""

    def __init__(self, port: int, token: str = "") -> None:
        self.token = token
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._read = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def send(self, raw: bytes) -> None:
        self._socket.sendall(raw)

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> None:
        """Send a whole request."""
        lines = [f"{method} {path} HTTP/1.1", "Host: test"]
        lines += [f"Authorization: Bearer {self.token}"] if self.token else []
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"] if body else []
        self.send("\r\n".join([*lines, "", ""]).encode() + body)

    def answer(self) -> Answer:
        """The next response, which must tell its length."""
        head = self.until(b"\r\n\r\n").decode()
        status, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        length = int(headers.get("content-length", 0)) if "transfer-encoding" not in headers else 0
        while len(self._read) < length:
            self._more()
        body, self._read = self._read[:length], self._read[length:]
        return Answer(int(status.split()[1]), headers, body)

    def until(self, mark: bytes) -> bytes:
        """What comes up to and with `mark`."""
        while mark not in self._read:
            self._more()
        found, _, self._read = self._read.partition(mark)
        return found + mark

    def is_cut_within(self, seconds: float) -> bool:
        """Whether the server closes the connection by then, whatever else it sends."""
        until = time.monotonic() + seconds
        try:
            while (left := until - time.monotonic()) > 0:
                self._socket.settimeout(left)
                if not self._socket.recv(65536):
                    return True
        except TimeoutError:
            return False
        except OSError:
            return True
        return False

    def _more(self) -> None:
        data = self._socket.recv(65536)
        assert data, f"the server hung up after {self._read!r}"
        self._read += data
