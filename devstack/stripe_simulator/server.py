"""The HTTP side: Stripe's API under /v1, the controls under /_control, receipts and invoices for browsers."""

import contextlib
import json
import socket
import struct
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from devstack.stripe_simulator.account import Call
from devstack.stripe_simulator.controls import Controls
from devstack.stripe_simulator.errors import StripeError
from devstack.stripe_simulator.faults import Cut
from devstack.stripe_simulator.idempotency import Answer
from devstack.stripe_simulator.pages import show


class Server(ThreadingHTTPServer):
    """Serves one account; a thread for each connection."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], controls: Controls) -> None:
        self.controls = controls
        self._open: set[socket.socket] = set()
        super().__init__(address, Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """Stop listening, and hang up on those who still hold a connection."""
        super().server_close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing about callers that hang up; the rest is a bug of ours and is shown."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # one packet for head and body
    server: Server

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged."""

    def _serve(self) -> None:
        address = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        try:
            if address.path.startswith("/_control/"):
                answer, kind = self._control(address.path.removeprefix("/_control/"), body), "application/json"
            elif address.path.startswith("/v1/"):
                call = Call(self.command, address.path, body or address.query, self.headers)
                answer, kind = self.server.controls.account.answer(call), "application/json"
            else:
                answer, kind = show(self.server.controls.account.world, address.path)
        except Cut as cut:
            self._cut(cut)
        else:
            self._send(answer, kind)

    def _control(self, name: str, body: str) -> Answer:
        try:
            result = self.server.controls.call(name, json.loads(body) if body else {})
        except StripeError as error:
            return Answer(error.status, json.dumps(error.body).encode())
        except (TypeError, ValueError, LookupError) as error:
            return Answer(400, json.dumps({"error": {"message": str(error)}}).encode())
        return Answer(200, json.dumps(result).encode())

    def _send(self, answer: Answer, kind: str) -> None:
        self.send_response(answer.status)
        headers = {"Content-Type": kind, "Content-Length": str(len(answer.body)), "Access-Control-Allow-Origin": "*"}
        for name, value in (headers | answer.headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    def _cut(self, cut: Cut) -> None:
        """End the connection without an answer."""
        time.sleep(cut.seconds)
        if cut.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.rfile.close()  # the socket closes with its last user, so that the reset is sent now
            self.connection.close()
        self.close_connection = True
