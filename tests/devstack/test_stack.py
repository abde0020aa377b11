"""The parts of the stack, and reasons why it does not start; `tests/test_story.py` has a running one."""

import json
import os
import re
import socket
import stat
import subprocess
import sys
from contextlib import closing
from dataclasses import astuple
from pathlib import Path

import psycopg2
import pytest

from devstack import control
from devstack.processes.process import DevstackError
from devstack.servers.ports import LOOPBACK, Ports, free_port
from devstack.stack import Stack

ROOT = Path(__file__).parent.parent.parent
SHOWN = (
    "api",
    "metrics",
    "flower",
    "mail",
    "stripe_simulator",
    "openclaw",
    "ai_simulator",
)  # in the order of the screen
SYSTEM = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}


# Nothing has to be started for these, so a test that needs no answer from them is quicker.
ELSEWHERE = {
    "REDIS_URL": "redis://r",
    "OPENCLAW_URL": "ws://o:1",
    "SMTP_URL": "smtp://m",
    "STRIPE_API_BASE": "http://s",
}
ELSEWHERE |= dict.fromkeys(("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "GOOGLE_BASE_URL"), "http://ai")


def devstack(directory: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "devstack", *arguments],
        cwd=ROOT,
        env=SYSTEM | {"DEVSTACK_DIR": str(directory)} | env,
        capture_output=True,
        text=True,
        check=False,
    )


def test_servers_of_ones_own_replace_the_embedded_ones(tmp_path: Path) -> None:
    own = {"DATABASE_URL": "postgresql://me@db.example/mine", "REDIS_URL": "redis://cache.example/3"}
    stack = Stack(tmp_path, SYSTEM | own)
    assert {"postgres", "redis"}.isdisjoint(program.name for program in stack.programs())
    assert own.items() <= stack.environment().items()
    assert "LIMITER_URL" not in stack.environment()


def test_the_demo_user_is_made_last_and_only_on_request(tmp_path: Path) -> None:
    """Before any server runs, because programs are listed first and started later."""
    assert Stack(tmp_path, SYSTEM | {"WITH_DEMO_USER": "1"}).programs()[-1].name == "demo-user"
    assert "demo-user" not in [program.name for program in Stack(tmp_path, SYSTEM).programs()]


def test_real_providers_replace_the_simulators(tmp_path: Path) -> None:
    own = {"DATABASE_URL": "postgresql://d/d", "REDIS_URL": "redis://r", "OPENCLAW_URL": "ws://gateway.example:18789"}
    own |= dict.fromkeys(("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "GOOGLE_BASE_URL"), "https://example.com")
    stack = Stack(tmp_path, SYSTEM | own)
    assert {"openclaw", "ai-providers"}.isdisjoint(program.name for program in stack.programs())
    assert own.items() <= stack.environment().items()


def test_a_program_gets_settings_by_name_and_nothing_else_of_the_shell(tmp_path: Path) -> None:
    shell = {"WELCOME_CREDITS": "25", "AWS_SECRET_ACCESS_KEY": "mine", "DATABASE_URL": "postgresql://d/d"}
    env = Stack(tmp_path, SYSTEM | shell | {"REDIS_URL": "redis://r"}).environment()
    assert env["WELCOME_CREDITS"] == "25"
    assert "AWS_SECRET_ACCESS_KEY" not in env


def test_secrets_are_made_once_and_are_private(tmp_path: Path) -> None:
    first, second = Stack(tmp_path, SYSTEM), Stack(tmp_path, SYSTEM)
    assert first.credentials == second.credentials
    assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600
    assert Stack(tmp_path / "other", SYSTEM).credentials != first.credentials


def test_a_stack_whose_named_port_is_taken_fails_with_the_reason(tmp_path: Path) -> None:
    taken = free_port()
    said = f"The stack does not start.\nPORT={taken} is taken by another program"
    with socket.create_server((LOOPBACK, taken)), pytest.raises(DevstackError, match=said):
        control.ensure_up(tmp_path, SYSTEM | {"PORT": str(taken)})


def test_every_process_gets_the_chosen_ports(tmp_path: Path) -> None:
    ports = Ports(*range(2001, 2009))
    stack = Stack(tmp_path, SYSTEM | {"DATABASE_URL": "postgresql://d/d", "REDIS_URL": "redis://r"}, ports)
    told = json.dumps([stack.environment(), stack.addresses()])
    assert set(re.findall(r"127\.0\.0\.1:(\d+)", told)) == {str(number) for number in range(2001, 2009)}
    assert not any(f":{usual}" in told for usual in astuple(Ports()))


def test_migrate_says_how_to_replace_a_database_of_other_migrations(tmp_path: Path, empty_database: str) -> None:
    with closing(psycopg2.connect(empty_database)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE alembic_version AS SELECT '9999' AS version_num")
    answer = devstack(tmp_path, "migrate", **ELSEWHERE, DATABASE_URL=empty_database)
    assert answer.returncode != 0
    assert "to revision 9999 by migrations other than these" in answer.stdout + answer.stderr


def test_a_stack_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(DevstackError, match="migrations failed; its reason is above"):
        control.ensure_up(tmp_path, SYSTEM | ELSEWHERE | {"DATABASE_URL": f"postgresql://{LOOPBACK}:1/none"})
    assert devstack(tmp_path, "status").stdout == "Nothing runs.\n"
