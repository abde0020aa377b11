"""The embedded servers: started once, joined by later users, stopped with the process that started them."""

import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from devstack.processes.process import DevstackError
from devstack.servers.ports import LOOPBACK, accepts
from devstack.servers.postgres import PostgresServer, running_postgres
from devstack.servers.redis_server import running_redis
from tests.support.stack.processes import eventually, is_alive

ROOT = Path(__file__).parent.parent.parent
Hold = Callable[..., subprocess.Popen[str]]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can step down")

# Starts a server in its own process, says its address, and keeps it until its input ends.
HOLD = """
import sys
from pathlib import Path
from devstack.servers.postgres import running_postgres
from devstack.servers.redis_server import running_redis
running = {'postgres': running_postgres, 'redis': running_redis}[sys.argv[1]]
with running(Path(sys.argv[2])) as server:
    print(server.url(), flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def hold() -> Iterator[Hold]:
    """Start a server of a kind in a process of its own, called through `prefix`."""
    started: list[subprocess.Popen[str]] = []

    def start(kind: str, directory: Path, *prefix: str) -> subprocess.Popen[str]:
        holder = subprocess.Popen(
            [*prefix, sys.executable, "-c", HOLD, kind, str(directory)],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(holder)
        return holder

    yield start
    for holder in started:
        with holder:  # closes its pipes
            holder.kill()


def first_line(holder: subprocess.Popen[str]) -> str:
    assert holder.stdout
    line = holder.stdout.readline().strip()
    assert line, holder.communicate()
    return line


def ask(url: str, statement: str) -> object:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(statement)
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


@pytest.fixture(scope="module")
def durable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A PostgreSQL as the dev stack runs it."""
    with running_postgres(tmp_path_factory.mktemp("durable") / "postgres") as server:
        yield server


def test_postgres_keeps_what_was_committed_when_it_is_killed(durable: PostgresServer) -> None:
    ask(durable.url(), "CREATE TABLE kept AS SELECT 7 AS number")
    port = durable.port
    durable.kill()
    durable.start()
    assert ask(durable.url(), "SELECT number FROM kept") == 7
    assert durable.port == port
    assert ask(durable.url(), "SHOW fsync") == "on"


def test_postgres_stops_as_asked(durable: PostgresServer) -> None:
    for mode in ("fast", "immediate"):
        durable.stop(mode)
        assert not accepts(durable.port)
        durable.start()
    durable.restart()
    assert durable.is_ready()


def test_postgres_listens_on_loopback_only_and_wants_its_password(durable: PostgresServer) -> None:
    assert ask(durable.url(), "SHOW listen_addresses") == LOOPBACK
    with pytest.raises(psycopg2.OperationalError, match="password"):
        psycopg2.connect(durable.url().replace(durable.password, "guess"))
    assert stat.S_IMODE((durable.directory / "server.json").stat().st_mode) == 0o600


def test_a_database_is_created_once_and_cloned_from_another(durable: PostgresServer) -> None:
    url = durable.create_database("original")
    ask(url, "CREATE TABLE things AS SELECT 1 AS number")
    assert durable.create_database("original") == url
    clone = durable.create_database("clone", template="original")
    assert ask(clone, "SELECT count(*) FROM things") == 1
    durable.drop_database("clone")
    with pytest.raises(psycopg2.OperationalError, match="does not exist"):
        psycopg2.connect(clone)


@pytest.mark.parametrize("kind", ["postgres", "redis"])
def test_those_who_start_it_at_the_same_time_share_one_server(hold: Hold, kind: str, tmp_path: Path) -> None:
    holders = [hold(kind, tmp_path / kind) for _ in range(3)]
    assert len({first_line(holder) for holder in holders}) == 1
    for holder in holders:
        _, errors = holder.communicate("")
        assert (holder.returncode, errors) == (0, "")
    assert not (tmp_path / kind / "data" / "postmaster.pid").exists()


