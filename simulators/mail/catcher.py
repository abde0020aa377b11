"""Accept every mail and every push notification, deliver none, and show them on a page.

    python -m simulators.mail.catcher --port 18793 --smtp-port 18794

SMTP refuses an address whose local part ends in `+450`, `+550` or any other status with that status. A device token
that contains `gone`, `later` or `429` is refused as by Expo; one that contains `removed` or `uncertified` is accepted,
and its receipt has the error.
"""

import argparse
import asyncio
import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email import message_from_bytes, policy
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from devstack.servers.ports import LOOPBACK, port_of_program
from simulators.mail.caught import Caught, MailCatcher
from simulators.mail.page import PageServer

MAX_MAIL_BYTES = 1024 * 1024  # bytes of one mail
MAX_SILENCE_SECONDS = 60.0  # of a client
REQUESTED_STATUS = re.compile(r"\+([245]\d\d)@")


@contextmanager
def running_mail_catcher(
    port: int = 0,
    smtp_port: int = 0,
    *,
    host: str = LOOPBACK,
    tls: ssl.SSLContext | None = None,
    implicit_tls: bool = False,
) -> Iterator[MailCatcher]:
    """Run a catcher in this process for the block; with `tls` it offers STARTTLS, or uses TLS from the start."""
    catcher = MailCatcher()
    smtp = _SmtpServer(catcher, (host, smtp_port), tls, implicit_tls)
    with PageServer((host, port), catcher) as page:
        serving = threading.Thread(target=page.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        serving.start()
        smtp.start()
        catcher.smtp_url, catcher.url = smtp.url, f"http://{LOOPBACK}:{page.server_address[1]}"
        try:
            yield catcher
        finally:
            smtp.stop()
            page.shutdown()
            serving.join()


class _SmtpServer(Controller):
    """aiosmtpd in its own thread, on the next free port if the port is 0."""

    def __init__(
        self, catcher: MailCatcher, address: tuple[str, int], tls: ssl.SSLContext | None, implicit_tls: bool
    ) -> None:
        super().__init__(
            _MailHandler(catcher),
            *address,
            ssl_context=tls if implicit_tls else None,
            tls_context=None if implicit_tls else tls,
            server_hostname="catcher",
            data_size_limit=MAX_MAIL_BYTES,
            timeout=MAX_SILENCE_SECONDS,
            auth_require_tls=False,
            authenticator=_accept_login,
        )
        self.scheme = "smtps" if implicit_tls else "smtp"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{LOOPBACK}:{self.port}"

    def _trigger_server(self) -> None:
        """Learn the port, to which aiosmtpd connects once before `start` returns."""
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


def _accept_login(server: SMTP, session: Session, envelope: Envelope, mechanism: str, login: Any) -> AuthResult:
    return AuthResult(success=True, auth_data=login)


class _MailHandler:
    """Decides about recipients and messages; aiosmtpd calls its methods by name."""

    def __init__(self, catcher: MailCatcher) -> None:
        self._catcher = catcher

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if requested := REQUESTED_STATUS.search(address):
            return f"{requested[1]} as you wish"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Store the message and accept it, or fail as a test requests."""
        failure = self._catcher.next_failure()
        if not failure or failure == "hang up":  # the message is stored, but the client does not learn that
            self._catcher.keep(_caught(server, session, envelope))
        if failure == "hang up":
            server.transport.abort()
        if failure.startswith("hang"):
            await asyncio.Event().wait()  # aiosmtpd cancels it when the connection ends
        return failure or "250 caught"


def _caught(server: SMTP, session: Session, envelope: Envelope) -> Caught:
    encrypted = server.transport.get_extra_info("ssl_object") is not None
    login = session.auth_data.login.decode() if session.authenticated else ""
    message = message_from_bytes(envelope.content, policy=policy.default)
    return Caught(datetime.now(UTC), tuple(envelope.rcpt_tos), encrypted, login, message)


def _server_tls(certificate: str, key: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def main() -> None:
    """Catch until interrupted."""
    parser = argparse.ArgumentParser(description="Catches mails and push notifications and shows them.")
    parser.add_argument("--port", type=int, help="of the page; default: 18793, or the next free one")
    parser.add_argument("--smtp-port", type=int, help="default: 18794, or the next free one")
    parser.add_argument(
        "--host", default=LOOPBACK, help="the address of both; on others than loopback all may read them"
    )
    parser.add_argument("--certificate", help="PEM file, to offer STARTTLS with --key")
    parser.add_argument("--key", help="PEM file")
    args = parser.parse_args()
    tls = _server_tls(args.certificate, args.key) if args.certificate else None
    port = port_of_program(args.port, 18793)
    smtp_port = port_of_program(args.smtp_port, 18794, besides=port)
    with running_mail_catcher(port, smtp_port, host=args.host, tls=tls) as catcher:
        print(f"mail catcher: send to {catcher.smtp_url}, read at {catcher.url}", flush=True)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
