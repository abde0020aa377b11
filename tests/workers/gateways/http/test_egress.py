import socket
import threading

import pytest

from models.rules.graph.effects import HttpCall
from tests.support.servers.raw_server import answer, raw_server
from workers.gateways.base import CallFailed, Cancel
from workers.gateways.http.client import HttpGateway
from workers.gateways.http.egress import EgressGuard, denied, normal_host, parse_url
from workers.gateways.http.event_loop import event_loop


def words(text: str) -> list[str]:
    return text.split()


REFUSED = words(
    """
0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.255 100.100.100.200 127.0.0.1 127.255.255.254
169.254.0.1 169.254.169.254 169.254.170.2 168.63.129.16 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.170 192.0.2.1
192.31.196.1 192.52.193.1 192.88.99.1 192.168.0.1 192.175.48.1 198.18.0.1 198.19.255.255 198.51.100.7 203.0.113.9
224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255
:: ::1 ::7f00:1 ::ffff:127.0.0.1 ::ffff:8.8.8.8 ::ffff:0:127.0.0.1 64:ff9b::7f00:1 64:ff9b::8.8.8.8 64:ff9b:1::a00:1
100::1 2001::1 2001:0:53aa:64c:0:0:80ff:fffe 2001:2::1 2001:10::1 2001:20::1 2001:db8::1 2002:7f00:1::1
2002:a9fe:a9fe::1 2620:4f:8000::1 3fff::1 5f00::1 fc00::1 fd00:ec2::254 fd20:ce::254 fe80::1 fe80::1%lo fec0::1
ff02::1 4000::1 e000::1 1::1 not-an-address
"""
)

PUBLIC = words(
    """
1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.1 93.184.216.34 100.63.255.255 100.128.0.1 126.255.255.255 128.0.0.1 168.63.129.17
169.253.255.255 169.255.0.1 172.15.255.255 172.32.0.1 192.0.1.1 192.0.3.1 192.167.255.255 192.169.0.1 198.17.255.255
198.20.0.1 203.0.114.1 223.255.255.255 2001:200::1 2001:4860:4860::8888 2400:cb00::1 2606:4700::1111 2a00:1450::1
"""
)


