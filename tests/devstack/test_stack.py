"""The whole stack as separate processes: up once, everything answers, nothing is left when it goes."""

import base64
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psycopg2
import pytest

from devstack import control
from devstack.control import Running
from devstack.ports import LOOPBACK, free_port
from devstack.process import DevstackError
from devstack.stack import Stack
from tests.devstack.watching import command_of, descendants, eventually, is_alive

ROOT = Path(__file__).parent.parent.parent
SYSTEM = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}


def devstack(directory: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "devstack", *arguments],
        cwd=ROOT,
        env=SYSTEM | {"DEVSTACK_DIR": str(directory)} | env,
        capture_output=True,
        text=True,
        check=False,
    )


def status_of(url: str, login: str = "") -> int:
    headers = {"Authorization": "Basic " + base64.b64encode(login.encode()).decode()} if login else {}
    try:
        with urlopen(Request(url, headers=headers), timeout=10) as answer:
            return int(answer.status)
    except HTTPError as error:
        with error:
            return error.code
    except OSError:
        return 0


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stack")


@pytest.fixture(scope="module")
def running(directory: Path) -> Iterator[Running]:
    """A stack in the background, as a demo starts it."""
    ports = {"PORT": str(free_port()), "FLOWER_PORT": str(free_port())}
    yield control.ensure_up(directory, SYSTEM | ports)
    control.stop(directory)


@pytest.mark.story
def test_every_program_is_up_and_the_database_migrated(running: Running, directory: Path) -> None:
    assert status_of(running.addresses["api"] + "/api/health/ready") == 200
    with closing(psycopg2.connect(running.addresses["database"])) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM alembic_version")
        assert cursor.fetchone() == (1,)


@pytest.mark.story
def test_a_second_start_says_where_the_first_one_is(running: Running, directory: Path) -> None:
    for arguments in (["up"], ["up", "--detach"], ["status"]):
        answer = devstack(directory, *arguments)
        assert answer.returncode == 0, answer.stderr
        assert running.addresses["api"] in answer.stdout
    assert control.ensure_up(directory, SYSTEM) == running


@pytest.mark.story
def test_flower_wants_the_password_that_was_made_for_it(running: Running, directory: Path) -> None:
    at = running.addresses
    assert status_of(at["flower"]) == 401
    assert status_of(at["flower"], f"{at['flower_user']}:{at['flower_password']}") == 200
    assert at["flower"].startswith(f"http://{LOOPBACK}:")
    assert json.loads((directory / "secrets.json").read_text())["flower_password"] == at["flower_password"]
    assert not any(at["flower_password"] in command_of(pid) for pid in descendants(running.pid))


@pytest.mark.story
def test_the_api_comes_back_after_it_is_killed(running: Running, directory: Path) -> None:
    url = running.addresses["api"] + "/api/health/live"
    before = [pid for pid in descendants(running.pid) if "wsgi:app" in command_of(pid)]
    assert len(before) > 1
    os.kill(min(before), signal.SIGKILL)  # the master, which started the others
    eventually(lambda: not any(is_alive(pid) for pid in before) and status_of(url) == 200)


@pytest.mark.story
def test_psql_and_migrate_use_the_stack_that_runs(running: Running, directory: Path) -> None:
    assert devstack(directory, "migrate").returncode == 0
    answer = devstack(directory, "psql", "-Atc", "SELECT current_database()")
    assert (answer.stdout.strip(), answer.stderr) == ("agentforge", "")


@pytest.mark.story
def test_down_leaves_no_process_and_a_second_down_finds_nothing(running: Running, directory: Path) -> None:
    owned = descendants(running.pid)
    assert len(owned) > 10
    assert devstack(directory, "down").stdout == "Stopped.\n"
    assert not any(is_alive(pid) for pid in owned)
    assert devstack(directory, "down").stdout == "Nothing runs.\n"


def test_servers_of_ones_own_replace_the_embedded_ones(tmp_path: Path) -> None:
    own = {"DATABASE_URL": "postgresql://me@db.example/mine", "REDIS_URL": "redis://cache.example/3"}
    stack = Stack(tmp_path, SYSTEM | own)
    assert {"postgres", "redis"}.isdisjoint(program.name for program in stack.programs())
    assert own.items() <= stack.environment().items()
    assert "LIMITER_URL" not in stack.environment()


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


def test_a_taken_port_is_replaced_and_the_user_is_told(tmp_path: Path) -> None:
    taken = free_port()
    with socket.create_server((LOOPBACK, taken)):
        stack = Stack(tmp_path, SYSTEM | {"PORT": str(taken)})
        assert stack.ports.api != taken
        assert stack.notices == [
            f"Port {taken} is taken by another program; the API is on port {stack.ports.api} instead."
        ]


def test_a_stack_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(DevstackError, match="migrations failed; its reason is above"):
        control.ensure_up(tmp_path, SYSTEM | {"DATABASE_URL": f"postgresql://{LOOPBACK}:1/none"})
    assert devstack(tmp_path, "status").stdout == "Nothing runs.\n"
