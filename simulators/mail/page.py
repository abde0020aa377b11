"""The catcher's page, and a simulator of Expo's push service."""

import json
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

from simulators.mail.caught import MailCatcher

PUSH_PATH, RECEIPTS_PATH = "/--/api/v2/push/send", "/--/api/v2/push/getReceipts"
MAX_RECEIPTS = 1000  # Expo's limit for one request
RECEIPT_ERRORS = {"removed": "DeviceNotRegistered", "uncertified": "InvalidCredentials"}  # by a word in the token
MAX_BODY = 1024 * 1024
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="5">
<meta name="viewport" content="width=device-width"><title>Caught mail</title>
<style>body{{font:16px/1.5 system-ui;max-width:46rem;margin:2rem auto;padding:0 1rem}}
article{{border-top:1px solid #ccc;padding:1rem 0}}h2{{font-size:1rem;margin:0}}small{{color:#555}}
pre{{white-space:pre-wrap;font:inherit}}</style><h1>Caught mail</h1><p>Nothing leaves this machine.</p>{}</html>"""
ENTRY = "<article><h2>{}</h2><small>{}</small><pre>{}</pre></article>"


class PageServer(ThreadingHTTPServer):
    """Serves the page, the same data as JSON, and the push API."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], catcher: MailCatcher) -> None:
        super().__init__(address, _MailPageHandler)
        self.catcher = catcher

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that disconnect."""


class _MailPageHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: PageServer

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""

    def do_GET(self) -> None:
        if self.path == "/":
            self._send(200, PAGE.format(_entries(self.server.catcher)).encode(), "text/html; charset=utf-8")
        elif self.path == "/messages.json":
            self._json(200, {"mails": _mails(self.server.catcher), "pushes": self.server.catcher.pushes})
        else:
            self._json(404, {"errors": [{"code": "NOT_FOUND", "message": "There is nothing here."}]})

    def do_POST(self) -> None:
        body = self.rfile.read(min(int(self.headers.get("content-length") or 0), MAX_BODY))
        if self.path == RECEIPTS_PATH:
            return self._receipts(body)
        if self.path != PUSH_PATH:
            return self._json(404, {"errors": [{"code": "NOT_FOUND", "message": "There is nothing here."}]})
        try:
            given = json.loads(body)
            messages = given if isinstance(given, list) else [given]
            tokens = [message["to"] for message in messages]
        except (ValueError, KeyError, TypeError):
            return self._json(400, {"errors": [{"code": "VALIDATION_ERROR", "message": "Not a list of messages."}]})
        if any("429" in token for token in tokens):
            return self._json(
                429, {"errors": [{"code": "TOO_MANY_REQUESTS", "message": "Later."}]}, {"Retry-After": "1"}
            )
        return self._json(200, {"data": [self._take(message) for message in messages]})

    def _take(self, message: dict[str, Any]) -> dict[str, Any]:
        """The ticket for one message, which is stored unless Expo would refuse its token."""
        token = message["to"]
        if not token.startswith("ExponentPushToken["):
            return {"status": "error", "message": "Not a push token.", "details": {"error": "InvalidToken"}}
        for sign, word in (("gone", "DeviceNotRegistered"), ("later", "MessageRateExceeded")):
            if sign in token:
                return {"status": "error", "message": f"{word}.", "details": {"error": word}}
        catcher = self.server.catcher
        with catcher.lock:
            catcher.pushes.append(message)
            del catcher.pushes[:-1000]
            ticket = str(uuid4())
            catcher.tickets[ticket] = token
            return {"status": "ok", "id": ticket}

    def _receipts(self, body: bytes) -> None:
        """Respond with the receipts of messages, by ticket; unknown tickets are left out."""
        try:
            tickets = json.loads(body)["ids"]
            if not isinstance(tickets, list) or len(tickets) > MAX_RECEIPTS:
                raise ValueError
        except (ValueError, KeyError, TypeError):
            return self._json(400, {"errors": [{"code": "VALIDATION_ERROR", "message": "Not a list of ids."}]})
        known = self.server.catcher.tickets
        return self._json(200, {"data": {ticket: _receipt(known[ticket]) for ticket in tickets if ticket in known}})

    def _json(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(body).encode(), "application/json", headers)

    def _send(self, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _receipt(token: str) -> dict[str, Any]:
    """The receipt of a push; it has the errors that only Apple or Google report."""
    for sign, word in RECEIPT_ERRORS.items():
        if sign in token:
            return {"status": "error", "message": f"{word}.", "details": {"error": word}}
    return {"status": "ok"}


def _mails(catcher: MailCatcher) -> list[dict[str, Any]]:
    with catcher.lock:
        caught = list(catcher.mails)
    return [{"at": mail.at.isoformat(), "to": mail.to, "subject": mail.subject, "text": mail.text} for mail in caught]


def _entries(catcher: MailCatcher) -> str:
    mails = [
        (mail["subject"], f"{mail['at']:.19} to {', '.join(mail['to'])}", mail["text"]) for mail in _mails(catcher)
    ]
    pushes = [(push.get("title", ""), f"push to {push['to']}", push.get("body", "")) for push in catcher.pushes]
    entries = [ENTRY.format(*map(escape, entry)) for entry in [*reversed(mails), *reversed(pushes)]]
    return "".join(entries) or "<p>Nothing was sent yet.</p>"
