"""The story with a Redis that speaks TLS alone, and what happens to processes that do not trust its certificate."""

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from devstack import control
from tasks.redis_client import connect
from tests.support.faults.programs import Programs, eventually
from tests.support.servers.certificates import certificate_for
from tests.support.servers.redis_tls import DebianRedis, redis_with_tls
from tests.support.stack.running import running_stack
from tests.test_story import (
    app,
    test_a_cancel_stops_an_agent_that_hangs,
    test_a_new_user_runs_the_content_analysis_and_pays_its_receipt,
    test_flower_asks_for_its_password,
    test_killing_every_worker_in_mid_run_loses_and_repeats_nothing,
)

__all__ = [
    "app",
    "test_a_cancel_stops_an_agent_that_hangs",
    "test_a_new_user_runs_the_content_analysis_and_pays_its_receipt",
    "test_flower_asks_for_its_password",
    "test_killing_every_worker_in_mid_run_loses_and_repeats_nothing",
]
pytestmark = pytest.mark.faults
NOT_TRUSTED = "its certificate is not trusted: self-signed certificate"


@pytest.fixture(scope="module")
def tls(server_directory: Path) -> Iterator[tuple[DebianRedis, Path]]:
    """The server, and the authority that signed its certificate."""
    with redis_with_tls(server_directory / "redis-tls") as found:
        yield found


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, tls: tuple[DebianRedis, Path]) -> Iterator[control.RunningStack]:
    """The whole stack, whose messages, announcements and counts go over TLS."""
    server, authority = tls
    env = {"REDIS_URL": server.url(), "TLS_CA_FILE": str(authority)}
    with running_stack(tmp_path_factory.mktemp("stack"), **env) as stack:
        yield stack


@pytest.fixture
def strangers(tls: tuple[DebianRedis, Path], module_database: str, tmp_path: Path) -> Iterator[Programs]:
    """Processes with an authority that signed nothing, and a database that is as it should be."""
    own = {"DATABASE_URL": module_database, "REDIS_URL": tls[0].url(), "AGENTFORGE_ENV": "test"}
    own |= {"TLS_CA_FILE": str(certificate_for("somebody-else", tmp_path)), "PYTHONUNBUFFERED": "1"}
    programs = Programs(tmp_path, {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **own})
    yield programs
    programs.kill_all()


def ask(url: str) -> dict:
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return json.loads(error.read())


def test_there_is_no_way_to_it_but_tls(tls: tuple[DebianRedis, Path], stack: control.RunningStack):
    plain = stack.addresses["redis"].replace("rediss://", "redis://")
    with connect(plain, socket_timeout=5) as client, pytest.raises(redis.ConnectionError):
        client.ping()


def test_the_api_refuses_a_redis_that_it_cannot_trust_and_says_why(strangers: Programs):
    api, url = strangers.api()
    api.ready()
    health = ask(f"{url}/health")
    assert (health["redis"], health["broker"], health["database"]) == ("down", "down", "up")
    ask(f"{url}/api/templates")  # which counts who asks
    for event in ("redis.unreachable", "broker.unreachable", "limits.unreachable"):
        (line,) = [line for line in api.output.splitlines() if f'"{event}"' in line][:1]
        assert json.loads(line)["reason"] == NOT_TRUSTED


def test_a_worker_refuses_it_too_and_takes_no_work(strangers: Programs):
    worker = strangers.worker(hooked=False)
    eventually(lambda: "certificate verify failed" in worker.output, 60, lambda: worker.output[-2000:])
    assert " ready." not in worker.output
    assert worker.alive  # it tries again until somebody mends it


def test_beat_refuses_it_too(strangers: Programs):
    beat = strangers.beat()
    eventually(lambda: NOT_TRUSTED in beat.output, 60, lambda: beat.output[-2000:])
