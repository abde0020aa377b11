"""The mail catcher speaks SMTP as servers do, and misbehaves when a test or an address wants it."""

import smtplib
import socket
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from simulators.mail.catcher import MAX_MAIL_BYTES, running_mail_catcher
from simulators.mail.caught import MailCatcher
from tests.support.servers.certificates import certificate_for

TEXT = "Subject: Hello\r\n\r\nDear Ada,\r\n..\r\nyours\r\n"


@pytest.fixture
def catcher() -> Iterator[MailCatcher]:
    with running_mail_catcher() as catcher:
        yield catcher


@pytest.fixture
def client(catcher: MailCatcher) -> Iterator[smtplib.SMTP]:
    with smtplib.SMTP(timeout=5) as client:
        client.connect("127.0.0.1", urlsplit(catcher.smtp_url).port)
        yield client


def send(client: smtplib.SMTP, to: str = "ada@example.com", text: str = TEXT, options: tuple[str, ...] = ()) -> None:
    client.sendmail("me@example.com", to, text.encode(), mail_options=options)


def test_addresses_outside_ascii_arrive_with_smtputf8(client, catcher):
    client.ehlo()
    assert client.has_extn("smtputf8")
    send(client, "ädä@exämple.com", options=("SMTPUTF8", "BODY=8BITMIME"))
    assert [mail.to for mail in catcher.mails] == [("ädä@exämple.com",)]


def test_leading_dots_are_unstuffed(client, catcher):
    client.ehlo()
    client.mail("me@example.com")
    client.rcpt("ada@example.com")
    client.docmd("DATA")
    client.send(b"Subject: Hello\r\n\r\n...\r\n..a\r\n.\r\n")
    assert client.getreply()[0] == 250
    assert catcher.mails[0].text == "..\r\n.a\r\n"


def test_several_mails_may_use_one_connection(client, catcher):
    for name in ("ada", "eve"):
        send(client, f"{name}@example.com")
    assert [mail.to for mail in catcher.mails] == [("ada@example.com",), ("eve@example.com",)]


def test_refused_recipients_leave_the_others(client, catcher):
    refused = client.sendmail("me@example.com", ["ada@example.com", "eve+552@example.com"], TEXT)
    assert {address: status for address, (status, _) in refused.items()} == {"eve+552@example.com": 552}
    assert [mail.to for mail in catcher.mails] == [("ada@example.com",)]


def test_mails_over_the_limit_are_refused(client, catcher):
    with pytest.raises(smtplib.SMTPResponseException) as refused:
        send(client, text=TEXT + "x" * 70 + "\r\n" + ("y" * 70 + "\r\n") * (MAX_MAIL_BYTES // 72))
    assert (refused.value.smtp_code, catcher.mails) == (552, [])


def test_any_login_is_accepted_in_the_clear(client, catcher):
    client.login("ada", "any password")
    send(client)
    assert [(mail.login, mail.encrypted) for mail in catcher.mails] == [("ada", False)]


def test_starttls_is_offered_only_before_encryption(tmp_path):
    certificate = certificate_for("localhost", tmp_path)
    server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_tls.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=str(certificate))
    with (
        running_mail_catcher(tls=server_tls) as catcher,
        smtplib.SMTP("localhost", _port(catcher), timeout=5) as client,
    ):
        client.ehlo()
        assert client.has_extn("starttls")
        client.starttls(context=trusting)
        client.ehlo()
        assert not client.has_extn("starttls")


@pytest.mark.parametrize(("failure", "kept"), [("hang up", 1), ("451 later", 0)])
def test_failures_are_for_one_mail_each(client, catcher, failure, kept):
    catcher.failures.append(failure)
    with pytest.raises(smtplib.SMTPException):
        send(client)
    assert len(catcher.mails) == kept
    with smtplib.SMTP("127.0.0.1", _port(catcher), timeout=5) as other:
        send(other)
    assert len(catcher.mails) == kept + 1


def test_connections_end_when_the_catcher_stops():
    with running_mail_catcher() as catcher:
        catcher.failures.append("hang")
        client = smtplib.SMTP("127.0.0.1", _port(catcher), timeout=5)
        client.ehlo()
        client.mail("me@example.com")
        client.rcpt("ada@example.com")
        client.docmd("DATA")
        client.send(b"Subject: Hello\r\n\r\n.\r\n")
    with client, pytest.raises(smtplib.SMTPServerDisconnected):
        client.getreply()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", _port(catcher)))


def _port(catcher: MailCatcher) -> int:
    return urlsplit(catcher.smtp_url).port or 0
