"""Mail by SMTP against a server that catches it: encryption, what can go wrong, and how long it may take."""

import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from simulators.mail.catcher import running_mail_catcher
from simulators.mail.caught import MailCatcher
from tests.support.servers.certificates import certificate_for
from workers.gateways.base import CallFailed
from workers.gateways.mail import Mail, MailGateway

SENDER = "AgentForge <no-reply@agentforge.example>"
DROPS = 100
HELLO = Mail("4711", "ada@example.com", "100 credits — thank you", "Dear Ada,\n.\nthe lone dot above is part of it.\n")


@pytest.fixture
def catcher() -> Iterator[MailCatcher]:
    with running_mail_catcher() as catcher:
        yield catcher


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return certificate_for("localhost", tmp_path_factory.mktemp("mail"))


@pytest.fixture
def server_tls(certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def trusting(certificate) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))


def refused(gateway: MailGateway, mail: Mail = HELLO) -> CallFailed:
    with pytest.raises(CallFailed) as caught:
        gateway.send(mail)
    return caught.value


class TestSending:
    def test_a_mail_arrives_as_it_was_written(self, catcher):
        MailGateway(catcher.smtp_url, SENDER).send(HELLO)
        (mail,) = catcher.mails
        assert (mail.to, mail.subject) == ((HELLO.to,), HELLO.subject)
        assert mail.text.replace("\r\n", "\n") == HELLO.text
        assert mail.message["From"] == SENDER
        assert mail.message["Message-ID"] == "<4711@agentforge.example>"  # so a repeat is seen to be one
        assert mail.message["Auto-Submitted"] == "auto-generated"

    @pytest.mark.parametrize(
        "mail",
        [
            Mail("1", "ada@example.com\r\nBcc: eve@example.com", "Hello", "text"),
            Mail("1", "ada@example.com, eve@example.com", "Hello", "text"),
            Mail("1", "nobody", "Hello", "text"),
            Mail("1", "ada@example.com", "Hello\r\nBcc: eve@example.com", "text"),
        ],
    )
    def test_no_recipient_can_be_injected(self, catcher, mail):
        assert refused(MailGateway(catcher.smtp_url, SENDER), mail).code == "mail_refused"
        assert catcher.mails == []

    def test_an_invalid_server_address_is_refused_without_the_password(self):
        with pytest.raises(ValueError, match="smtp://") as caught:
            MailGateway("http://user:hidden@example.com", SENDER)
        assert "hidden" not in str(caught.value)


class TestEncryption:
    def test_it_is_used_where_it_is_offered(self, server_tls, trusting):
        with running_mail_catcher(tls=server_tls) as catcher:
            url = catcher.smtp_url.replace("127.0.0.1", "user:p%40ss@localhost")
            MailGateway(url, SENDER, tls=trusting).send(HELLO)
            assert [(mail.encrypted, mail.login) for mail in catcher.mails] == [(True, "user")]

    def test_it_may_begin_with_the_first_byte(self, server_tls, trusting):
        with running_mail_catcher(tls=server_tls, implicit_tls=True) as catcher:
            MailGateway(catcher.smtp_url.replace("127.0.0.1", "localhost"), SENDER, tls=trusting).send(HELLO)
            assert [mail.encrypted for mail in catcher.mails] == [True]

    def test_an_untrusted_certificate_is_refused(self, server_tls):
        with running_mail_catcher(tls=server_tls) as catcher:
            failure = refused(MailGateway(catcher.smtp_url.replace("127.0.0.1", "localhost"), SENDER))
            assert (failure.code, failure.retryable, catcher.mails) == ("mail_unavailable", True, [])

    def test_off_this_machine_nothing_is_sent_in_the_clear(self, catcher, monkeypatch):
        ask = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest, **more: ask("127.0.0.1", *rest, **more))
        failure = refused(MailGateway(catcher.smtp_url.replace("127.0.0.1", "user:pw@mail.example.com"), SENDER))
        assert (failure.code, "encryption" in failure.detail) == ("mail_unavailable", True)
        assert catcher.mails == []


class TestFailing:
    @pytest.mark.parametrize(
        ("address", "code", "retryable"),
        [("ada+550@example.com", "mail_refused", False), ("ada+450@example.com", "mail_unavailable", True)],
    )
    def test_a_recipient_is_refused_for_good_or_for_now(self, catcher, address, code, retryable):
        failure = refused(MailGateway(catcher.smtp_url, SENDER), Mail("1", address, "Hello", "text"))
        assert (failure.code, failure.retryable) == (code, retryable)
        assert address not in failure.detail

    @pytest.mark.parametrize(
        ("line", "code", "retryable"),
        [
            ("554 spam", "mail_refused", False),
            ("451 later", "mail_unavailable", True),
            ("hang up", "mail_unavailable", True),
        ],
    )
    def test_a_message_is_refused_for_good_or_for_now(self, catcher, line, code, retryable):
        catcher.failures.append(line)
        failure = refused(MailGateway(catcher.smtp_url, SENDER))
        assert (failure.code, failure.retryable) == (code, retryable)

    def test_a_server_that_is_away_may_be_asked_again(self):
        with running_mail_catcher() as gone:
            url = gone.smtp_url
        failure = refused(MailGateway(url, SENDER))
        assert (failure.code, failure.retryable) == ("mail_unavailable", True)

    def test_a_silent_server_blocks_only_briefly(self, catcher):
        catcher.failures.append("hang")
        failure = refused(MailGateway(catcher.smtp_url, SENDER, seconds=0.3))
        assert (failure.code, failure.outcome) == ("timeout", "timeout")

    def test_a_dripping_server_blocks_only_briefly(self):
        """One byte at a time would please every socket's own time limit."""
        with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
            dripping = pool.submit(drip, server)
            url = f"smtp://127.0.0.1:{server.getsockname()[1]}"
            assert refused(MailGateway(url, SENDER, seconds=0.5)).code == "timeout"
            assert dripping.result() < DROPS  # it was hung up on


def drip(server: socket.socket) -> int:
    """How many bytes a client took."""
    with server.accept()[0] as client:
        for taken in range(DROPS):
            try:
                client.send(b"2")
            except OSError:
                return taken
            time.sleep(0.05)
    return DROPS
