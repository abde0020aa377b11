"""Taken ports: default ones are replaced, named ones are not."""

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import astuple
from urllib.request import urlopen

import pytest

from devstack.processes.process import DevstackError
from devstack.servers.ports import LOOPBACK, Ports, free_port, is_free, reserved_ports

USUAL = astuple(Ports())


@pytest.fixture
def taken() -> Iterator[ExitStack]:
    with ExitStack() as held:
        yield held


def take(held: ExitStack, *ports: int) -> None:
    """Listen on these ports, except those that are taken already."""
    for port in ports:
        with suppress(OSError):
            held.enter_context(socket.create_server((LOOPBACK, port)))


def test_a_stack_finds_other_ports_when_all_the_usual_ones_are_taken(taken: ExitStack):
    take(taken, *USUAL)
    with reserved_ports({}) as (ports, notices):
        assert set(astuple(ports)).isdisjoint(USUAL)
        assert len(set(astuple(ports))) == len(USUAL)
        assert all(is_free(port) for port in astuple(ports))
        assert notices[0] == f"Port 3000 is taken by another program; the API is on port {ports.api} instead."
        assert [notice.split(";")[0][:9] for notice in notices] == ["Port 3000", "Port 5555", "Port 9464"]


def test_two_stacks_choose_different_ports_before_they_listen():
    with reserved_ports({}) as (first, _), reserved_ports({}) as (second, _):
        assert set(astuple(first)).isdisjoint(astuple(second))


def test_a_port_is_given_back():
    port = free_port()
    for _ in range(2):
        with reserved_ports({"PORT": str(port)}) as (ports, _):
            assert ports.api == port


@pytest.mark.parametrize("variable", ["PORT", "FLOWER_PORT", "METRICS_PORT"])
def test_a_named_port_is_never_replaced(taken: ExitStack, variable: str):
    port = free_port()
    take(taken, port)
    said = f"{variable}={port} is taken by another program. Stop that, or say {variable}="
    with pytest.raises(DevstackError, match=re.escape(said) + r"\d+\.$"), reserved_ports({variable: str(port)}):
        pass


@pytest.mark.parametrize("nonsense", ["api", "-1", "65536", "3000.5", "³"])
def test_what_is_no_port_is_refused_in_a_sentence(nonsense: str):
    with pytest.raises(DevstackError, match="PORT must be a port number"), reserved_ports({"PORT": nonsense}):
        pass


def test_zero_means_any_port():
    with reserved_ports({"PORT": "0"}) as (first, _), reserved_ports({"PORT": "0"}) as (second, _):
        assert len({0, first.api, second.api}) == 3


@pytest.mark.skipif(not socket.has_ipv6, reason="needs IPv6")
def test_a_port_where_localhost_leads_to_another_program_is_taken():
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        assert not is_free(server.getsockname()[1])


PROGRAMS = {
    "simulators.ai.server": (8099, r"http://127\.0\.0\.1:(\d+)"),
    "simulators.mail.catcher": (18793, r"read at http://127\.0\.0\.1:(\d+)"),
    "simulators.openclaw": (18789, r"ws://127\.0\.0\.1:(\d+)"),
    "simulators.stripe": (12111, r"http://127\.0\.0\.1:(\d+)"),
}


@pytest.mark.parametrize("module", PROGRAMS)
def test_a_simulator_started_by_hand_finds_another_port_and_says_which(taken: ExitStack, module: str):
    usual, address = PROGRAMS[module]
    take(taken, usual)
    with subprocess.Popen([sys.executable, "-m", module], stdout=subprocess.PIPE, text=True) as program:
        try:
            assert program.stdout
            port = int(re.search(address, program.stdout.readline())[1])
            assert port != usual
            with suppress(OSError), urlopen(f"http://{LOOPBACK}:{port}/health", timeout=10) as answer:
                assert answer.status < 500
            assert not is_free(port)
        finally:
            program.terminate()


def test_a_simulator_with_a_taken_port_fails_with_a_sentence(taken: ExitStack):
    port = free_port()
    take(taken, port)
    command = [sys.executable, "-m", "simulators.ai.server", "--port", str(port)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert (ended.returncode, ended.stderr) == (1, f"Port {port} is taken by another program.\n")
