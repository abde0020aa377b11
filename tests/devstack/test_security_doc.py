"""The tests and guards that docs/security.md names exist."""

import ast
import re
from pathlib import Path

import pytest

from api.serving import timed_protocol

ROOT = Path(__file__).parent.parent.parent
NAMED = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", (ROOT / "docs" / "security.md").read_text())


@pytest.mark.parametrize("path", sorted({path for path, _ in NAMED}))
def test_every_test_that_is_named_is_there(path: str) -> None:
    tree = ast.parse((ROOT / path).read_text())
    defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert {name for named, name in NAMED if named == path and name} <= defined


def test_every_risk_has_a_test() -> None:
    rows = [line for line in (ROOT / "docs" / "security.md").read_text().splitlines() if line.startswith("| ")]
    assert len(rows) > 20
    assert [row for row in rows[1:] if "`tests/" not in row.split(" | ")[-1]] == []


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_package_is_pinned_with_a_hash(name: str) -> None:
    blocks = re.split(r"\n(?=[a-z0-9])", (ROOT / name).read_text(), flags=re.IGNORECASE)
    assert len(blocks) > 30
    assert [
        block for block in blocks if not re.match(r"[\w.\[\],-]+==\S+", block) or "--hash=sha256:" not in block
    ] == []
    assert "--require-hashes -r requirements-dev.txt" in (ROOT / "Makefile").read_text()


def test_headers_and_slow_clients_are_bounded() -> None:
    assert timed_protocol.MAX_HEAD_BYTES <= 64 * 1024
    assert timed_protocol.TIMEOUT_SECONDS <= 10
    nginx = (ROOT / "deploy" / "nginx" / "locations.conf").read_text()
    for name in ("client_max_body_size 1m", "client_header_timeout 10s", "client_body_timeout 10s"):
        assert f"{name};" in nginx


def test_the_proxy_hides_what_is_for_operators() -> None:
    deploy = ROOT / "deploy"
    host, locations, operators = (
        (deploy / name).read_text() for name in ("nginx.conf", "nginx/locations.conf", "nginx/operators.conf")
    )
    for text in (host, locations, operators):
        assert "9464" not in "".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    assert set(re.findall(r"^\s*server (\S+);|proxy_pass (\S+);", host + locations, re.MULTILINE)) == {
        ("127.0.0.1:3000", ""),
        ("", "http://$agentforge"),
    }
    assert re.search(r"location = /flower/metrics \{[^}]*return 404;", operators)
