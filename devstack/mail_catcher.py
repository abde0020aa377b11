"""Takes every mail and every push notification, delivers none, and shows them on a page.

    python -m devstack.mail_catcher --port 18793 --smtp-port 18794

An address whose local part ends in `+450`, `+550` or any other status is refused with it, by SMTP; a device token with
`gone`, `later` or `429` in it is refused as Expo would.
"""

import argparse
import re
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from devstack.mail_page import PageServer
from devstack.ports import LOOPBACK

KEPT = 1000
LONGEST = 1024 * 1024  # bytes of one mail
WISHED_STATUS = re.compile(r"\+([245]\d\d)@")


@dataclass(frozen=True)
class Caught:
    """One mail as it came."""

    at: datetime
    to: tuple[str, ...]
    encrypted: bool
    login: str  # who had signed in, empty for nobody
    message: EmailMessage

    @property
    def subject(self) -> str:
        return str(self.message["Subject"])

    @property
    def text(self) -> str:
        body = self.message.get_body(("plain",))
        return body.get_content() if body else ""


@dataclass
class MailCatcher:
    """A running catcher: its addresses, and what it caught, oldest first."""

    smtp_url: str
    url: str
    mails: list[Caught] = field(default_factory=list)
    pushes: list[dict[str, Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)  # lines to answer the next mails' DATA with, or "hang up", "hang"
    stopping: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def keep(self, mail: Caught) -> None:
        """Remember a mail, and forget the oldest of too many."""
        with self.lock:
            self.mails.append(mail)
            del self.mails[:-KEPT]

    def next_failure(self) -> str:
        """What a test wants to go wrong now."""
        with self.lock:
            return self.failures.pop(0) if self.failures else ""


@contextmanager
def running_mail_catcher(
    port: int = 0, smtp_port: int = 0, *, tls: ssl.SSLContext | None = None, implicit_tls: bool = False
) -> Iterator[MailCatcher]:
    """A catcher in this process, stopped at the end; with `tls` it offers STARTTLS, or speaks it from the start."""
    smtp = _Server((LOOPBACK, smtp_port), _Conversation)
    page = PageServer((LOOPBACK, port))
    scheme = "smtps" if implicit_tls else "smtp"
    addresses = f"{scheme}://{LOOPBACK}:{smtp.server_address[1]}", f"http://{LOOPBACK}:{page.server_address[1]}"
    smtp.catcher = page.catcher = catcher = MailCatcher(*addresses)
    smtp.tls, smtp.implicit_tls = tls, implicit_tls
    threads = [
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        for server in (smtp, page)
    ]
    for thread in threads:
        thread.start()
    try:
        yield catcher
    finally:
        catcher.stopping.set()
        for server, thread in zip((smtp, page), threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    catcher: MailCatcher
    tls: Any  # an SSLContext, or None
    implicit_tls: bool

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is not worth a stack trace."""


class _Conversation(socketserver.StreamRequestHandler):
    """One connection, which speaks as much SMTP as clients need."""

    server: _Server
    timeout = 60

    def setup(self) -> None:
        if self.server.implicit_tls:
            self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        self.encrypted = self.server.implicit_tls
        self.login, self.to = "", list[str]()
        super().setup()

    def handle(self) -> None:
        """Answer line by line until the client leaves."""
        self._say("220 catcher ready")
        while line := self.rfile.readline(1000).decode("utf-8", "replace").strip():
            word, _, rest = line.partition(" ")
            if not self._answer(word.upper(), rest):
                return

    def finish(self) -> None:
        """Close what encryption put in the place of the socket that the server knows."""
        with suppress(OSError):
            super().finish()
        self.request.close()

    def _answer(self, word: str, rest: str) -> bool:
        """Answer one command; False when the conversation is over."""
        match word:
            case "EHLO" | "HELO":
                self._say("250-catcher", *(["250-STARTTLS"] if self._may_encrypt() else []), "250 AUTH PLAIN")
            case "STARTTLS" if self._may_encrypt():
                self._encrypt()
            case "AUTH":
                self.login = rest
                self._say("235 welcome")
            case "RCPT":
                self._recipient(rest)
            case "DATA":
                return self._data()
            case "QUIT":
                self._say("221 goodbye")
                return False
            case "MAIL" | "RSET" | "NOOP":
                self.to = [] if word != "NOOP" else self.to
                self._say("250 ok")
            case _:
                self._say("502 what?")
        return True

    def _may_encrypt(self) -> bool:
        return self.server.tls is not None and not self.encrypted

    def _encrypt(self) -> None:
        self._say("220 go ahead")
        self.request = self.connection = self.server.tls.wrap_socket(self.request, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", buffering=0)
        self.encrypted = True

    def _recipient(self, rest: str) -> None:
        address = rest.partition(":")[2].strip().strip("<>")
        wished = WISHED_STATUS.search(address)
        if wished is None:
            self.to.append(address)
        self._say(f"{wished[1]} as you wish" if wished else "250 ok")

    def _data(self) -> bool:
        """Read the message to its lone dot, keep it, and say so, or do what a test wants instead."""
        self._say("354 go on")
        lines = []
        while (line := self.rfile.readline(LONGEST)) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b"."))
        failure = self.server.catcher.next_failure()
        if failure == "hang":
            self.server.catcher.stopping.wait(3600)
        if not failure or failure == "hang up":  # having taken it, which the client cannot know
            message = message_from_bytes(b"".join(lines), policy=policy.default)
            now = datetime.now(UTC)
            self.server.catcher.keep(Caught(now, tuple(self.to), self.encrypted, self.login, message))
        if failure.startswith("hang"):
            return False
        self._say(failure or "250 caught")
        return True

    def _say(self, *lines: str) -> None:
        with suppress(OSError):
            self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())


def main() -> None:
    """Catch until interrupted."""
    parser = argparse.ArgumentParser(description="Catches mails and push notifications and shows them.")
    parser.add_argument("--port", type=int, default=18793, help="of the page")
    parser.add_argument("--smtp-port", type=int, default=18794)
    args = parser.parse_args()
    with running_mail_catcher(args.port, args.smtp_port) as catcher:
        print(f"mail catcher: send to {catcher.smtp_url}, read at {catcher.url}", flush=True)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
