"""`REDIS_URL`, `BROKER_URL` and `LIMITER_URL` mean the same to the API and to workers, with TLS and with sentinels."""

import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import redis
from celery import Celery
from kombu import Connection

from api.limits.counters import PREFIX, RememberedStorage
from models.changes import CHANNEL
from settings import Settings
from tasks.change_publisher import RedisChangePublisher
from tasks.probes.broker import BrokerProbe as Look
from tasks.publisher import TaskPublisher
from tasks.queue import QueueName, TaskMessage, TaskName
from tasks.redis_client import celery_broker, connect, reason_of
from tests.support.servers.redis_tls import DebianRedis, Trio, redis_with_tls, sentinel_trio
from variables import SettingsError

MESSAGE = TaskMessage(TaskName.DRIVE_EXECUTION, QueueName.EXECUTIONS_HIGH, {"execution_id": "1"})


@pytest.fixture(scope="module")
def tls(server_directory: Path) -> Iterator[tuple[DebianRedis, Path]]:
    with redis_with_tls(server_directory / "redis-tls") as found:
        yield found


@pytest.fixture(scope="module")
def trio(server_directory: Path) -> Iterator[Trio]:
    with sentinel_trio(server_directory / "sentinels") as found:
        yield found


def settings(**env: str) -> Settings:
    return Settings.from_env({"AGENTFORGE_ENV": "test", **env})


def works_for_everybody(url: str) -> None:
    """Publish and receive through each client: queue, change publisher, limiter, and queue probe."""
    with connect(url) as client:
        client.flushall()
    broker, app = celery_broker(url), Celery("test", set_as_current=False)
    options = dict(broker.options)
    app.conf.update(broker_url=broker.url, broker_use_ssl=broker.tls, broker_transport_options=options)
    assert TaskPublisher(url)(MESSAGE)  # as requests publish
    app.send_task(
        MESSAGE.task, kwargs=MESSAGE.ids, queue=MESSAGE.queue.value, ignore_result=True
    )  # as Celery itself does
    look = Look(url)
    assert (look.redis_is_up(), look.is_up(), look.lengths()[MESSAGE.queue]) == (True, True, 2)
    with Connection(broker.url, ssl=broker.tls, transport_options=options) as connection:  # as workers take them
        queue = connection.SimpleQueue(MESSAGE.queue.value)
        assert queue.get(timeout=10).headers["task"] == MESSAGE.task
        queue.close()
    hears(url)
    storage = RememberedStorage(PREFIX + url, socket_timeout=1)
    assert storage.check()
    assert storage.storage.incr("counted") == 1


def hears(url: str) -> None:
    with connect(url, socket_timeout=10) as client, client.pubsub(ignore_subscribe_messages=True) as changes:
        changes.subscribe(CHANNEL)
        time.sleep(0.2)
        one = uuid4()
        RedisChangePublisher(url)([one])
        until = time.monotonic() + 10
        while time.monotonic() < until:
            if message := changes.get_message(timeout=1):
                assert message["data"] == one.bytes
                return
    pytest.fail("nothing was heard")


def test_over_tls_all_clients_connect_with_the_configured_authority(tls: tuple[DebianRedis, Path]):
    server, authority = tls
    found = settings(REDIS_URL=server.url(), TLS_CA_FILE=str(authority))
    assert found.broker_url == found.redis_url == found.limiter_url
    works_for_everybody(found.redis_url)


def test_over_tls_all_clients_refuse_an_untrusted_certificate(tls: tuple[DebianRedis, Path]):
    url = settings(REDIS_URL=tls[0].url()).redis_url
    with connect(url) as client, pytest.raises(redis.ConnectionError, match="certificate verify failed") as refused:
        client.ping()
    assert reason_of(refused.value) == "its certificate is not trusted: self-signed certificate"
    broker = celery_broker(url)
    with (
        Connection(broker.url, ssl=broker.tls, transport_options={"max_retries": 1}) as connection,
        pytest.raises(Exception, match="certificate verify failed"),
    ):
        connection.ensure_connection(max_retries=1).channel()
    assert not Look(url).is_up()


def test_over_tls_all_clients_refuse_another_names_certificate(tls: tuple[DebianRedis, Path]):
    server, authority = tls
    env = {"REDIS_URL": server.url().replace("localhost", "127.0.0.1"), "TLS_CA_FILE": str(authority)}
    url = settings(**env).redis_url
    with connect(url) as client, pytest.raises(redis.ConnectionError, match="mismatch"):
        client.ping()
    broker = celery_broker(url)
    with (
        Connection(broker.url, ssl=broker.tls, transport_options={"max_retries": 1}) as connection,
        pytest.raises(Exception, match="mismatch"),
    ):
        connection.ensure_connection(max_retries=1).channel()


def test_behind_sentinels_all_clients_find_each_primary(trio: Trio):
    works_for_everybody(trio.url)
    trio.fail_over()
    works_for_everybody(trio.url)


def test_the_reason_of_any_other_failure_quotes_no_address():
    assert reason_of(redis.ConnectionError("redis://:secret@redis.example/0")) == "ConnectionError"


@pytest.mark.parametrize("name", ["REDIS_URL", "BROKER_URL", "LIMITER_URL"])
def test_a_malformed_address_stops_the_start(name: str):
    with pytest.raises(SettingsError):
        settings(**{name: "kafka://somewhere"})


def test_an_authority_that_is_not_there_stops_the_start(tmp_path: Path):
    with pytest.raises(SettingsError):
        settings(REDIS_URL="rediss://redis.example/0", TLS_CA_FILE=str(tmp_path / "none.pem"))


def test_the_broker_may_be_another_server_and_is_verified_too(tmp_path: Path):
    (tmp_path / "ca.pem").write_text("")
    found = settings(BROKER_URL="amqps://us:word@mq.example/jobs", TLS_CA_FILE=str(tmp_path / "ca.pem"))
    broker = celery_broker(found.broker_url)
    assert broker.url == "amqps://us:word@mq.example/jobs"
    assert broker.tls is not None
    assert broker.tls["server_hostname"] == "mq.example"
    assert broker.tls["ca_certs"] == str(tmp_path / "ca.pem")
    assert broker.tls["cert_reqs"].name == "CERT_REQUIRED"
