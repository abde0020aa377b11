"""Each fault of the proxy is what it says, seen from a real client of a real Redis."""

from collections.abc import Iterator

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from devstack.fault_proxy import FaultProxy, running_fault_proxy
from devstack.servers.redis_server import RedisServer


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[FaultProxy]:
    with running_fault_proxy(redis_server.port) as proxy:
        yield proxy


@pytest.fixture
def client(proxy: FaultProxy, redis_server: RedisServer) -> Iterator[redis.Redis]:
    never = Retry(NoBackoff(), 0)
    with redis.Redis(port=proxy.port, password=redis_server.password, socket_timeout=0.5, retry=never) as client:
        client.delete("n")
        yield client


def test_it_passes_everything_on(proxy: FaultProxy, client: redis.Redis):
    client.set("n", "x" * 1_000_000)
    assert len(client.get("n")) == 1_000_000
    assert proxy.connections == 1


def test_a_frozen_connection_hangs_and_goes_on_when_healed(proxy: FaultProxy, client: redis.Redis):
    proxy.freeze()
    with pytest.raises(redis.TimeoutError):
        client.incr("n")
    with pytest.raises(redis.TimeoutError):  # a new connection
        client.ping()
    proxy.heal()
    assert client.ping()


def test_half_open_connections_stay_silent_while_new_ones_work(proxy: FaultProxy, client: redis.Redis):
    client.ping()
    assert proxy.freeze_present() == 1
    proxy.heal()
    with pytest.raises(redis.TimeoutError):
        client.ping()
    assert client.ping()


def test_a_server_that_is_down_resets_old_and_new_connections(proxy: FaultProxy, client: redis.Redis):
    proxy.refuse()
    for _ in range(2):
        with pytest.raises(redis.ConnectionError):
            client.ping()
    proxy.heal()
    assert client.ping()


def test_a_reset_cuts_what_is_there_and_nothing_else(proxy: FaultProxy, client: redis.Redis):
    assert proxy.reset() == 1
    assert client.ping()  # over a new connection, which this client opens by itself
    assert proxy.connections == 2


def test_a_swallowed_answer_was_done_all_the_same(proxy: FaultProxy, client: redis.Redis, redis_server: RedisServer):
    proxy.swallow_answers()
    with pytest.raises(redis.ConnectionError):
        client.incr("n")
    proxy.heal()
    assert client.get("n") == b"1"


def test_an_answer_is_cut_in_its_middle(proxy: FaultProxy, client: redis.Redis):
    client.set("n", "x" * 10_000)
    proxy.cut_answers_after(5_000)
    with pytest.raises(redis.ConnectionError):
        client.get("n")


def test_a_delay_holds_back_both_ways(proxy: FaultProxy, client: redis.Redis):
    proxy.delay(0.3)
    with pytest.raises(redis.TimeoutError):
        client.ping()
