"""Send mail by SMTP: encrypted unless the server is on this machine, bounded in time, one message at a time.

`smtps://` uses TLS from the first byte; `smtp://` begins unencrypted and switches to TLS (STARTTLS), which is required
unless the server is on loopback. The address may carry a user name and a password.
"""

import contextlib
import re
import smtplib
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.errors import MessageError
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime, localtime
from urllib.parse import unquote, urlsplit

from workers.gateways.base import CallFailed, Cancel
from workers.gateways.http.call_deadline import CallDeadline
from workers.gateways.http.trust import system_trust

LOOPBACK = frozenset(["127.0.0.1", "::1", "localhost"])
CONNECT_SECONDS = 10.0
TOTAL_SECONDS = 30.0  # for one message, however slowly the server speaks
DEFAULT_PORTS = {"smtp": 587, "smtps": 465}

# As long as SMTP allows: addresses in headers that are folded become encoded words, which nobody can call.
_POLICY = SMTP_POLICY.clone(max_line_length=998)
_ADDRESS = re.compile(r"[^\s<>,;:\"@]{1,64}@[^\s<>,;:\"@]{1,253}")


@dataclass(frozen=True)
class Mail:
    """One plain text message; `id` makes its Message-ID, so that mail clients recognise a repeat."""

    id: str
    to: str
    subject: str
    text: str
    unsubscribe_url: str = ""  # that a mail program may call to turn such mails off (RFC 8058)


@dataclass(frozen=True)
class _MailServer:
    scheme: str
    host: str
    port: int
    user: str
    password: str = field(repr=False)


class MailGateway:
    """Sends mail through the SMTP server at `url`, from the address `sender`; safe to use from many threads.

    Args:
        url: `smtp://` or `smtps://`, with user name and password if the server requires them.
        sender: an address, or `Name <address>`.
        tls: replaces the system's trust in certificates.
        seconds: the total time of one `send`.
    """

    def __init__(
        self, url: str, sender: str, *, tls: ssl.SSLContext | None = None, seconds: float = TOTAL_SECONDS
    ) -> None:
        self._server = _parse(url)
        self._sender = sender
        self._domain = sender.rpartition("@")[2].strip("> ") or "localhost"
        self._tls = tls or system_trust()
        self._seconds = seconds

    def send(self, mail: Mail) -> None:
        """Hand the message to the server; raises `CallFailed`: `mail_refused` (final) or `mail_unavailable`."""
        message = self._message(mail)
        with self._signed_in() as client:
            client.send_message(message)

    def check(self) -> None:
        """Connect and log in, and send nothing; raises `CallFailed`."""
        with self._signed_in() as client:
            client.noop()

    @contextlib.contextmanager
    def _signed_in(self) -> Iterator[smtplib.SMTP]:
        with CallDeadline(Cancel(), self._seconds) as deadline, _translated(deadline):
            client = self._connect(deadline)
            try:
                self._prepare(client, deadline)
                yield client
                with contextlib.suppress(smtplib.SMTPException, OSError):  # the message is delivered: QUIT may fail
                    client.quit()
            finally:
                deadline.hold(None)
                client.close()

    def _message(self, mail: Mail) -> EmailMessage:
        """Build the message; raises `CallFailed` when the address or the subject is not valid in a header."""
        message = EmailMessage(policy=_POLICY)
        try:
            if not (mail.to.isascii() and _ADDRESS.fullmatch(mail.to)):  # SMTPUTF8 is not everywhere
                raise ValueError
            message["From"], message["To"], message["Subject"] = self._sender, mail.to, mail.subject
            message["Date"] = format_datetime(localtime())
            message["Message-ID"] = f"<{mail.id}@{self._domain}>"
            message["Auto-Submitted"] = "auto-generated"
            if mail.unsubscribe_url:
                message["List-Unsubscribe"] = f"<{mail.unsubscribe_url}>"
                message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
            message.set_content(mail.text)
        except (ValueError, MessageError, IndexError):
            raise CallFailed("mail_refused", "The address or the subject cannot be used in a mail.") from None
        return message

    def _connect(self, deadline: CallDeadline) -> smtplib.SMTP:
        server = self._server
        client = _Client(self._domain, server.host, deadline)
        if server.scheme == "smtps":
            client = _TlsClient(self._domain, server.host, deadline, self._tls)
        status, said = client.connect(server.host, server.port)
        if status != 220:
            client.close()
            raise smtplib.SMTPConnectError(status, said)
        return client

    def _prepare(self, client: smtplib.SMTP, deadline: CallDeadline) -> None:
        """Send EHLO, start TLS where required, and log in."""
        client.ehlo_or_helo_if_needed()
        if self._server.scheme == "smtp" and (client.has_extn("starttls") or self._server.host not in LOOPBACK):
            client.starttls(context=self._tls)  # raises SMTPNotSupportedError where it is not offered
            deadline.hold(client.sock)
            client.ehlo()
        if self._server.user:
            client.login(self._server.user, self._server.password)