def admitted(url: str, answers: list[str] | None = None, allow: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The addresses that the guard lets through, with a name server that knows `answers`."""
    resolver = {} if answers is None else {"resolver": lambda host, port: answers}
    guard = EgressGuard(allow, **resolver)
    return event_loop().wait(guard.admit(parse_url(url))).addresses


def refusal(url: str, answers: list[str] | None = None, allow: tuple[str, ...] = ()) -> str:
    with pytest.raises(CallFailed) as caught:
        admitted(url, answers, allow)
    assert not caught.value.retryable
    return caught.value.code


class TestAddresses:
    @pytest.mark.parametrize("address", REFUSED)
    def test_refuses_every_address_that_is_not_plainly_public(self, address):
        assert denied(address)
        assert refusal("http://api.example/", [address]) == "egress_refused"

    @pytest.mark.parametrize(
        ("address", "kind"),
        [
            ("0.0.0.0", "an unspecified"),
            ("::1", "a loopback"),
            ("fd00::1", "a private"),
            ("169.254.169.254", "a cloud metadata"),
            ("fe80::1", "a link-local"),
            ("100.64.0.1", "a carrier-internal"),
            ("ff02::1", "a multicast"),
            ("255.255.255.255", "a broadcast"),
            ("2001:db8::1", "a documentation"),
            ("2001:2::1", "a benchmarking"),
            ("2001::1", "a Teredo"),
            ("2002::1", "a 6to4"),
            ("64:ff9b::8.8.8.8", "a NAT64"),
            ("64:ff9b:1::1", "a NAT64"),
            ("::ffff:8.8.8.8", "an IPv4-mapped"),
            ("::8.8.8.8", "an IPv4-compatible"),
            ("240.0.0.1", "a reserved"),
        ],
    )
    def test_says_what_kind_of_address_it_refuses(self, address, kind):
        assert denied(address) == kind

    @pytest.mark.parametrize("address", PUBLIC)
    def test_allows_public_addresses_up_to_the_borders_of_denied_networks(self, address):
        assert denied(address) is None
        assert admitted("http://api.example/", [address]) == (address,)

    @pytest.mark.parametrize("answers", [["1.1.1.1", "10.0.0.1"], ["10.0.0.1", "1.1.1.1"], ["1.1.1.1", "::1"]])
    def test_one_private_answer_among_public_ones_is_enough_to_refuse(self, answers):
        assert refusal("https://api.example/", answers) == "egress_refused"

    def test_does_not_reveal_the_address_behind_a_name(self):
        with pytest.raises(CallFailed) as caught:
            admitted("http://intranet.example/", ["10.20.30.40"])
        assert "10.20.30.40" not in str(caught.value)
        assert "private" in str(caught.value)

    @pytest.mark.parametrize("port", [22, 25, 465, 587, 3306, 5432, 6379, 11211])
    def test_refuses_ports_at_which_a_crafted_request_is_a_command(self, port):
        assert refusal(f"http://api.example:{port}/", ["1.1.1.1"]) == "egress_refused"


class TestUrls:
    @pytest.mark.parametrize(
        "host",
        [
            "127.0.0.1",
            "localhost",
            "localhost.",
            "LOCALHOST",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0177.0.0.1",
            "017700000001",
            "127.1",
            "127.0.1",
            "0",
            "[::1]",
            "[::]",
            "[0:0:0:0:0:0:0:1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[64:ff9b::127.0.0.1]",
            "[fd00:ec2::254]",
            "2852039166",
            "0xa9fea9fe",
            "１２７.０.０.１",
            "127。0。0。1",
            "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ",
        ],
    )
    def test_refuses_every_way_of_writing_this_machine_or_its_metadata(self, host):
        assert refusal(f"http://{host}/latest/meta-data/") == "egress_refused"

    @pytest.mark.parametrize(
        ("url", "code"),
        [
            ("ftp://api.example/", "egress_refused"),
            ("file:///etc/passwd", "egress_refused"),
            ("gopher://api.example/_x", "egress_refused"),
            ("//api.example/", "egress_refused"),
            ("api.example/path", "egress_refused"),
            ("http://user@api.example/", "egress_refused"),
            ("http://user:pw@api.example/", "egress_refused"),
            ("http://1.1.1.1@127.0.0.1/", "egress_refused"),
            ("http://1.1.1.1&@127.0.0.1/", "egress_refused"),
            ("http:///path", "invalid_request"),
            ("http://", "invalid_request"),
            ("http://api.example\\@127.0.0.1/", "invalid_request"),
            ("http://api.example/\r\nHost: internal", "invalid_request"),
            ("http://api.exa\tmple/", "invalid_request"),
            ("http://api.example:99999/", "invalid_request"),
            ("http://api.example:x/", "invalid_request"),
            ("http://127.0.0.1%2f@api.example/", "egress_refused"),
            ("http://127.0.0.1%2eexample/", "invalid_request"),
            ("http://[fe80::1%25eth0]/", "invalid_request"),
            ("http://[::1/", "invalid_request"),
            ("http://api example/", "invalid_request"),
            ("http://-api.example/", "invalid_request"),
            (f"http://{'a' * 300}.example/", "invalid_request"),
            (f"http://api.example/{'a' * 9000}", "invalid_request"),
        ],
    )
    def test_refuses_ambiguous_urls(self, url, code):
        assert refusal(url, ["1.1.1.1"]) == code

    @pytest.mark.parametrize(
        ("url", "text"),
        [
            ("HTTP://API.Example:80/A?b=c#d", "http://api.example/A?b=c"),
            ("https://api.example.:8443", "https://api.example:8443/"),
            ("https://api.example/ü?q=a b&r=ä%20%", "https://api.example/%C3%BC?q=a%20b&r=%C3%A4%20%25"),
            ("https://bücher.example/", "https://xn--bcher-kva.example/"),
            ("http://[2606:4700:0::1111]:8080/", "http://[2606:4700::1111]:8080/"),
        ],
    )
    def test_reads_a_url_the_way_it_will_be_sent(self, url, text):
        assert str(parse_url(url)) == text


class TestAllowList:
    @pytest.mark.parametrize(
        ("entry", "url"),
        [
            ("127.0.0.1", "http://127.0.0.1:6379/"),
            ("127.0.0.1:8099", "http://127.0.0.1:8099/"),
            ("[::1]:8099", "http://[::1]:8099/"),
            ("::1", "http://[0:0::1]:8099/"),
            ("Intranet.Example", "https://intranet.example./"),
            ("intranet.example:443", "https://intranet.example/"),
        ],
    )
    def test_opens_a_private_host_that_the_operator_names(self, entry, url):
        assert admitted(url, ["10.0.0.1"], (entry,))

    @pytest.mark.parametrize(
        ("entry", "url"),
        [
            ("127.0.0.1:8099", "http://127.0.0.1:8098/"),
            ("127.0.0.1:8099", "http://2130706433:8099/"),
            ("intranet.example", "http://www.intranet.example/"),
            ("intranet.example", "http://intranet.example.evil.example/"),
        ],
    )
    def test_opens_nothing_beside_it(self, entry, url):
        assert refusal(url, ["127.0.0.1"], (entry,)) == "egress_refused"

    @pytest.mark.parametrize(
        "entry", ["http://a.example", "a.example/path", "u@a.example", "a.example:x", "10.0.0.0/8", ":80"]
    )
    def test_a_wrong_entry_stops_the_start(self, entry):
        with pytest.raises(ValueError, match="EGRESS_ALLOW"):
            EgressGuard((entry,))

    def test_a_host_is_compared_in_its_normal_form(self):
        assert normal_host("BÜCHER.example.") == "xn--bcher-kva.example"


class TestResolving:
    def test_never_uses_a_second_answer_of_a_name_server_that_rebinds(self, internet):
        answers = [["93.184.216.34"], ["127.0.0.1"], ["127.0.0.1"]]
        with raw_server(answer(b"public")) as public, raw_server(answer(b"secret")) as private:
            internet.sites["93.184.216.34"] = public.port
            gateway = HttpGateway(resolver=lambda host, port: answers.pop(0))
            call = HttpCall("GET", f"http://rebind.example:{private.port}/")
            assert gateway.perform(call, cancel=Cancel()).body == "public"
            assert internet.dialled == ["93.184.216.34"]
            assert len(answers) == 2
            with pytest.raises(CallFailed) as caught:
                gateway.perform(call, cancel=Cancel())
        assert caught.value.code == "egress_refused"
        assert private.connections == 0

    def test_a_kept_alive_connection_does_not_outlive_the_check_of_its_name(self, internet):
        answers = [["93.184.216.34"], ["93.184.216.35"]]
        with raw_server(answer(b"old")) as old, raw_server(answer(b"new")) as new:
            internet.sites |= {"93.184.216.34": old.port, "93.184.216.35": new.port}
            gateway = HttpGateway(resolver=lambda host, port: answers.pop(0))
            call = HttpCall("GET", "http://moving.example/")
            assert [gateway.perform(call, cancel=Cancel()).body for _ in range(2)] == ["old", "new"]

    def test_tries_the_next_checked_address_when_one_does_not_answer(self, internet):
        with raw_server(answer()) as server:
            internet.sites["93.184.216.35"] = server.port
            gateway = HttpGateway(resolver=lambda host, port: ["2606:4700::1111", "93.184.216.34", "93.184.216.35"])
            assert gateway.perform(HttpCall("GET", "http://many.example/"), cancel=Cancel()).body == "ok"
        assert internet.dialled == ["2606:4700::1111", "93.184.216.34", "93.184.216.35"]

    @pytest.mark.parametrize(
        ("error", "retryable"),
        [(socket.gaierror(socket.EAI_NONAME, "x"), False), (socket.gaierror(socket.EAI_AGAIN, "x"), True)],
    )
    def test_an_unknown_name_is_final_and_a_silent_name_server_is_not(self, error, retryable):
        def resolver(host: str, port: int) -> list[str]:
            raise error

        with pytest.raises(CallFailed) as caught:
            event_loop().wait(EgressGuard(resolver=resolver).admit(parse_url("http://x.example")))
        assert (caught.value.code, caught.value.retryable) == ("dns_failed", retryable)

    def test_a_hanging_name_server_costs_no_more_than_the_call_has_time(self):
        release = threading.Event()
        gateway = HttpGateway(resolver=lambda host, port: [str(release.wait(20))])
        with pytest.raises(CallFailed) as caught:
            gateway.perform(HttpCall("GET", "http://slow.example/", timeout=0.2), cancel=Cancel())
        release.set()
        assert (caught.value.code, caught.value.outcome) == ("timeout", "timeout")

    def test_cancelling_ends_the_wait_for_a_name(self):
        release, cancel, caught = threading.Event(), Cancel(), []
        gateway = HttpGateway(resolver=lambda host, port: cancel.set() or [str(release.wait(60))])

        def perform() -> None:
            try:
                gateway.perform(HttpCall("GET", "http://slow.example/", timeout=60), cancel=cancel)
            except CallFailed as failed:
                caught.append(failed)

        thread = threading.Thread(target=perform, daemon=True)
        thread.start()
        thread.join(timeout=10)  # far below the call's own 60 s
        release.set()
        assert [(failed.code, failed.outcome) for failed in caught] == [("cancelled", "cancelled")]
