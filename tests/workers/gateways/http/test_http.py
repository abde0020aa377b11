import socket
import threading
import time

import pytest

from models.rules.graph.effects import HttpCall
from simulators.ai.server import running_ai_simulator
from tests.support.engine.http_calls import browse, failure, send
from tests.support.servers.raw_server import answer, raw_server, redirect
from workers.gateways.base import CallFailed, Cancel
from workers.gateways.http.client import HttpGateway


class TestSending:
    def test_sends_what_the_node_says_and_our_own_headers(self):
        with raw_server(answer()) as server:
            send(server, method="post", path="/a b?c=d", headers={"X-Name": "Zoë"}, body=b"{}", key="run:node:1")
        head, _, body = server.requests[0].partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        assert lines[0] == "POST /a%20b?c=d HTTP/1.1"
        assert body == b"{}"
        assert {f"Host: {server.authority}", "X-Name: Zoë", "Idempotency-Key: run:node:1"} <= set(lines)
        assert any(line.startswith("User-Agent: AgentForge") for line in lines)

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    def test_a_reading_call_carries_no_key(self, method):
        with raw_server(answer(b"")) as server:
            send(server, method=method, key="run:node:1")
        assert b"idempotency-key" not in server.requests[0].lower()

    def test_the_users_own_key_and_agent_are_left_as_they_are(self):
        with raw_server(answer()) as server:
            send(server, method="PUT", headers={"idempotency-key": "mine", "user-agent": "me"}, key="ours")
        assert b"idempotency-key: mine" in server.requests[0]
        assert b"ours" not in server.requests[0]
        assert b"AgentForge" not in server.requests[0]

    @pytest.mark.parametrize(
        "headers",
        [
            {"X-A": "1\r\nX-Evil: 1"},
            {"X-A": "1\nX-Evil: 1"},
            {"X-A": "1\rX-Evil: 1"},
            {"X-A": "nul\x00"},
            {"X-A\r\nX-Evil": "1"},
            {"X-A: 1\r\nX-Evil": "1"},
            {"X A": "1"},
            {"": "1"},
            {"Host": "internal"},
            {"content-length": "0"},
            {"Transfer-Encoding": "chunked"},
            {"Connection": "close"},
            {"Proxy-Authorization": "x"},
            {"Upgrade": "h2c"},
            {"TE": "trailers"},
            {"Expect": "100-continue"},
            {"X-A": "1", "x-a": "2"},
            {"X-A": "a" * 20_000},
            {f"X-{n}": "1" for n in range(70)},
        ],
    )
    def test_refuses_headers_that_would_forge_or_frame_a_request(self, headers):
        with raw_server(answer()) as server:
            assert failure(server, headers=headers).code == "invalid_request"
        assert server.requests == []

    @pytest.mark.parametrize("method", ["CONNECT", "TRACE", "GET /\r\nX: y", "", "FETCH"])
    def test_refuses_methods_that_are_not_for_apis(self, method):
        with raw_server(answer()) as server:
            assert failure(server, method=method).code == "invalid_request"

    def test_ignores_proxies_of_the_environment(self, monkeypatch):
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:1")
        with raw_server(answer()) as server:
            assert send(server).body == "ok"

    def test_keeps_a_connection_alive_for_the_next_call(self):
        with raw_server(answer()) as server:
            gateway = HttpGateway((server.authority,))
            for _ in range(5):
                gateway.perform(HttpCall("GET", server.url()), cancel=Cancel())
        assert (server.connections, len(server.requests)) == (1, 5)

    @pytest.mark.parametrize(("key", "code"), [("k", None), (None, "connection_lost")])
    def test_a_closed_kept_connection_is_replaced_only_for_safe_repeats(self, key, code):
        def hang_up(sock: socket.socket) -> None:
            """Takes the request and closes without a word, as a server does whose idle time was over."""

        with raw_server(answer(), hang_up, answer(b"again")) as server:
            gateway = HttpGateway((server.authority,))
            gateway.perform(HttpCall("GET", server.url()), cancel=Cancel())
            call = HttpCall("POST", server.url(), body=b"x")
            if code is None:
                assert gateway.perform(call, cancel=Cancel(), idempotency_key=key).body == "again"
            else:
                with pytest.raises(CallFailed) as caught:
                    gateway.perform(call, cancel=Cancel(), idempotency_key=key)
                assert (caught.value.code, caught.value.retryable) == (code, False)
                assert caught.value.outcome == "unknown"

    @pytest.mark.parametrize("afterwards", [b"", answer(b"forged")], ids=["closes", "says more"])
    def test_a_kept_connection_on_which_something_happened_is_not_used_again(self, afterwards):
        happened = threading.Event()

        def answer_and(sock: socket.socket) -> None:
            sock.sendall(answer(b"first"))
            time.sleep(0.1)
            sock.sendall(afterwards)
            sock.shutdown(socket.SHUT_WR)
            happened.set()
            sock.recv(1)

        with raw_server(answer_and, answer(b"second")) as server:
            gateway = HttpGateway((server.authority,))
            call = HttpCall("POST", server.url(), body=b"x")
            bodies = [gateway.perform(call, cancel=Cancel()).body]
            happened.wait(5)
            bodies.append(gateway.perform(call, cancel=Cancel()).body)
        assert bodies == ["first", "second"]

    def test_many_threads_share_the_pool_without_mixing_answers(self):
        wrong: list[str] = []
        with running_ai_simulator() as simulator:
            gateway = HttpGateway((simulator.url.removeprefix("http://"),))

            def work(number: int) -> None:
                for turn in range(20):
                    city = f"city-{number}-{turn}"
                    call = HttpCall("GET", f"{simulator.url}/demo/weather?city={city}")
                    found = gateway.perform(call, cancel=Cancel()).body
                    wrong.extend([] if found["city"] == city else [city])

            threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert wrong == []
        assert len(simulator.requests) == 320


