"""A TCP server whose every byte a test decides, and a small internet in which it has a public address."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

Serve = Callable[[socket.socket], None]


@dataclass
class RawServer:
    """A running server: its port, the number of connections, and the requests."""

    port: int
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def authority(self) -> str:
        return f"127.0.0.1:{self.port}"

    def url(self, path: str = "/") -> str:
        return f"http://{self.authority}{path}"


def answer(body: bytes = b"ok", *, status: str = "200 OK", **headers: str) -> bytes:
    """A complete HTTP response; header names are written with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in {"Content-Length": str(len(body)), **named}.items())
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + body


def redirect(to: str, status: int = 302) -> bytes:
    return answer(b"", status=f"{status} Elsewhere", Location=to)


@contextmanager
def raw_server(*script: bytes | Serve, tls: ssl.SSLContext | None = None) -> Iterator[RawServer]:
    """Answer the first request with the first item of `script`, and so on; the last one is repeated."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = RawServer(listener.getsockname()[1])
    threads: list[threading.Thread] = []

    def converse(sock: socket.socket) -> None:
        with (
            contextlib.suppress(OSError),
            contextlib.closing(tls.wrap_socket(sock, server_side=True) if tls else sock) as line,
        ):
            while request := read_request(line):
                server.requests.append(request)
                step = script[min(len(server.requests), len(script)) - 1]
                if callable(step):
                    step(line)
                    return
                line.sendall(step)

    def listen() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            sock.settimeout(20)
            server.connections += 1
            threads.append(threading.Thread(target=converse, args=(sock,), daemon=True))
            threads[-1].start()

    threading.Thread(target=listen, daemon=True).start()
    try:
        yield server
    finally:
        server.stopping.set()
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def read_request(sock: socket.socket) -> bytes:
    """Read one request with its body; empty when the client has disconnected."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(65536)
        if not more:
            return b""
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(v) for n, _, v in map(_split, head.split(b"\r\n")) if n.lower() == b"content-length"), 0)
    while len(body) < length:
        body += sock.recv(65536)
    return head + b"\r\n\r\n" + body


def _split(line: bytes) -> tuple[bytes, bytes, bytes]:
    return line.partition(b":")


class Drip:
    """Sends `first` at once and then byte after byte, each within the timeout of a single read."""

    def __init__(self, drops: bytes, *, first: bytes = b"") -> None:
        self.first, self.drops = first, drops
        self.finished = False  # whether the client read the last byte

    def __call__(self, sock: socket.socket) -> None:
        sock.sendall(self.first)
        for index in range(len(self.drops)):
            time.sleep(0.05)
            self.finished = index == len(self.drops) - 1
            sock.sendall(self.drops[index : index + 1])


def silence(sock: socket.socket) -> None:
    """Never respond; end when the client disconnects."""
    while sock.recv(65536):
        pass


class Internet:
    """Public addresses, each of them one of the test's servers; other addresses are unreachable, and recorded."""

    def __init__(self) -> None:
        self.sites: dict[str, int] = {}
        self.dialled: list[str] = []
        self._connect = socket.socket.connect

    def connect(self, sock: socket.socket, address: tuple[str, int]) -> None:
        """Replaces socket.connect."""
        self.dialled.append(address[0])
        if address[0] in self.sites:
            self._connect(sock, ("127.0.0.1", self.sites[address[0]]))
        elif address[0] in ("127.0.0.1", "::1"):
            self._connect(sock, address)
        else:
            raise ConnectionRefusedError(111, "not in this internet")
