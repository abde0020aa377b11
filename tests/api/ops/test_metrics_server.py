"""Metrics have a port of their own; the API has no address for them, however it is written."""

import struct
import time
import urllib.request
from pathlib import Path
from urllib.error import HTTPError, URLError

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from devstack.servers.ports import LOOPBACK, free_port
from metrics_server import MetricsServer, shared_metrics


class Reader:
    """Counts how often it is asked."""

    asked = 0

    def __call__(self) -> bytes:
        self.asked += 1
        return b"a_number %d\n" % self.asked


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
def address(reader: Reader) -> str:
    port = free_port()
    for _ in range(2):  # as two processes of one API: the second finds the port taken
        MetricsServer(LOOPBACK, port, reader, is_shared=True).start()
    return f"http://{LOOPBACK}:{port}"


def page(address: str) -> bytes:
    until = time.monotonic() + 10
    while True:
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                said: bytes = answer.read()
                return said
        except HTTPError:
            raise
        except URLError:
            assert time.monotonic() < until
            time.sleep(0.02)


def test_they_are_read_at_most_every_few_seconds(address: str, reader: Reader) -> None:
    assert {page(f"{address}/metrics") for _ in range(5)} == {b"a_number 1\n"}
    assert reader.asked == 1


def test_nothing_else_is_there(address: str) -> None:
    page(f"{address}/metrics")
    for path in ("/", "/metrics/", "/api/metrics", "/health"):
        with pytest.raises(HTTPError, match="404"):
            page(address + path)


@pytest.mark.parametrize(
    "path", ["/metrics", "/metrics/", "/api/metrics", "/api/v1/metrics", "/v1/metrics", "/metrics%2f"]
)
def test_the_api_does_not_know_them(client, path: str) -> None:
    assert client.get(path).status_code == 404


class TestFilesOfSeveralProcesses:
    """Each process keeps its counts in a file, which the others read."""

    @pytest.fixture
    def newborn(self, tmp_path: Path) -> Path:
        """The file of a process that has just made it, beside that of another one."""
        with (tmp_path / "counter_1.db").open("wb") as file:
            file.write(struct.pack("i", 8).ljust(64, b"\0"))
        newborn = tmp_path / "counter_2.db"
        newborn.touch()
        return newborn

    def test_are_read_again_while_one_is_being_made(self, newborn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def read(registry: CollectorRegistry) -> bytes:
            try:
                return generate_latest(registry)
            finally:
                newborn.unlink(missing_ok=True)

        monkeypatch.setattr("metrics_server.generate_latest", read)
        assert shared_metrics(str(newborn.parent)) == b""

    def test_are_not_read_for_ever(self, newborn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("metrics_server.PAUSE_SECONDS", 0)
        with pytest.raises(struct.error):
            shared_metrics(str(newborn.parent))