class TestRedirects:
    @pytest.mark.parametrize(
        ("status", "method", "then", "with_body"),
        [
            (301, "GET", "GET", False),
            (301, "POST", "GET", False),
            (302, "POST", "GET", False),
            (302, "PUT", "PUT", True),
            (303, "POST", "GET", False),
            (303, "PUT", "GET", False),
            (303, "HEAD", "HEAD", False),
            (307, "POST", "POST", True),
            (308, "POST", "POST", True),
            (308, "DELETE", "DELETE", True),
        ],
    )
    def test_method_and_body_follow_the_redirect_as_in_browsers(self, status, method, then, with_body):
        body = None if method in ("GET", "HEAD") else b"data"
        with raw_server(redirect("/next", status), answer(b"")) as server:
            send(server, method=method, body=body, headers={"Content-Type": "text/plain"} if body else {}, key="k")
        head, _, sent = server.requests[1].partition(b"\r\n\r\n")
        assert head.startswith(f"{then} /next HTTP/1.1".encode())
        assert sent == (b"data" if with_body else b"")
        assert (b"content-type" in head.lower()) is with_body

    @pytest.mark.parametrize("to", ["http://inside.example/", "http://127.0.0.1/", "http://169.254.169.254/"])
    def test_a_public_host_cannot_redirect_to_a_private_one(self, internet, to):
        with raw_server(redirect(to), answer(b"secret")) as server:
            internet.sites["93.184.216.34"] = server.port
            with pytest.raises(CallFailed) as caught:
                browse("http://one.example/")
        assert caught.value.code == "egress_refused"
        assert internet.dialled == ["93.184.216.34"]

    @pytest.mark.parametrize("to", ["file:///etc/passwd", "http://u:p@two.example/", "gopher://two.example/"])
    def test_a_redirect_is_held_to_the_same_rules_as_a_url(self, internet, to):
        with raw_server(redirect(to)) as server:
            internet.sites["93.184.216.34"] = server.port
            with pytest.raises(CallFailed) as caught:
                browse("http://one.example/")
        assert caught.value.code == "egress_refused"

    def test_secrets_stay_with_the_host_they_were_meant_for(self, internet):
        headers = {
            "Authorization": "Bearer abc",
            "Cookie": "a=b",
            "X-Api-Key": "key-1",
            "X-Auth-Token": "token-1",
            "Accept-Language": "de",
        }
        onwards = (redirect("http://one.example/again"), redirect("http://two.example/", 307))
        with raw_server(*onwards) as one, raw_server(answer(b"there")) as two:
            internet.sites |= {"93.184.216.34": one.port, "93.184.216.35": two.port}
            assert browse("http://one.example/", method="POST", headers=headers, body=b"x").body == "there"
        assert b"Bearer abc" in one.requests[1]
        arrived = two.requests[0].lower()
        assert b"accept-language: de" in arrived
        for secret in (b"authorization", b"bearer", b"cookie", b"key-1", b"token-1"):
            assert secret not in arrived

    def test_gives_up_after_five_redirects(self):
        with raw_server(redirect("/round")) as server:
            assert failure(server).code == "too_many_redirects"
        assert len(server.requests) == 6

    def test_a_status_without_a_location_is_an_answer(self):
        with raw_server(answer(b"", status="304 Not Modified")) as server:
            assert send(server).status == 304