class _Client(smtplib.SMTP):
    """smtplib's client, with a socket that the call's deadline can shut down."""

    def __init__(self, name: str, host: str, deadline: CallDeadline) -> None:
        super().__init__(local_hostname=name, timeout=CONNECT_SECONDS)  # without a name it would ask the name server
        self._host = host  # STARTTLS checks the certificate against it; smtplib only sets it in its constructor
        self._deadline = deadline

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        sock = socket.create_connection((host, port), timeout)
        self._deadline.hold(sock)
        return sock


class _TlsClient(_Client):
    """The client for `smtps://`: TLS from the first byte."""

    def __init__(self, name: str, host: str, deadline: CallDeadline, tls: ssl.SSLContext) -> None:
        super().__init__(name, host, deadline)
        self._context = tls

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        wrapped = self._context.wrap_socket(super()._get_socket(host, port, timeout), server_hostname=host)
        self._deadline.hold(wrapped)
        return wrapped


def _parse(url: str) -> _MailServer:
    """Parse the server's address; raises `ValueError` without quoting the address, which may hold a password."""
    parts = urlsplit(url)
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        raise ValueError("The address of the mail server must begin with smtp:// or smtps:// and name a host.")
    port = parts.port or DEFAULT_PORTS[parts.scheme]
    return _MailServer(parts.scheme, parts.hostname, port, unquote(parts.username or ""), unquote(parts.password or ""))


@contextlib.contextmanager
def _translated(deadline: CallDeadline) -> Iterator[None]:
    """Turn SMTP errors into `CallFailed` without the server's own sentence, which may quote the message."""
    try:
        yield
    except (smtplib.SMTPException, OSError) as error:
        if deadline.ended:
            raise deadline.reason() from None
        raise _failure(error) from None


def _failure(error: smtplib.SMTPException | OSError) -> CallFailed:
    match error:
        case smtplib.SMTPRecipientsRefused():
            return _answered(max(code for code, _ in error.recipients.values()))
        case smtplib.SMTPAuthenticationError():  # retried, because the operator can correct the login
            return CallFailed("mail_unavailable", "The mail server does not accept our login.", retryable=True)
        case smtplib.SMTPResponseException():
            return _answered(error.smtp_code)
        case smtplib.SMTPNotSupportedError():
            return CallFailed("mail_unavailable", "The mail server offers no encryption.", retryable=True)
        case ssl.SSLError():
            return CallFailed("mail_unavailable", "The mail server's certificate is refused.", retryable=True)
    return CallFailed("mail_unavailable", "The mail server could not be reached, or hung up.", retryable=True)


def _answered(status: int) -> CallFailed:
    if 500 <= status <= 599:
        return CallFailed("mail_refused", f"The mail server refused the message with {status}.")
    return CallFailed("mail_unavailable", f"The mail server answered {status}.", retryable=True)
