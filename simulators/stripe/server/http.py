"""The HTTP server: Stripe's API under /v1, the controls under /_control, receipts and invoices for browsers."""

import contextlib
import json
import socket
import struct
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from simulators.stripe.server.account import RecordedCall
from simulators.stripe.server.controls import Controls
from simulators.stripe.state.account_state import AccountState, StripeObject
from simulators.stripe.state.errors import StripeError
from simulators.stripe.state.faults import Cut
from simulators.stripe.state.idempotency import StoredResponse


class StripeServer(ThreadingHTTPServer):
    """Serves one account; a thread for each connection."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], controls: Controls) -> None:
        self.controls = controls
        self._open: set[socket.socket] = set()
        super().__init__(address, StripeHandler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """Stop listening, and close open connections."""
        super().server_close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore callers that disconnect; print other errors, which are bugs."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class StripeHandler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # one packet for head and body
    server: StripeServer

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""

    def _serve(self) -> None:
        address = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        try:
            if address.path.startswith("/_control/"):
                answer, kind = self._control(address.path.removeprefix("/_control/"), body), "application/json"
            elif address.path.startswith("/v1/"):
                call = RecordedCall(self.command, address.path, body or address.query, self.headers)
                answer, kind = self.server.controls.account.answer(call), "application/json"
            else:
                if self.command == "POST":
                    self._decide(address.path, body)
                answer, kind = show(self.server.controls.account.state, address.path)
        except Cut as cut:
            self._cut(cut)
        else:
            self._send(answer, kind)

    def _control(self, name: str, body: str) -> StoredResponse:
        try:
            result = self.server.controls.call(name, json.loads(body) if body else {})
        except StripeError as error:
            return StoredResponse(error.status, json.dumps(error.body).encode())
        except (TypeError, ValueError, LookupError) as error:
            return StoredResponse(400, json.dumps({"error": {"message": str(error)}}).encode())
        return StoredResponse(200, json.dumps(result).encode())

    def _decide(self, path: str, body: str) -> None:
        """Carry out what a customer decided on the page of the bank; a second decision changes nothing."""
        place, _, intent = path.strip("/").partition("/")
        controls = self.server.controls
        with contextlib.suppress(StripeError):
            if place == "3d_secure":
                controls.complete_3ds(intent) if "approve" in body else controls.fail_3ds(intent)

    def _send(self, answer: StoredResponse, kind: str) -> None:
        self.send_response(answer.status)
        headers = {"Content-Type": kind, "Content-Length": str(len(answer.body)), "Access-Control-Allow-Origin": "*"}
        for name, value in (headers | answer.headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    def _cut(self, cut: Cut) -> None:
        """End the connection without a response."""
        time.sleep(cut.seconds)
        if cut.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.rfile.close()  # the socket is closed with its last file object, which sends the reset
            self.connection.close()
        self.close_connection = True


def show(world: AccountState, path: str) -> tuple[StoredResponse, str]:
    """The page and its media type."""
    place, _, name = path.strip("/").partition("/")
    found = world.find(name.removesuffix("/pdf"))
    if place == "invoices" and found and found["object"] == "invoice":
        text = f"Invoice {found['number']}: {found['total'] / 100:.2f} {found['currency'].upper()}, {found['status']}"
        if name.endswith("/pdf"):
            return StoredResponse(200, pdf(text)), "application/pdf"
        return StoredResponse(200, text.encode()), "text/plain; charset=utf-8"
    if place == "3d_secure" and found:
        return StoredResponse(200, bank_page(found).encode()), "text/html; charset=utf-8"
    if place == "receipts" and found:
        return StoredResponse(200, f"{place} {found['id']}".encode()), "text/plain; charset=utf-8"
    if place == "health":
        return StoredResponse(200, b"ok"), "text/plain; charset=utf-8"
    return StoredResponse(404, b"There is nothing here."), "text/plain; charset=utf-8"


def bank_page(intent: StripeObject) -> str:
    """The page on which a bank asks its customer; the buttons send the customer's decision back to this address."""
    paid = f"{intent['amount'] / 100:.2f} {intent['currency'].upper()}"
    if intent["status"] == "requires_action":
        words = f"Do you want to pay {paid}?"
        form = (
            '<form method="post"><button name="decision" value="approve">Approve</button> '
            '<button name="decision" value="refuse">Refuse</button></form>'
        )
    else:
        words, form = f"The payment of {paid} is {intent['status'].replace('_', ' ')}. You can close this page.", ""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        "<title>Test bank</title><style>body{font:1.1rem/1.6 system-ui;max-width:28rem;margin:12vh auto;padding:1rem}"
        "button{font:inherit;padding:.6rem 1.4rem}</style>"
        f"<h1>Test bank</h1><p>{words}</p>{form}</html>"
    )


def pdf(text: str) -> bytes:
    """A PDF of one line, small and valid."""
    stream = f"BT /F1 14 Tf 60 760 Td ({text.replace('(', '[').replace(')', ']')}) Tj ET".encode("latin-1", "replace")
    bodies = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R "
        b"/Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
    ]
    made, places = b"%PDF-1.4\n", []
    for number, body in enumerate(bodies, 1):
        places.append(len(made))
        made += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    tail = b"trailer\n<< /Size 5 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % len(made)
    return made + b"xref\n0 5\n0000000000 65535 f \n" + table + tail