@pytest.mark.parametrize("kind", ["postgres", "redis"])
def test_a_server_does_not_outlive_a_killed_starter(hold: Hold, kind: str, tmp_path: Path) -> None:
    holder = hold(kind, tmp_path / kind)
    port = int(first_line(holder).split("@")[1].split(":")[1].split("/")[0])
    assert accepts(port)
    holder.kill()
    holder.wait()
    eventually(lambda: not accepts(port))


def test_redis_comes_back_with_or_without_its_data(tmp_path: Path) -> None:
    with running_redis(tmp_path / "redis") as server:
        with redis.Redis.from_url(server.url()) as client:
            client.set("key", "value")
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        server.restart()
        with redis.Redis.from_url(server.url(), decode_responses=True) as client:
            assert client.get("key") == "value"
        pid = server.pid
        server.kill()
        assert not is_alive(pid)
        server.forget()
        server.start()
        with redis.Redis.from_url(server.url()) as client:
            assert client.keys() == []


def test_redis_wants_its_password(tmp_path: Path) -> None:
    with (
        running_redis(tmp_path / "redis") as server,
        redis.Redis(port=server.port, retry=Retry(NoBackoff(), 0)) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()


def test_a_taken_port_is_replaced(tmp_path: Path) -> None:
    with running_redis(tmp_path / "one") as first:
        (tmp_path / "two").mkdir()
        shutil.copy(first.directory / "server.json", tmp_path / "two")
        with running_redis(tmp_path / "two") as second:
            assert second.port != first.port


def test_a_server_that_cannot_start_shows_the_end_of_its_log(tmp_path: Path) -> None:
    (tmp_path / "redis" / "data").mkdir(parents=True)
    (tmp_path / "redis" / "data" / "appendonly.aof").write_text("this is no log of commands")
    with pytest.raises(DevstackError, match="Redis does not start"), running_redis(tmp_path / "redis"):
        pass


@as_root
def test_root_runs_postgres_as_another_account_in_a_directory_of_root() -> None:
    with tempfile.TemporaryDirectory() as private, running_postgres(Path(private) / "x" / "postgres") as server:
        assert stat.S_IMODE(Path(private).stat().st_mode) == 0o700
        status = Path(f"/proc/{server.pid}/status").read_text()
        owner = int(status.split("Uid:")[1].split()[0])
        assert owner == pwd.getpwnam("nobody").pw_uid
        may_only_enter = 1 << 2  # CAP_DAC_READ_SEARCH
        assert int(status.split("CapEff:")[1].split()[0], 16) == may_only_enter
        assert stat.S_IMODE(Path(private).stat().st_mode) == 0o700


@as_root
def test_root_without_capabilities_finds_refuge_and_says_where(hold: Hold, tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    lesser = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search")
    holder = hold("postgres", private / "postgres", *lesser)
    url = first_line(holder)
    refuge = Path(str(ask(url, "SHOW data_directory"))).parent
    try:
        _, errors = holder.communicate("")
        assert not refuge.is_relative_to(tmp_path)
        assert f"its data is kept in {refuge}/data." in errors
    finally:
        shutil.rmtree(refuge)


@as_root
def test_another_account_starts_both_servers_in_its_own_directory(hold: Hold) -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as home:
        nobody = pwd.getpwnam("nobody")
        os.chown(home, nobody.pw_uid, nobody.pw_gid)
        for kind in ("postgres", "redis"):
            step_down = ("setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups")
            # The checkout of these tests may be one that only root may enter; the data is not.
            readable = (
                "--securebits=+no_setuid_fixup",
                "--inh-caps=-all,+dac_read_search",
                "--ambient-caps=+dac_read_search",
            )
            holder = hold(kind, Path(home) / kind, *step_down, *readable)
            assert LOOPBACK in first_line(holder)
            _, errors = holder.communicate("")
            assert (holder.returncode, errors) == (0, "")


def test_an_interrupt_stops_the_server(hold: Hold, tmp_path: Path) -> None:
    holder = hold("postgres", tmp_path / "postgres")
    assert first_line(holder)
    holder.send_signal(signal.SIGINT)
    holder.communicate()
    assert not (tmp_path / "postgres" / "data" / "postmaster.pid").exists()
