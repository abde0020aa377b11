"""The proxy's configuration in a real nginx: it starts, listens on IPv6, and has errors in the API's format."""

import json
import re
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPSConnection
from pathlib import Path

import pytest

from devstack.servers.ports import LOOPBACK, free_port
from tests.support.servers.nginx import SITE, Nginx

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def nginx(tmp_path: Path) -> Nginx:
    """Before an API that is not there."""
    return Nginx(tmp_path, free_port())


@pytest.fixture
def port(nginx: Nginx) -> Iterator[int]:
    """Where it listens."""
    with nginx:
        yield nginx.port


def asked(port: int, path: str, body: bytes = b"", host: str = LOOPBACK) -> tuple[int, str, dict]:
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    with closing(HTTPSConnection(host, port, context=trusting, timeout=10)) as connection:
        connection.request("POST" if body else "GET", path, body or None, {"Host": "api.agentforge.io"})
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], json.loads(answer.read())


def test_nginx_takes_the_configuration(port: int, nginx: Nginx) -> None:
    tried = subprocess.run([*nginx.command(), "-t"], capture_output=True, text=True, check=False)
    assert tried.returncode == 0, tried.stderr
    assert "test is successful" in tried.stderr


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/api/workflows", b"", 503, "unavailable"),
        ("/api/workflows", b"x" * 1_200_000, 413, "body_too_large"),
        pytest.param("/" + "x" * 9_000, b"", 400, "bad_request", id="an address that is too long"),
    ],
)
def test_what_nginx_itself_refuses_is_a_problem_document(port, path, body, status, code) -> None:
    got, kind, problem = asked(port, path, body)
    assert (got, kind, problem["status"], problem["code"]) == (status, "application/problem+json", status, code)
    assert problem["message"] == problem["detail"] != ""
    assert problem["error"] == problem["title"]
    assert re.fullmatch(r"urn:agentforge:request:[0-9a-f]{32}", problem["instance"])


@pytest.mark.skipif(not socket.has_ipv6, reason="needs IPv6")
def test_it_listens_on_ipv6(port) -> None:
    assert asked(port, "/api/health", host="::1")[0] == 503


def test_its_connections_to_gunicorn_end_before_gunicorn_closes_them() -> None:
    ours = int(re.search(r"keepalive_timeout (\d+)s", SITE.read_text())[1])
    gunicorn = int(
        re.search(r"^keepalive = (\d+)", (ROOT / "deploy" / "gunicorn.conf.py").read_text(), re.MULTILINE)[1]
    )
    assert ours < gunicorn
