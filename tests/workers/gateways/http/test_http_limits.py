import gzip
import socket
import ssl
import time
import zlib
from pathlib import Path

import pytest

from models.rules.graph.effects import HttpCall
from tests.support.engine.http_calls import NAMES, browse, cancelled, failure, send
from tests.support.servers.certificates import certificate_for
from tests.support.servers.raw_server import Drip, answer, raw_server, redirect, silence
from workers.gateways.base import CallFailed, Cancel
from workers.gateways.http.client import HttpGateway
from workers.gateways.http.pool import HttpPool

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def one_example(tmp_path_factory) -> Path:
    return certificate_for("one.example", tmp_path_factory.mktemp("tls"))


class TestTls:
    @staticmethod
    def contexts(certificate: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(certificate)
        return server, ssl.create_default_context(cafile=str(certificate))

    def test_checks_the_certificate_against_the_name_and_not_the_address(self, internet, one_example):
        server_side, client_side = self.contexts(one_example)
        names: list[str | None] = []
        server_side.sni_callback = lambda sock, name, context: names.append(name)
        with raw_server(answer(b"safe"), tls=server_side) as server:
            internet.sites |= {"93.184.216.34": server.port, "93.184.216.35": server.port}
            assert browse("https://one.example/", tls=client_side).body == "safe"
            with pytest.raises(CallFailed) as caught:
                browse("https://two.example/", tls=client_side)
        assert names == ["one.example", "two.example"]
        assert (caught.value.code, caught.value.retryable) == ("tls_failed", False)
        assert [request.split(b"\r\n")[1] for request in server.requests] == [b"Host: one.example"]

    def test_refuses_an_untrusted_certificate(self, internet, one_example):
        server_side, _ = self.contexts(one_example)
        with raw_server(answer(), tls=server_side) as server:
            internet.sites["93.184.216.34"] = server.port
            with pytest.raises(CallFailed) as caught:
                browse("https://one.example/")
        assert caught.value.code == "tls_failed"
        assert server.requests == []

    def test_refuses_to_be_sent_from_https_to_http(self, internet, one_example):
        server_side, client_side = self.contexts(one_example)
        with raw_server(redirect("http://two.example/"), tls=server_side) as server, raw_server(answer()) as plain:
            internet.sites |= {"93.184.216.34": server.port, "93.184.216.35": plain.port}
            with pytest.raises(CallFailed) as caught:
                browse("https://one.example/", tls=client_side)
        assert caught.value.code == "egress_refused"
        assert plain.connections == 0

    @pytest.mark.parametrize("handshake", [True, False])
    def test_cancelling_wakes_a_call_that_waits_in_the_tls_layer(self, internet, one_example, handshake):
        server_side, client_side = self.contexts(one_example)
        with raw_server(silence, tls=None if handshake else server_side) as server:
            internet.sites["93.184.216.34"] = server.port
            gateway = HttpGateway(pool=HttpPool(tls=client_side), resolver=lambda host, port: [NAMES[host]])
            caught = cancelled(gateway, HttpCall("GET", "https://one.example/", timeout=30), server)
        assert caught.code == "cancelled"

    def test_keeps_a_tls_connection_alive(self, internet, one_example):
        server_side, client_side = self.contexts(one_example)
        with raw_server(answer(), tls=server_side) as server:
            internet.sites["93.184.216.34"] = server.port
            gateway = HttpGateway(pool=HttpPool(tls=client_side), resolver=lambda host, port: [NAMES[host]])
            for _ in range(3):
                gateway.perform(HttpCall("GET", "https://one.example/"), cancel=Cancel())
        assert (server.connections, len(server.requests)) == (1, 3)


class TestTime:
    @pytest.mark.parametrize(
        "slowly",
        [
            Drip(answer(b"x" * 40)),
            Drip(b"x" * 60, first=answer(b"x" * 60)[:-60]),
            Drip(b"0" * 60, first=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
            Drip(b"HTTP/1.1 100 Continue\r\n\r\n" * 4),
        ],
        ids=["headers", "body", "chunks", "continues"],
    )
    def test_the_time_limit_is_for_the_whole_call_however_steadily_bytes_come(self, slowly):
        with raw_server(slowly) as server:
            failed = failure(server, timeout=0.4)
            assert not slowly.finished
        assert (failed.code, failed.outcome, failed.retryable) == ("timeout", "timeout", True)

    def test_a_silent_server_costs_no_more_than_the_time_limit(self):
        with raw_server(silence) as server:
            assert failure(server, timeout=0.2).code == "timeout"

    def test_redirects_share_one_time_limit(self):
        def late(sock: socket.socket) -> None:
            time.sleep(0.25)
            sock.sendall(redirect("/again"))

        with raw_server(late) as server:
            assert failure(server, timeout=0.6).code == "timeout"

    def test_a_server_that_does_not_read_cannot_hold_a_large_body(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            gateway = HttpGateway((f"127.0.0.1:{port}",))
            call = HttpCall("PUT", f"http://127.0.0.1:{port}/", body=b"x" * 8 * MIB, timeout=0.4)
            with pytest.raises(CallFailed) as caught:
                gateway.perform(call, cancel=Cancel())
        assert caught.value.code == "timeout"

    @pytest.mark.parametrize(("key", "retryable"), [(None, False), ("k", True)])
    def test_a_post_that_timed_out_is_repeated_only_under_a_key(self, key, retryable):
        with raw_server(silence) as server:
            assert failure(server, method="POST", body=b"x", timeout=0.2, key=key).retryable is retryable

    @pytest.mark.parametrize("serve", [silence, Drip(answer(b"x" * 600))], ids=["silence", "drip"])
    def test_cancelling_wakes_a_call_that_waits_for_an_answer(self, serve):
        with raw_server(serve) as server:
            gateway = HttpGateway((server.authority,))
            failed = cancelled(gateway, HttpCall("GET", server.url(), timeout=30), server)
        assert (failed.code, failed.outcome, failed.retryable) == ("cancelled", "cancelled", False)

    def test_a_call_that_is_cancelled_already_sends_nothing(self):
        cancel = Cancel()
        cancel.set()
        with raw_server(answer()) as server, pytest.raises(CallFailed) as caught:
            HttpGateway((server.authority,)).perform(HttpCall("GET", server.url()), cancel=cancel)
        assert caught.value.code == "cancelled"
        assert server.requests == []


def chunked(*chunks: bytes) -> bytes:
    framed = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + framed + b"0\r\n\r\n"


def endless(prefix: bytes, unit: bytes):
    def serve(sock: socket.socket) -> None:
        sock.sendall(prefix)
        for _ in range(40 * MIB // len(unit)):
            sock.sendall(unit)

    return serve


# Made when they are asked for: they are large.
LARGE = {
    "length": lambda: answer(b"x" * (MIB + 1)),
    "chunks": lambda: chunked(*[b"x" * 65536] * 17),
    "gzip": lambda: answer(gzip.compress(b"0" * 64 * MIB), Content_Encoding="gzip"),
    "deflate": lambda: answer(zlib.compress(b"0" * 64 * MIB), Content_Encoding="deflate"),
    "raw-deflate": lambda: answer(zlib.compress(b"0" * 64 * MIB, wbits=-15), Content_Encoding="deflate"),
    "endless": lambda: endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536),
    "negative-chunk": lambda: endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", b"x" * 65536),
    "trailers": lambda: endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n" * 1000),
    "headers": lambda: endless(b"HTTP/1.1 200 OK\r\n", b"X-A: " + b"y" * 8000 + b"\r\n"),
    "line": lambda: endless(b"HTTP/1.1 200 OK\r\nX-A: ", b"y" * 65536),
    "continues": lambda: endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
}


class TestSize:
    def test_takes_an_answer_of_just_the_limit(self):
        with raw_server(answer(b"x" * MIB)) as server:
            assert len(send(server).body) == MIB

    @pytest.mark.parametrize("name", LARGE)
    def test_refuses_more_than_the_limit_however_it_is_packed(self, name):
        with raw_server(LARGE[name]()) as server:
            failed = failure(server, timeout=10)
        assert failed.code in ("too_large", "bad_response")
        assert failed.code == "too_large" or "readable" in str(failed)

    def test_a_long_error_page_is_still_its_status(self):
        with raw_server(answer(b"sorry " * MIB, status="503 Busy")) as server:
            failed = failure(server)
        assert failed.code == "http_503"
        assert len(str(failed)) < 300
